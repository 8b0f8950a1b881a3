import Foundation

/// The local cache of the Hugging Face libraries, only ever read here. `models--org--name/refs/main` holds a commit,
/// and `snapshots/<commit>` is the model's folder, whose files are links into `blobs`.
public struct HuggingFaceCache: Sendable {
  public let path: String

  /// `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub` (`$XDG_CACHE_HOME` instead of `~/.cache`).
  public init(environment: [String: String]) {
    func value(_ key: String) -> String? { environment[key].flatMap { $0.isEmpty ? nil : $0 } }
    let user = value("HOME") ?? NSHomeDirectory()
    let found =
      value("HF_HUB_CACHE") ?? (value("HF_HOME") ?? (value("XDG_CACHE_HOME") ?? "~/.cache") + "/huggingface") + "/hub"
    path = found.hasPrefix("~/") ? user + found.dropFirst() : found
  }

  /// `org/name` of every model that has a folder, sorted; it may be there in part only.
  public var models: [String] {
    let folders = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return folders.filter { $0.hasPrefix(HuggingFaceCache.prefix) }
      .map { $0.dropFirst(HuggingFaceCache.prefix.count).replacingOccurrences(of: "--", with: "/") }
      .filter(HuggingFaceCache.isName).sorted()
  }

  /// The folder of `org/name` that `refs/main` points to; nil where the cache has never heard of that model.
  /// Throws `.missing` where a download was begun and not finished, `.file` where `refs/main` holds no commit.
  public func snapshot(of name: String) throws -> String? {
    guard HuggingFaceCache.isName(name) else { return nil }
    let folder = "\(path)/\(HuggingFaceCache.prefix)\(name.replacingOccurrences(of: "/", with: "--"))"
    guard access(folder, F_OK) == 0 else { return nil }
    func unfinished(_ what: String) -> EngineError {
      EngineError(.missing, "\(folder) \(what): \(HuggingFaceCache.download(name))")
    }
    guard access("\(folder)/refs/main", F_OK) == 0 else {
      let others = ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/snapshots")) ?? []).sorted()
      throw unfinished(
        "has no refs/main"
          + (others.first.map { ", only another revision; give the path \(folder)/snapshots/\($0), or get main" }
            ?? "; its download was not finished"))
    }
    let reference = try MappedFile(path: "\(folder)/refs/main")
    let text = withExtendedLifetime(reference) { String(decoding: reference.bytes.prefix(256), as: UTF8.self) }
    let commit = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard HuggingFaceCache.isName(commit), !commit.contains("/") else {
      throw EngineError(.file, "\(folder)/refs/main holds \(jsonQuoted(String(commit.prefix(80)))), expected a commit")
    }
    let snapshot = "\(folder)/snapshots/\(commit)"
    guard access(snapshot, F_OK) == 0 else {
      throw unfinished("has no snapshot \(commit); its download was not finished")
    }
    return snapshot
  }

  /// Where the cache keeps the content with that SHA-256 (hexadecimal) of `org/name`, if it has it.
  public func blob(_ sha256: String, of name: String) -> String {
    "\(path)/\(HuggingFaceCache.prefix)\(name.replacingOccurrences(of: "/", with: "--"))/blobs/\(sha256)"
  }

  /// "run `hf download org/name` ...": how to get a model into this cache.
  static func download(_ name: String) -> String {
    "run `hf download \(name)` (`huggingface-cli download \(name)` in older versions)"
  }

  /// What completes a model folder: the download of a snapshot's model, or else a look at where it came from.
  static func remedy(for folder: String) -> String {
    let parts = folder.split(separator: "/")
    guard let snapshots = parts.lastIndex(of: "snapshots"), snapshots > 0, parts[snapshots - 1].hasPrefix(prefix) else {
      return "copy or download the whole folder again"
    }
    let name = parts[snapshots - 1].dropFirst(prefix.count).replacingOccurrences(of: "--", with: "/")
    return isName(name) ? download(name) + " to complete it" : "download it again"
  }

  /// Whether a text can be the name of a model on the hub: `org/name`, or `name` alone for the oldest models.
  static func isName(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), text.utf8.count <= 200, !text.contains("--"), !text.contains("..") else {
      return false
    }
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
    return parts.allSatisfy { part in
      !part.isEmpty && !part.hasPrefix(".") && !part.hasPrefix("-") && part.utf8.allSatisfy(allowed.contains)
    }
  }

  private static let prefix = "models--"
}
