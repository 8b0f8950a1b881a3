/// A model's settings under the names of Llama's `config.json`, whichever container and family they come from.
///
/// GGUF files spell the same settings `<architecture>.<name>`, and some families have names of their own; the tables
/// below and the family's translate.
struct ModelKeys {
  let file: any ConfigurationKeys
  /// GGUF's architecture, which prefixes its keys; nil for `config.json`.
  let architecture: String?
  /// This family's names in `config.json` where they differ from Llama's.
  var aliases: [String: String] = [:]
  /// What absent integers are taken to be, where a family's files leave them out.
  var defaults: [String: Int] = [:]

  private static let ggufNames: [String: String] = [
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "intermediate_size": "feed_forward_length",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "layer_norm_eps": "attention.layer_norm_epsilon",
    "rope_theta": "rope.freq_base",
    "rotary_dimensions": "rope.dimension_count",
    "sliding_window": "attention.sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "use_parallel_residual": "use_parallel_residual",
  ]

  var source: String { file.source }

  /// The same keys under a family's own names in `config.json`.
  func renamed(_ aliases: [String: String]) -> ModelKeys {
    ModelKeys(file: file, architecture: architecture, aliases: aliases, defaults: defaults)
  }

  /// The same keys with values for integers that `config.json` may leave out.
  func with(defaults: [String: Int]) -> ModelKeys {
    ModelKeys(file: file, architecture: architecture, aliases: aliases, defaults: architecture == nil ? defaults : [:])
  }

  /// The key in the file, or nil where this container has no such setting.
  private func name(_ key: String) -> String? {
    guard let architecture else { return aliases[key] ?? key }
    return ModelKeys.ggufNames[key].map { "\(architecture).\($0)" }
  }

  func int(_ key: String) throws -> Int {
    if defaults[key] != nil, let value = try int(ifPresent: key) { return value }
    guard let name = name(key) else { throw EngineError(.file, "\(source): GGUF has no setting like \(key)") }
    return try file.int(name)
  }

  func int(ifPresent key: String) throws -> Int? {
    try name(key).flatMap { try file.int(ifPresent: $0) } ?? defaults[key]
  }

  func double(ifPresent key: String) throws -> Double? { try name(key).flatMap { try file.double(ifPresent: $0) } }
  func bool(ifPresent key: String) throws -> Bool? { try name(key).flatMap { try file.bool(ifPresent: $0) } }
  func string(ifPresent key: String) throws -> String? { try name(key).flatMap { try file.string(ifPresent: $0) } }
  func names(ifPresent key: String) throws -> [String]? { try name(key).flatMap { try file.names(ifPresent: $0) } }

  /// An object inside `config.json`; GGUF has none.
  func object(ifPresent key: String) throws -> ConfigurationFile? {
    try (file as? ConfigurationFile)?.object(ifPresent: key)
  }

  /// Refuses a setting that would change the computation in a way the decoder does not know.
  func refuse(_ key: String, _ why: String) throws {
    if try bool(ifPresent: key) == true { throw EngineError(.file, "\(source): \(key) is true; \(why)") }
  }

  /// The number of layers, bounded before anything is allocated by it.
  func layerCount() throws -> Int {
    let count = try int("num_hidden_layers")
    guard (1...1024).contains(count) else {
      throw EngineError(.file, "\(source): num_hidden_layers is \(count), which no model has (1 to 1024)")
    }
    return count
  }

  /// The activation that `key` names, or `fallback` where the file does not say.
  func activation(_ key: String, _ fallback: ModelConfiguration.Activation) throws -> ModelConfiguration.Activation {
    guard let name = try string(ifPresent: key) else { return fallback }
    let known: [String: ModelConfiguration.Activation] = [
      "silu": .silu, "swish": .silu, "relu": .relu, "gelu": .gelu, "gelu_new": .geluTanh, "gelu_fast": .geluTanh,
      "gelu_pytorch_tanh": .geluTanh,
    ]
    if let activation = known[name] { return activation }
    let names = known.keys.sorted()
    throw EngineError(
      .file,
      "\(source): \(key) is \(name), which is not known (\(names.joined(separator: ", ")))"
        + suggestion(for: name, in: names))
  }

  /// For each layer whether it attends to a window only: `layer_types`, or what `isLocal` says of a layer.
  func localLayers(count: Int, _ isLocal: (Int) -> Bool) throws -> [Bool] {
    guard let types = try names(ifPresent: "layer_types") else { return (0..<count).map(isLocal) }
    guard types.count == count, types.allSatisfy({ $0 == "full_attention" || $0 == "sliding_attention" }) else {
      throw EngineError(
        .file, "\(source): layer_types must name full_attention or sliding_attention for each of \(count) layers")
    }
    return types.map { $0 == "sliding_attention" }
  }
}
