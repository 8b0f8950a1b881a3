import Foundation

/// Llama: RMS norms before each sublayer, rotary embeddings, grouped-query attention, SiLU-gated MLP (SmolLM2 is one).
/// `config.json` model_type `llama`; GGUF architecture `llama`.
extension Family {
  static let llama = Family(
    modelTypes: ["llama"],
    architecture: "llama",
    configuration: { try .llama($0) },
    tensors: .llama,
    ggufInterleavesRotary: true)
}

extension ModelConfiguration {
  /// The settings Llama-like families share.
  static func llama(_ keys: ModelKeys) throws -> ModelConfiguration {
    let heads = try keys.int("num_attention_heads"), width = try keys.int("hidden_size")
    guard heads > 0 else { throw EngineError(.file, "\(keys.source): num_attention_heads is \(heads)") }
    let dHead = try keys.int(ifPresent: "head_dim") ?? width / heads
    guard dHead > 0 else { throw EngineError(.file, "\(keys.source): the head size is \(dHead)") }
    let base = try keys.double(ifPresent: "rope_theta") ?? 10_000
    return ModelConfiguration(
      family: "llama",
      dModel: width,
      headCount: heads,
      kvHeadCount: try keys.int(ifPresent: "num_key_value_heads") ?? heads,
      dHead: dHead,
      dMLP: try keys.int("intermediate_size"),
      vocabularySize: try keys.int(ifPresent: "vocab_size") ?? 0,
      contextLength: try keys.int(ifPresent: "max_position_embeddings") ?? 2048,
      normEpsilon: try keys.double(ifPresent: "rms_norm_eps") ?? 1e-6,
      layers: Array(repeating: Layer(window: nil, rotaryBase: base), count: try keys.layerCount()),
      scoreScale: 1 / Double(dHead).squareRoot(),
      activation: .silu,
      tiedEmbedding: try keys.bool(ifPresent: "tie_word_embeddings") ?? false)
  }
}
