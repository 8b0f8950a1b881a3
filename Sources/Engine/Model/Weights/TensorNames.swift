/// What a weight is for.
enum WeightRole: String, CaseIterable, Sendable {
  case embedding, positionEmbedding, finalNorm, unembedding
  case attentionNorm, query, key, value, output, queryNorm, keyNorm, postAttentionNorm
  case mlpNorm, gate, up, down, postMLPNorm

  /// Matrices that may have a bias beside them.
  static let projections: [WeightRole] = [.query, .key, .value, .output, .gate, .up, .down]
}

/// Where a weight `[outputs, inputs]` lies: a tensor, or a part of one that holds several.
struct WeightPlace: Sendable, ExpressibleByStringLiteral {
  /// With `%` for the layer.
  let name: String
  /// The tensor holds `parts` weights of the same size; this is number `part`.
  var part = 0
  var parts = 1
  /// The parts alternate head by head (GPT-NeoX), instead of following each other (GPT-2).
  var isPerHead = false
  /// The tensor is `[inputs, outputs]` (GPT-2's Conv1D).
  var isTransposed = false

  init(stringLiteral name: String) { self.name = name }

  init(_ name: String, part: Int = 0, of parts: Int = 1, isPerHead: Bool = false, isTransposed: Bool = false) {
    self.name = name
    self.part = part
    self.parts = parts
    self.isPerHead = isPerHead
    self.isTransposed = isTransposed
  }
}

/// Tensor names of a family in its two containers. A bias has its weight's name with `.bias` for `.weight`.
struct TensorNames: Sendable {
  /// In Hugging Face checkpoints.
  let checkpoint: [WeightRole: WeightPlace]
  let gguf: [WeightRole: WeightPlace]
  /// What `checkpoint`'s names begin with, and what may stand in its place: nothing where a bare model was saved,
  /// more where the decoder is a part of a larger model.
  var prefix = "model."
  var otherPrefixes = ["", "language_model.model.", "model.language_model."]
  /// Ends of tensors in a block that carry nothing: masks and tables that are computed.
  var ignoredSuffixes = ["rotary_emb.inv_freq"]

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

  /// GGUF's names where one matrix holds queries, keys and values, and the MLP has no gate.
  static let fusedGGUF: [WeightRole: WeightPlace] = [
    .embedding: "token_embd.weight",
    .finalNorm: "output_norm.weight",
    .unembedding: "output.weight",
    .attentionNorm: "blk.%.attn_norm.weight",
    .query: .init("blk.%.attn_qkv.weight", part: 0, of: 3),
    .key: .init("blk.%.attn_qkv.weight", part: 1, of: 3),
    .value: .init("blk.%.attn_qkv.weight", part: 2, of: 3),
    .output: "blk.%.attn_output.weight",
    .mlpNorm: "blk.%.ffn_norm.weight",
    .up: "blk.%.ffn_up.weight",
    .down: "blk.%.ffn_down.weight",
  ]

  func with(checkpoint: [WeightRole: WeightPlace], gguf: [WeightRole: WeightPlace]) -> TensorNames {
    TensorNames(
      checkpoint: self.checkpoint.merging(checkpoint) { $1 }, gguf: self.gguf.merging(gguf) { $1 }, prefix: prefix,
      otherPrefixes: otherPrefixes, ignoredSuffixes: ignoredSuffixes)
  }
}
