/// Gemma 3, text: Gemma 2's block with QK-norm in place of soft caps, and five sliding-window layers (rotary base of
/// their own) for each global one.
/// `config.json` model_type `gemma3_text`, or the `text_config` of a `gemma3`; GGUF architecture `gemma3`.
extension Family {
  static let gemma3 = Family(
    modelTypes: ["gemma3_text"],
    architecture: "gemma3",
    modelClass: "Gemma3ForCausalLM",
    configuration: { keys in
      // A `text_config` leaves out what equals the 4B's settings.
      let keys = keys.with(defaults: [
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
      ])
      var configuration = try ModelConfiguration.gemma(keys, largestLayerCount: 62)
      configuration.family = "gemma3"
      configuration.queryKeyNorm = true
      configuration.scoreSoftCap = try keys.double(ifPresent: "attn_logit_softcapping")
      configuration.logitSoftCap = try keys.double(ifPresent: "final_logit_softcapping")
      let window = try keys.int(ifPresent: "sliding_window") ?? 512
      let global = try keys.rotary(dimensions: configuration.dHead, base: 1_000_000, layerType: "full_attention")
      let local = Rotary(base: try keys.localBase(), dimensions: configuration.dHead)
      let pattern =
        try keys.int(ifPresent: "sliding_window_pattern") ?? keys.int(ifPresent: "_sliding_window_pattern") ?? 6
      guard pattern > 0 else { throw EngineError(.file, "\(keys.source): sliding_window_pattern is \(pattern)") }
      configuration.layers = try keys.localLayers(count: configuration.layerCount) { ($0 + 1) % pattern != 0 }
        .map { $0 ? .init(window: window, rotary: local) : .init(window: nil, rotary: global) }
      return configuration
    },
    settings: {
      let local = $0.layers.first { $0.window != nil }?.rotary
      return $0.gemmaSettings.with(["rope_local_base_freq": .number(local?.base ?? 10_000)])
    },
    tensors: .gemma,
    checkpointNormOffset: 1)
}

extension ModelKeys {
  /// Gemma 3's rotary base of sliding-window layers.
  fileprivate func localBase() throws -> Double {
    let parameters = try object(ifPresent: "rope_parameters")?.object(ifPresent: "sliding_attention")
    return try parameters?.double(ifPresent: "rope_theta") ?? double(ifPresent: "rope_local_base_freq") ?? 10_000
  }
}
