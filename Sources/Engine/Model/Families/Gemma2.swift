/// Gemma 2: norms before and after each sublayer, every other layer with a sliding window, soft caps on scores and
/// logits, embeddings scaled by sqrt(d_model), tanh-GELU gate.
/// `config.json` model_type `gemma2`; GGUF architecture `gemma2`.
extension Family {
  static let gemma2 = Family(
    modelTypes: ["gemma2"],
    architecture: "gemma2",
    modelClass: "Gemma2ForCausalLM",
    configuration: { keys in
      var configuration = try ModelConfiguration.gemma(keys, largestLayerCount: 46)
      configuration.family = "gemma2"
      configuration.scoreSoftCap = try keys.double(ifPresent: "attn_logit_softcapping") ?? 50
      configuration.logitSoftCap = try keys.double(ifPresent: "final_logit_softcapping") ?? 30
      let window = try keys.int(ifPresent: "sliding_window") ?? 4096
      let isLocal = try keys.localLayers(count: configuration.layerCount) { $0.isMultiple(of: 2) }
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
    var configuration = try llama(keys)
    let isLargest = keys.architecture != nil && configuration.layerCount == largestLayerCount
    let usual = isLargest ? configuration.dModel / configuration.headCount : configuration.dHead
    let scalar = try keys.double(ifPresent: "query_pre_attn_scalar") ?? Double(usual)
    guard scalar > 0, scalar.isFinite else {
      throw EngineError(.file, "\(keys.source): query_pre_attn_scalar is \(scalar)")
    }
    configuration.scoreScale = 1 / scalar.squareRoot()
    configuration.activation = try keys.activation("hidden_activation", .geluTanh)
    configuration.postNorms = true
    configuration.tiedEmbedding = try keys.bool(ifPresent: "tie_word_embeddings") ?? true
    configuration.embeddingScale = Double(configuration.dModel).squareRoot()
    return configuration
  }

  /// The way back.
  var gemmaSettings: ModelSettings {
    // The scale is the root of a whole number in all that were published; the square of a root may miss it.
    let scalar = 1 / (scoreScale * scoreScale), whole = scalar.rounded()
    return llamaSettings.with(windowSettings).with([
      "hidden_activation": activation.setting, "attention_bias": .bool(false),
      "query_pre_attn_scalar": 1 / whole.squareRoot() == scoreScale ? .integer(Int(whole)) : .number(scalar),
      "attn_logit_softcapping": scoreSoftCap.map { .number($0) } ?? .null,
      "final_logit_softcapping": logitSoftCap.map { .number($0) } ?? .null,
    ])
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
