import CKernels
import Foundation

/// A folder of files that belong together, such as weights and their settings.
///
/// Everything is written and flushed in a folder beside the final one, which then takes its place in one step: at every
/// moment there are the old files or the new ones, never some of each. Files of the old folder that are not of this kind
/// stay.
public enum AtomicFolder {
  /// Creates or replaces the files of `path` by what `body` writes into the folder it is given. `removing`: names of
  /// files of the old folder that go although the new one has none of that name.
  ///
  /// Where the file system cannot exchange folders, or the old one holds folders, the files are renamed one by one in
  /// alphabetical order but for `last`; readers of such folders compare hashes (`settings_hash`). Throws `.file`, and what
  /// `body` throws.
  public static func write(
    _ path: String, last: String, removing: (String) -> Bool = { _ in false },
    _ body: (_ staging: String) throws -> Void
  ) throws {
    let target = finalPath(path)
    let staging = "\(target).\(UInt32.random(in: 0 ... .max)).partial"
    do { try FileManager.default.createDirectory(atPath: staging, withIntermediateDirectories: true) } catch {
      throw EngineError(.file, "cannot create \(path): \(error.localizedDescription)")
    }
    defer { try? FileManager.default.removeItem(atPath: staging) }
    try body(staging)
    AtomicFile.flush(folder: staging)
    guard access(target, F_OK) == 0 else {
      guard rename(staging, target) == 0 else { throw AtomicFile.failure("create", path) }
      return AtomicFile.flush(folder: parentFolder(of: target))
    }
    let fresh = try FileManager.default.contentsOfDirectory(atPath: staging)
    let old = try FileManager.default.contentsOfDirectory(atPath: target)
    let kept = old.filter { !fresh.contains($0) && !removing($0) }
    if !isInUse(target), kept.allSatisfy({ link("\(target)/\($0)", "\(staging)/\($0)") == 0 }),
      ck_exchange(staging, target)
    {
      AtomicFile.flush(folder: parentFolder(of: target))
      // What came into the old folder meanwhile belongs to someone.
      for name in (try? FileManager.default.contentsOfDirectory(atPath: staging)) ?? [] where !old.contains(name) {
        rename("\(staging)/\(name)", "\(target)/\(name)")
      }
      return
    }
    for name in fresh.sorted(by: { ($0 == last ? 1 : 0, $0) < ($1 == last ? 1 : 0, $1) }) {
      if isFolder("\(target)/\(name)") { try? FileManager.default.removeItem(atPath: "\(target)/\(name)") }
      guard rename("\(staging)/\(name)", "\(target)/\(name)") == 0 else {
        throw AtomicFile.failure("replace", "\(path)/\(name)")
      }
    }
    for name in old where !fresh.contains(name) && removing(name) {
      try? FileManager.default.removeItem(atPath: "\(target)/\(name)")
    }
    AtomicFile.flush(folder: target)
  }

  /// Without a slash at the end, and through links, so that a link to a folder stays one.
  private static func finalPath(_ path: String) -> String {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether this process stands in the folder, which must not be taken from under it.
  private static func isInUse(_ path: String) -> Bool {
    guard let current = getcwd(nil, 0) else { return true }
    defer { free(current) }
    return (String(cString: current) + "/").hasPrefix(path + "/")
  }
}
