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
  /// Whether the settings are a part of a larger model's, which leaves out all that equals the family's defaults.
  var isPart = false
  /// Keys that `config.json` of this family does not read.
  private var hidden: Set<String> = []

  init(file: any ConfigurationKeys, architecture: String?, isPart: Bool = false) {
    (self.file, self.architecture, self.isPart) = (file, architecture, isPart)
  }

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
    "rope_local_base_freq": "rope.freq_base_swa",
    "sliding_window_pattern": "attention.sliding_window_pattern",
  ]

  var source: String { file.source }

  /// The same keys under a family's own names in `config.json`.
  func renamed(_ aliases: [String: String]) -> ModelKeys {
    var copy = self
    copy.aliases = aliases
    return copy
  }

  /// The same keys with transformers' values for integers that `config.json` may leave out. `sizes`: those that only a
  /// part of a larger model leaves out; a whole model that lacks them is damaged.
  func with(defaults: [String: Int], sizes: [String: Int] = [:]) -> ModelKeys {
    guard architecture == nil else { return self }
    var copy = self
    copy.defaults = self.defaults.merging(defaults) { $1 }
    if isPart { copy.defaults = copy.defaults.merging(sizes) { $1 } }
    return copy
  }

  /// Whether `config.json` says `null`: where that is no mistake, it means off, and not the default.
  func isNull(_ key: String) -> Bool {
    name(key).flatMap { (file as? ConfigurationFile)?.value[$0] } == .null
  }

  /// The same keys without some that `config.json` of this family does not read.
  func without(_ keys: String...) -> ModelKeys {
    var copy = self
    copy.hidden.formUnion(keys)
    return copy
  }

  /// The key in the file, or nil where this container has no such setting.
  private func name(_ key: String) -> String? {
    if architecture == nil, hidden.contains(key) { return nil }
    guard let architecture else { return aliases[key] ?? key }
    return ModelKeys.ggufNames[key].map { "\(architecture).\($0)" }
  }

  func int(_ key: String) throws -> Int {
    if defaults[key] != nil, let value = try int(ifPresent: key) { return value }
    guard let name = name(key) else { throw EngineError(.file, "\(source): GGUF has no setting like \(key)") }
    return try file.int(name)
  }

  func int(ifPresent key: String) throws -> Int? {
    try name(key).flatMap { try file.int(ifPresent: $0) } ?? (isNull(key) ? nil : defaults[key])
  }

  func double(ifPresent key: String) throws -> Double? { try name(key).flatMap { try file.double(ifPresent: $0) } }
  func bool(ifPresent key: String) throws -> Bool? { try name(key).flatMap { try file.bool(ifPresent: $0) } }
  func string(ifPresent key: String) throws -> String? { try name(key).flatMap { try file.string(ifPresent: $0) } }
  func names(ifPresent key: String) throws -> [String]? { try name(key).flatMap { try file.names(ifPresent: $0) } }

  /// An object inside `config.json`; GGUF has none.
  func object(ifPresent key: String) throws -> ConfigurationFile? {
    hidden.contains(key) ? nil : try (file as? ConfigurationFile)?.object(ifPresent: key)
  }

  /// A cap on scores or logits: `usual` where the key is absent; none where it is `null`, or 0 in GGUF.
  func softCap(_ key: String, usual: Double?) throws -> Double? {
    if isNull(key) { return nil }
    let cap = try double(ifPresent: key) ?? usual
    return architecture != nil && cap == 0 ? nil : cap
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
      "gelu_pytorch_tanh": .geluTanh, "gelu_python": .gelu, "gelu_python_tanh": .geluTanh, "gelu_accurate": .geluTanh,
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
