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
    var configuration = try llama(keys)
    guard try keys.bool(ifPresent: "use_sliding_window") == true else { return configuration }
    let first = try keys.int(ifPresent: "max_window_layers") ?? 28
    let window = try keys.int(ifPresent: "sliding_window") ?? 4096
    let isLocal = try keys.localLayers(count: configuration.layerCount) { $0 >= first }
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
