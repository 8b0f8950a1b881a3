import Foundation

// Parts of paths by their text. Foundation's own functions end the process on some names of one character.

/// `a/b` of `a/b/c` and of `a/b/c/`, `/` of `/c` and of `/`, and "." of a name alone.
public func parentFolder(of path: String) -> String {
  let trimmed = withoutTrailingSlashes(Array(path.utf8))
  guard let slash = trimmed.lastIndex(of: UInt8(ascii: "/")) else {
    return trimmed.isEmpty && path.hasPrefix("/") ? "/" : "."
  }
  let parent = withoutTrailingSlashes(trimmed[..<slash])
  return parent.isEmpty ? "/" : String(decoding: parent, as: UTF8.self)
}

/// `c` of `a/b/c` and of `a/b/c/`; `/` of `/`.
public func lastName(of path: String) -> String {
  let trimmed = withoutTrailingSlashes(Array(path.utf8))
  let start = trimmed.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? trimmed.startIndex
  return trimmed.isEmpty ? (path.isEmpty ? "" : "/") : String(decoding: trimmed[start...], as: UTF8.self)
}

/// `gz` of `a/b.tar.gz`; empty without a dot inside the last name.
public func fileExtension(of path: String) -> String {
  let name = lastName(of: path)
  guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
  return String(name[name.index(after: dot)...])
}

/// `b.tar` of `a/b.tar.gz`: the last name without its extension.
public func stem(of path: String) -> String {
  let name = lastName(of: path), ending = fileExtension(of: path)
  return ending.isEmpty && !name.hasSuffix(".") ? name : String(name.dropLast(ending.count + 1))
}

/// `~` and `~/a` with the home folder in place of `~`; anything else as it is.
public func expandingHome(_ path: String) -> String {
  guard path == "~" || path.hasPrefix("~/") else { return path }
  let home = ProcessInfo.processInfo.environment["HOME"].flatMap { $0.isEmpty ? nil : $0 }
  return (home ?? NSHomeDirectory()) + path.dropFirst()
}

private func withoutTrailingSlashes(_ path: some Sequence<UInt8>) -> [UInt8] {
  var bytes = Array(path)
  while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
  return bytes
}

/// The name of a folder, that of `.` and `a/..` too.
func folderName(of path: String) -> String {
  let name = lastName(of: path)
  guard name == "." || name == ".." || name.isEmpty, let real = realpath(path, nil) else { return name }
  defer { free(real) }
  return lastName(of: String(cString: real))
}
