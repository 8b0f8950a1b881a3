/// A model family as a table: how its settings and tensor names translate into one `ModelConfiguration` and one set of
/// weights. Adding a family adds one such value and no branch in the decoder.
struct Family: Sendable {
  /// `model_type` values in `config.json`.
  let modelTypes: [String]
  /// `general.architecture` in GGUF.
  let architecture: String
  let configuration: @Sendable (ModelKeys) throws -> ModelConfiguration
  let tensors: TensorNames
  /// Added to norm weights read from a checkpoint: Gemma stores w - 1 there, while its GGUF has w.
  var checkpointNormOffset: Float = 0
  /// Whether GGUF stores the rows of q and k permuted into interleaved rotary pairs (llama.cpp's conversion of llama).
  var ggufInterleavesRotary = false

  static let all: [Family] = [.llama, .gemma3]

  static func named(modelType: String, source: String) throws -> Family {
    try find(modelType, source, "model_type", all.flatMap(\.modelTypes)) { $0.modelTypes.contains(modelType) }
  }

  static func named(architecture: String, source: String) throws -> Family {
    try find(architecture, source, "architecture", all.map(\.architecture)) { $0.architecture == architecture }
  }

  private static func find(
    _ name: String, _ source: String, _ what: String, _ known: [String], _ matches: (Family) -> Bool
  ) throws -> Family {
    if let family = all.first(where: matches) { return family }
    throw EngineError(
      .file,
      "\(source) has \(what) \(name), which is not supported (supported: \(known.joined(separator: ", ")))"
        + suggestion(for: name, in: known))
  }
}

/// What a weight is for; per-layer roles carry `%` for the layer in their names.
enum WeightRole: String, CaseIterable, Sendable {
  case embedding, finalNorm, unembedding
  case attentionNorm, query, key, value, output, queryNorm, keyNorm, postAttentionNorm
  case mlpNorm, gate, up, down, postMLPNorm
}

/// Tensor names of a family in its two containers.
struct TensorNames: Sendable {
  let checkpoint: [WeightRole: String]
  let gguf: [WeightRole: String]

  /// Llama's names, which most families share.
  static let llama = TensorNames(
    checkpoint: [
      .embedding: "model.embed_tokens.weight",
      .finalNorm: "model.norm.weight",
      .unembedding: "lm_head.weight",
      .attentionNorm: "model.layers.%.input_layernorm.weight",
      .query: "model.layers.%.self_attn.q_proj.weight",
      .key: "model.layers.%.self_attn.k_proj.weight",
      .value: "model.layers.%.self_attn.v_proj.weight",
      .output: "model.layers.%.self_attn.o_proj.weight",
      .queryNorm: "model.layers.%.self_attn.q_norm.weight",
      .keyNorm: "model.layers.%.self_attn.k_norm.weight",
      .mlpNorm: "model.layers.%.post_attention_layernorm.weight",
      .gate: "model.layers.%.mlp.gate_proj.weight",
      .up: "model.layers.%.mlp.up_proj.weight",
      .down: "model.layers.%.mlp.down_proj.weight",
    ],
    gguf: [
      .embedding: "token_embd.weight",
      .finalNorm: "output_norm.weight",
      .unembedding: "output.weight",
      .attentionNorm: "blk.%.attn_norm.weight",
      .query: "blk.%.attn_q.weight",
      .key: "blk.%.attn_k.weight",
      .value: "blk.%.attn_v.weight",
      .output: "blk.%.attn_output.weight",
      .queryNorm: "blk.%.attn_q_norm.weight",
      .keyNorm: "blk.%.attn_k_norm.weight",
      .mlpNorm: "blk.%.ffn_norm.weight",
      .gate: "blk.%.ffn_gate.weight",
      .up: "blk.%.ffn_up.weight",
      .down: "blk.%.ffn_down.weight",
    ])

  func with(checkpoint: [WeightRole: String], gguf: [WeightRole: String]) -> TensorNames {
    TensorNames(
      checkpoint: self.checkpoint.merging(checkpoint) { $1 }, gguf: self.gguf.merging(gguf) { $1 })
  }
}
