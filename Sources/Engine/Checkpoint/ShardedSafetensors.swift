import Foundation

/// Weights spread over several safetensors files, as `model.safetensors.index.json` says which tensor is where.
///
/// All shards are mapped when this is opened, and nothing is copied. Tensors that the index does not name are left out.
public final class ShardedSafetensors: WeightSource {
  public let path: String
  /// Shard by shard, each in its file's order.
  public let names: [String]
  /// The `__metadata__` strings of the first file.
  public let metadata: [String: String]
  private let shards: [String: SafetensorsFile]
  let files: [SafetensorsFile]

  /// Opens the index `name` in `folder` and every shard it names.
  ///
  /// Throws `.missing` for shards that are not there, naming them, and `.file` for an index that is no map from tensors
  /// to files of this folder, a damaged shard, or tensors that their shard lacks.
  public init(folder: String, index name: String) throws {
    path = "\(folder)/\(name)"
    let index = try ConfigurationFile(JSONValue(path: path), source: path)
    let places = try ShardedSafetensors.checkedMap(index)
    let fileNames = Set(places.values).sorted()
    let absent = fileNames.filter { access("\(folder)/\($0)", F_OK) != 0 }
    guard absent.isEmpty else {
      throw EngineError(
        .missing,
        "\(folder) is not complete: \(absent.count) of \(fileNames.count) weight files are missing "
          + "(\(listed(absent))); \(HuggingFaceCache.remedy(for: folder))")
    }
    var names: [String] = [], shards: [String: SafetensorsFile] = [:], files: [SafetensorsFile] = []
    for fileName in fileNames {
      let shard = try SafetensorsFile(path: "\(folder)/\(fileName)")
      files.append(shard)
      for tensor in shard.names where places[tensor] == fileName {
        names.append(tensor)
        shards[tensor] = shard
      }
    }
    metadata = files.first?.metadata ?? [:]
    let lost = places.keys.filter { shards[$0] == nil }.sorted()
    if let first = lost.first, let file = places[first] {
      let others = lost.dropFirst()
      throw EngineError(
        .file,
        "\(path) says that \(file) holds \(first), but it does not"
          + (others.isEmpty ? "" : " (nor do the shards hold \(others.count) other tensors: \(listed(others)))")
          + "; the index and the shards belong to different models")
    }
    (self.names, self.shards, self.files) = (names, shards, files)
  }

  /// The file of each tensor, after the refusal of names that could lead out of the folder.
  private static func checkedMap(_ index: ConfigurationFile) throws -> [String: String] {
    guard let map = try index.object(ifPresent: "weight_map")?.value.object, !map.isEmpty else {
      throw EngineError(.file, "\(index.source) has no weight_map from tensor names to files")
    }
    var files: [String: String] = [:]
    for (tensor, value) in map {
      guard let file = value.string else {
        throw EngineError(
          .file, "\(index.source): the file of \(shown(tensor)) is \(value.kind), expected a file's name")
      }
      guard isPrintableName(file), !file.contains("/"), !file.contains("\\"), !file.hasPrefix("."),
        file.hasSuffix(".safetensors"), file.utf8.count <= 255
      else {
        throw EngineError(
          .file,
          "\(index.source): the file of \(shown(tensor)) is \(shown(file)); shards are .safetensors files of the "
            + "same folder")
      }
      files[tensor] = file
    }
    let count = Set(files.values).count
    guard count <= 4096 else {
      throw EngineError(.file, "\(index.source) names \(count) files; at most 4096 are read")
    }
    return files
  }

  public func shape(of name: String) -> [Int]? { shards[name]?.shape(of: name) }

  public func verify() throws { for file in files { try file.verify() } }

  public func storage(of name: String) -> StoredForm? { shards[name]?.storage(of: name) }

  public func releasePages() { for shard in shards.values { shard.releasePages() } }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let shard = shards[name] else { throw missing(name) }
    try shard.read(name, rows: rows, into: destination)
  }
}

/// A name out of a file as a message can show it.
private func shown(_ name: String) -> String { jsonQuoted(String(name.prefix(80))) }

/// "a, b, c and 4 more".
private func listed(_ names: some Collection<String>) -> String {
  names.prefix(3).map { String($0.prefix(120)) }.joined(separator: ", ")
    + (names.count > 3 ? " and \(names.count - 3) more" : "")
}
