import Foundation
import OrderedCollections

extension HuggingFaceFolder {
  /// Most bytes of one weights file unless asked otherwise, as the Hugging Face libraries have it.
  public static let shardBytes = 5_000_000_000

  /// Writes a model folder: `config.json`, weights as `type` (`.f32`, `.f16`, `.bf16`) in one `model.safetensors`, or
  /// in shards with an index where they take more than `shardBytes`, copies of `companions` (a tokenizer's files), and
  /// `files` made for it; `metadata` goes into the header of every file of weights.
  ///
  /// The folder takes the place of the old one in one step (`AtomicFolder`), so that an error, a full disk, Ctrl-C or a
  /// crash leaves what was there. In a folder that exists, other files stay and weights of an earlier model go.
  ///
  /// ```swift
  /// let base = try HuggingFaceFolder(path: "base")
  /// let tensors = try base.names.map { try StreamedTensor(name: $0, from: base) }
  /// try HuggingFaceFolder.write(
  ///   "copy", configuration: base.configuration.value, tensors: tensors, as: .bf16, companions: base.companions)
  /// ```
  /// Throws what `Safetensors.write` does, and `.file` where the folder cannot be made or replaced.
  public static func write(
    _ path: String, configuration: JSONValue, tensors: [StreamedTensor], as type: ScalarType = .f32,
    shardBytes: Int = HuggingFaceFolder.shardBytes, companions: [String] = [],
    files: [(name: String, contents: [UInt8])] = [], metadata: [String: String] = [:]
  ) throws {
    let shards = try shards(of: tensors, type: type, limit: shardBytes)
    let names = shards.indices.map { shards.count == 1 ? weightsName : shardName($0 + 1, of: shards.count) }
    let settings = try settings(configuration, type: type).fileContents
    // Weights remember the settings they were written with, so that no mixture of two models is ever loaded.
    let own = ["format": "pt", settingsHashKey: SHA256.hex(of: settings)]
    try AtomicFolder.write(path, last: shards.count > 1 ? indexName : "config.json", removing: isWeights) { staging in
      for (name, shard) in zip(names, shards) {
        try Safetensors.write(
          "\(staging)/\(name)", streaming: shard, as: type, metadata: metadata.merging(own) { $1 })
      }
      for companion in companions {
        let file = try MappedFile(path: companion)
        var folder = staging
        if ChatTemplateTexts.isNamed(companion) {
          folder += "/\(ChatTemplateTexts.folderName)"
          try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        try AtomicFile.write("\(folder)/\(lastName(of: companion))") { try $0.write(file.bytes) }
      }
      for file in files { try AtomicFile.write("\(staging)/\(file.name)") { try $0.write(file.contents) } }
      try AtomicFile.write("\(staging)/config.json") { try $0.write(settings) }
      if shards.count > 1 {
        let index = try index(of: shards, names: names, type: type)
        try AtomicFile.write("\(staging)/\(indexName)") { try $0.write(index.fileContents) }
      }
    }
  }

  /// Where a file of weights has the hash of the settings it was written with, in its metadata.
  static let settingsHashKey = "settings_hash"

  /// A file of weights of any model that was in the folder before, or its named templates.
  private static func isWeights(_ name: String) -> Bool {
    name == weightsName || name == ChatTemplateTexts.folderName || name == indexName
      || name.wholeMatch(of: /model-\d{5}-of-\d{5}\.safetensors/) != nil
  }

  /// Paths of the files beside the weights that a copy of the model needs: the tokenizer's and the generation's.
  public var companions: [String] {
    [
      "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model",
      "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
    ].map { "\(path)/\($0)" }.filter { access($0, F_OK) == 0 } + ChatTemplateTexts.additional(path)
  }

  /// Tensors in order, cut before one that would take a file beyond `limit` bytes.
  private static func shards(
    of tensors: [StreamedTensor], type: ScalarType, limit: Int
  ) throws -> [[StreamedTensor]] {
    var shards: [[StreamedTensor]] = [[]], bytes = 0, seen: Set<String> = []
    for tensor in tensors {
      guard seen.insert(tensor.name).inserted else {
        throw EngineError(.argument, "the model to be written has two tensors \(tensor.name)")
      }
      let size = try tensor.extent(size: type.size).bytes
      if bytes + size > limit, !shards[shards.count - 1].isEmpty {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(tensor)
      bytes += size
    }
    return shards
  }

  /// `model-00002-of-00007.safetensors`.
  private static func shardName(_ number: Int, of count: Int) -> String {
    String(format: "model-%05d-of-%05d.safetensors", number, count)
  }

  private static func index(of shards: [[StreamedTensor]], names: [String], type: ScalarType) throws -> JSONValue {
    var map: OrderedDictionary<String, JSONValue> = [:], total = 0
    for (name, shard) in zip(names, shards) {
      for tensor in shard {
        map[tensor.name] = .string(name)
        total += try tensor.extent(size: type.size).bytes
      }
    }
    return .object(["metadata": .object(["total_size": .integer(total)]), "weight_map": .object(map)])
  }

  /// The settings with the type that the weights now have.
  private static func settings(_ configuration: JSONValue, type: ScalarType) throws -> JSONValue {
    guard case .object(var members) = configuration else {
      throw EngineError(.argument, "a model's configuration is \(configuration.kind), expected a JSON object")
    }
    let name = type == .f16 ? "float16" : type == .bf16 ? "bfloat16" : "float32"
    members[members["dtype"] == nil ? "torch_dtype" : "dtype"] = .string(name)
    return .object(members)
  }
}
