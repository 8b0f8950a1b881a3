/// Gemma 2: norms before and after each sublayer, every other layer with a sliding window, soft caps on scores and
/// logits, embeddings scaled by sqrt(d_model), tanh-GELU gate.
/// `config.json` model_type `gemma2`; GGUF architecture `gemma2`.
extension Family {
  static let gemma2 = Family(
    modelTypes: ["gemma2"],
    architecture: "gemma2",
    modelClass: "Gemma2ForCausalLM",
    configuration: { keys in
      let keys = keys.with(defaults: ["max_position_embeddings": 8192], sizes: ["vocab_size": 256_000])
      var configuration = try ModelConfiguration.gemma(keys, largestLayerCount: 46)
      configuration.family = "gemma2"
      configuration.scoreSoftCap = try keys.softCap("attn_logit_softcapping", usual: 50)
      configuration.logitSoftCap = try keys.softCap("final_logit_softcapping", usual: 30)
      let window = try keys.window(usual: 4096)
      let pattern = try keys.int(ifPresent: "sliding_window_pattern") ?? 2  // of GGUF; a folder's layers have types
      guard pattern > 0 else { throw EngineError(.file, "\(keys.source): sliding_window_pattern is \(pattern)") }
      let isLocal = try keys.localLayers(count: configuration.layerCount) { ($0 + 1) % pattern != 0 }
      for layer in configuration.layers.indices where isLocal[layer] { configuration.layers[layer].window = window }
      return configuration
    },
    settings: { $0.gemmaSettings },
    tensors: .gemma,
    checkpointNormOffset: 1)
}

extension ModelConfiguration {
  /// What Gemma 2 and 3 share. `largestLayerCount`: layers of the family's 27B, whose query scale alone is not the head
  /// size, which GGUF files do not tell.
  static func gemma(_ keys: ModelKeys, largestLayerCount: Int) throws -> ModelConfiguration {
    let keys = keys.with(
      defaults: ["num_key_value_heads": 4, "head_dim": 256],
      sizes: [
        "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
      ])
    var configuration = try llama(keys)
    let isLargest = configuration.layerCount == largestLayerCount
    let stored = isLargest ? configuration.dModel / configuration.headCount : configuration.dHead
    let usual = keys.architecture == nil ? 256 : stored
    let scalar = try keys.double(ifPresent: "query_pre_attn_scalar") ?? Double(usual)
    guard scalar > 0, scalar.isFinite else {
      throw EngineError(.file, "\(keys.source): query_pre_attn_scalar is \(scalar)")
    }
    configuration.scoreScale = 1 / scalar.squareRoot()
    configuration.activation = try keys.activation("hidden_activation", .geluTanh)
    configuration.postNorms = true
    if try keys.bool(ifPresent: "attention_bias") == true {
      configuration.biases = [.query, .key, .value, .output]
    }
    configuration.tiedEmbedding = try keys.bool(ifPresent: "tie_word_embeddings") ?? true
    configuration.embeddingScale = Double(configuration.dModel).squareRoot()
    return configuration
  }

  /// The way back.
  var gemmaSettings: ModelSettings {
    // The scale is the root of a whole number in all that were published; the square of a root may miss it.
    let scalar = 1 / (scoreScale * scoreScale), whole = scalar.rounded()
    return llamaSettings.with(windowSettings).with([
      "hidden_activation": activation.setting, "attention_bias": .bool(biases.contains(.query)),
      "query_pre_attn_scalar": 1 / whole.squareRoot() == scoreScale ? .integer(Int(whole)) : .number(scalar),
      "attn_logit_softcapping": scoreSoftCap.map { .number($0) } ?? .null,
      "final_logit_softcapping": logitSoftCap.map { .number($0) } ?? .null,
    ])
  }
}

extension ModelKeys {
  /// The window of local layers; `usual` where the key is absent. `null` names none, and the layers need one.
  func window(usual: Int) throws -> Int {
    guard !isNull("sliding_window") else {
      throw EngineError(.file, "\(source): sliding_window is null, and the family's layers attend to a window")
    }
    return try int(ifPresent: "sliding_window") ?? usual
  }
}

extension TensorNames {
  /// Llama's names with four norms to a block.
  static let gemma = TensorNames.llama.with(
    checkpoint: [
      .postAttentionNorm: "model.layers.%.post_attention_layernorm.weight",
      .mlpNorm: "model.layers.%.pre_feedforward_layernorm.weight",
      .postMLPNorm: "model.layers.%.post_feedforward_layernorm.weight",
    ],
    gguf: [
      .postAttentionNorm: "blk.%.post_attention_norm.weight",
      .postMLPNorm: "blk.%.post_ffw_norm.weight",
    ])
}
