/// Llama 2 and 3: RMS norms before each sublayer, rotary embeddings (scaled in 3.1 and 3.2), grouped-query attention,
/// SiLU-gated MLP, biases where the settings ask for them. SmolLM2 is one.
/// `config.json` model_type `llama`; GGUF architecture `llama`.
extension Family {
  static let llama = Family(
    modelTypes: ["llama"],
    architecture: "llama",
    modelClass: "LlamaForCausalLM",
    configuration: { keys in
      let keys = keys.with(
        defaults: ["max_position_embeddings": 2048],
        sizes: [
          "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
          "num_attention_heads": 32,
        ])
      var configuration = try ModelConfiguration.llama(keys)
      if try keys.bool(ifPresent: "attention_bias") == true { configuration.biases = [.query, .key, .value, .output] }
      if try keys.bool(ifPresent: "mlp_bias") == true { configuration.biases.formUnion([.gate, .up, .down]) }
      return configuration
    },
    settings: {
      $0.llamaSettings.with([
        "attention_bias": .bool($0.biases.contains(.query)), "mlp_bias": .bool($0.biases.contains(.up)),
      ])
    },
    tensors: .llama,
    ggufInterleavesRotary: true)
}

extension ModelConfiguration {
  /// The settings Llama-like families share. `mlpSize`: where a file may leave it out.
  static func llama(_ keys: ModelKeys, mlpSize: (_ dModel: Int) -> Int? = { _ in nil }) throws -> ModelConfiguration {
    let heads = try keys.int("num_attention_heads"), width = try keys.int("hidden_size")
    guard heads > 0 else { throw EngineError(.file, "\(keys.source): num_attention_heads is \(heads)") }
    guard (1...1 << 17).contains(width) else {
      throw EngineError(.file, "\(keys.source): hidden_size is \(width), which no model has (1 to \(1 << 17))")
    }
    let named = try keys.int(ifPresent: "head_dim"), dHead = named ?? width / heads
    guard dHead > 0 else { throw EngineError(.file, "\(keys.source): the head size is \(dHead)") }
    guard named != nil || width % heads == 0 else {
      throw EngineError(.file, "\(keys.source): hidden_size \(width) cannot be shared by \(heads) heads evenly")
    }
    let rotary = try keys.rotary(dimensions: dHead, base: 10_000)
    var configuration = ModelConfiguration(
      family: "llama",
      dModel: width,
      headCount: heads,
      kvHeadCount: try keys.int(ifPresent: "num_key_value_heads") ?? heads,
      dHead: dHead,
      dMLP: try keys.int(ifPresent: "intermediate_size") ?? mlpSize(width) ?? keys.int("intermediate_size"),
      vocabularySize: try keys.int(ifPresent: "vocab_size") ?? 0,
      contextLength: try keys.int(ifPresent: "max_position_embeddings") ?? 2048,
      normEpsilon: try keys.double(ifPresent: "rms_norm_eps") ?? 1e-6,
      layers: Array(repeating: Layer(window: nil, rotary: rotary), count: try keys.layerCount()),
      scoreScale: 1 / Double(dHead).squareRoot(),
      activation: try keys.activation("hidden_act", .silu),
      tiedEmbedding: try keys.bool(ifPresent: "tie_word_embeddings") ?? false)
    configuration.extendContext(by: rotary)
    return configuration
  }
}
