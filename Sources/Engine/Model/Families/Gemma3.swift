import Foundation

/// Gemma 3, text: norms before and after each sublayer, QK-norm, five sliding-window layers (local rotary base) for
/// each global one, embeddings scaled by sqrt(d_model), tanh-GELU gate.
/// `config.json` model_type `gemma3_text`; GGUF architecture `gemma3`.
extension Family {
  static let gemma3 = Family(
    modelTypes: ["gemma3_text"],
    architecture: "gemma3",
    configuration: { keys in
      var configuration = try ModelConfiguration.llama(keys)
      let window = try keys.int(ifPresent: "sliding_window") ?? 512
      let local = try keys.double(ifPresent: "rope_local_base_freq") ?? 10_000
      let global = try keys.double(ifPresent: "rope_theta") ?? 1_000_000
      let count = configuration.layerCount
      let pattern = try keys.int(ifPresent: "sliding_window_pattern") ?? 6
      guard pattern > 0 else { throw EngineError(.file, "\(keys.source): sliding_window_pattern is \(pattern)") }
      let types =
        try keys.names(ifPresent: "layer_types")
        ?? (0..<count).map { ($0 + 1) % pattern == 0 ? "full_attention" : "sliding_attention" }
      guard types.count == count, types.allSatisfy({ $0 == "full_attention" || $0 == "sliding_attention" }) else {
        throw EngineError(
          .file, "\(keys.source): layer_types must name full_attention or sliding_attention for each of \(count) layers")
      }
      configuration.family = "gemma3"
      configuration.layers = types.map {
        $0 == "full_attention"
          ? .init(window: nil, rotaryBase: global) : .init(window: window, rotaryBase: local)
      }
      let scalar = try keys.double(ifPresent: "query_pre_attn_scalar") ?? Double(configuration.dHead)
      guard scalar > 0 else { throw EngineError(.file, "\(keys.source): query_pre_attn_scalar is \(scalar)") }
      configuration.scoreScale = 1 / scalar.squareRoot()
      configuration.scoreSoftCap = try keys.double(ifPresent: "attn_logit_softcapping")
      configuration.logitSoftCap = try keys.double(ifPresent: "final_logit_softcapping")
      configuration.activation = .geluTanh
      configuration.queryKeyNorm = true
      configuration.postNorms = true
      configuration.tiedEmbedding = try keys.bool(ifPresent: "tie_word_embeddings") ?? true
      configuration.embeddingScale = Double(configuration.dModel).squareRoot()
      return configuration
    },
    tensors: .llama.with(
      checkpoint: [
        .postAttentionNorm: "model.layers.%.post_attention_layernorm.weight",
        .mlpNorm: "model.layers.%.pre_feedforward_layernorm.weight",
        .postMLPNorm: "model.layers.%.post_feedforward_layernorm.weight",
      ],
      gguf: [
        .postAttentionNorm: "blk.%.post_attention_norm.weight",
        .postMLPNorm: "blk.%.post_ffw_norm.weight",
      ]),
    checkpointNormOffset: 1)
}
