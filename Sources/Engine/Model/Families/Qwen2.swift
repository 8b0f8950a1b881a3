/// Qwen 2 and 2.5: a Llama block whose query, key and value projections carry a bias; later layers may attend to a
/// window only where the settings ask for it.
/// `config.json` model_type `qwen2`; GGUF architecture `qwen2`.
extension Family {
  static let qwen2 = Family(
    modelTypes: ["qwen2"],
    architecture: "qwen2",
    modelClass: "Qwen2ForCausalLM",
    configuration: { try .qwen(keys: $0).with(\.family, "qwen2").with(\.biases, [.query, .key, .value]) },
    settings: { $0.qwenSettings },
    tensors: .llama)
}

extension ModelConfiguration {
  /// What Qwen 2 and 3 share.
  static func qwen(keys: ModelKeys) throws -> ModelConfiguration {
    let keys = keys.with(
      defaults: ["num_key_value_heads": 32, "max_position_embeddings": 32_768],
      sizes: [
        "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 22_016, "num_hidden_layers": 32,
        "num_attention_heads": 32,
      ])
    var configuration = try llama(keys)
    let isUsed = try keys.bool(ifPresent: "use_sliding_window") == true && !keys.isNull("sliding_window")
    let first = try keys.int(ifPresent: "max_window_layers") ?? 28
    let window = try keys.int(ifPresent: "sliding_window") ?? 4096
    let isLocal = try keys.localLayers(count: configuration.layerCount) { isUsed && $0 >= first }
    guard isUsed || !isLocal.contains(true) else {
      throw EngineError(
        .file, "\(keys.source): layer_types has sliding_attention, while use_sliding_window or sliding_window is off")
    }
    for layer in configuration.layers.indices where isLocal[layer] { configuration.layers[layer].window = window }
    return configuration
  }

  /// The way back.
  var qwenSettings: ModelSettings {
    let settings = llamaSettings.with(windowSettings)
    guard let first = layers.firstIndex(where: { $0.window != nil }) else {
      return settings.with(["use_sliding_window": .bool(false)])
    }
    return settings.with(["use_sliding_window": .bool(true), "max_window_layers": .integer(first)])
  }
}
