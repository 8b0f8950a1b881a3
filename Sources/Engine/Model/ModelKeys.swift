/// A model's settings under the names of Hugging Face's `config.json`, whichever container they come from.
///
/// GGUF files spell the same settings `<architecture>.<name>`; the table below translates, once for all families.
struct ModelKeys {
  let file: any ConfigurationKeys
  /// GGUF's architecture, which prefixes its keys; nil for `config.json`.
  let architecture: String?

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
    "rope_theta": "rope.freq_base",
    "sliding_window": "attention.sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
  ]

  var source: String { file.source }

  /// The key in the file, or nil where this container has no such setting.
  private func name(_ key: String) -> String? {
    guard let architecture else { return key }
    return ModelKeys.ggufNames[key].map { "\(architecture).\($0)" }
  }

  func int(_ key: String) throws -> Int {
    guard let name = name(key) else { throw EngineError(.file, "\(source): GGUF has no setting like \(key)") }
    return try file.int(name)
  }

  func int(ifPresent key: String) throws -> Int? { try name(key).flatMap { try file.int(ifPresent: $0) } }
  func double(ifPresent key: String) throws -> Double? { try name(key).flatMap { try file.double(ifPresent: $0) } }
  func bool(ifPresent key: String) throws -> Bool? { try name(key).flatMap { try file.bool(ifPresent: $0) } }
  func string(ifPresent key: String) throws -> String? { try name(key).flatMap { try file.string(ifPresent: $0) } }
  func names(ifPresent key: String) throws -> [String]? { try name(key).flatMap { try file.names(ifPresent: $0) } }

  /// The number of layers, bounded before anything is allocated by it.
  func layerCount() throws -> Int {
    let count = try int("num_hidden_layers")
    guard (1...1024).contains(count) else {
      throw EngineError(.file, "\(source): num_hidden_layers is \(count), which no model has (1 to 1024)")
    }
    return count
  }
}
