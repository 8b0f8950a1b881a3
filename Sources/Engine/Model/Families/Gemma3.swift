/// Gemma 3, text: Gemma 2's block with QK-norm in place of soft caps, and five sliding-window layers (rotary base of
/// their own) for each global one.
/// `config.json` model_type `gemma3_text`, or the `text_config` of a `gemma3`; GGUF architecture `gemma3`.
extension Family {
  static let gemma3 = Family(
    modelTypes: ["gemma3_text"],
    architecture: "gemma3",
    modelClass: "Gemma3ForCausalLM",
    configuration: { keys in
      let keys = keys.with(defaults: ["max_position_embeddings": 131_072], sizes: ["vocab_size": 262_208])
      var configuration = try ModelConfiguration.gemma(
        keys.without("rope_scaling", "rope_parameters"), largestLayerCount: 62)
      configuration.family = "gemma3"
      configuration.queryKeyNorm = true
      // Checked and said, and not applied: neither transformers nor llama.cpp caps this family's scores.
      let unused = try keys.softCap("attn_logit_softcapping", usual: nil)
      guard unused.map({ $0.isFinite && $0 > 0 }) ?? true else {
        throw EngineError(.file, "\(keys.source): attn_logit_softcapping is \(unused ?? 0)")
      }
      configuration.logitSoftCap = try keys.softCap("final_logit_softcapping", usual: nil)
      if keys.architecture != nil, try keys.int(ifPresent: "sliding_window") == nil {
        throw EngineError(.file, "\(keys.source) has no attention.sliding_window, which gemma3's local layers need")
      }
      let window = try keys.window(usual: 4096)
      let global = try keys.rotary(dimensions: configuration.dHead, base: 1_000_000, layerType: "full_attention")
      let local = try keys.localRotary(dimensions: configuration.dHead)
      configuration.extendContext(by: global)
      let pattern = try keys.localPattern()
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
  /// The rotary embedding of sliding-window layers: a base of its own, and no scaling unless it is stated for them.
  fileprivate func localRotary(dimensions: Int) throws -> Rotary {
    if try object(ifPresent: "rope_parameters")?.object(ifPresent: "sliding_attention") != nil {
      return try rotary(dimensions: dimensions, base: 10_000, layerType: "sliding_attention")
    }
    return Rotary(base: try double(ifPresent: "rope_local_base_freq") ?? 10_000, dimensions: dimensions)
  }

  /// Each so many layers one sees all earlier tokens. transformers reads `sliding_window_pattern` alone, and writes both.
  fileprivate func localPattern() throws -> Int {
    if let pattern = try int(ifPresent: "sliding_window_pattern") { return pattern }
    let written = try int(ifPresent: "_sliding_window_pattern") ?? 6
    let hasTypes = try names(ifPresent: "layer_types") != nil
    guard written == 6 || hasTypes else {
      throw EngineError(
        .file,
        "\(source): _sliding_window_pattern is \(written), which transformers does not follow without layer_types; state "
          + "sliding_window_pattern or layer_types")
    }
    return written
  }
}
