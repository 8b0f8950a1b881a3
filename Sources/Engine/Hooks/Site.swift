/// A named place in the decoder where activations can be read and edited: TransformerLens names and meanings.
public enum Site: String, CaseIterable, Sendable {
  /// `[rows, d_model]`: block input, after the attention was added, block output.
  case residPre = "resid_pre"
  case residMid = "resid_mid"
  case residPost = "resid_post"
  /// `[rows, d_model]`: exactly what is added to the stream, after post-norms.
  case attnOut = "attn_out"
  case mlpOut = "mlp_out"
  /// `[rows, heads, d_head]`: q and k before QK-norm and rotary, in checkpoint row order; k and v have n_kv_heads.
  case q, k, v
  /// `[rows, heads, d_head]`: weighted values.
  case z
  /// `[heads, rows, rows]`: after scale, soft cap and mask; before and after the softmax.
  case attnScores = "attn_scores"
  case pattern
  /// `[rows, d_mlp]`: gate (or the only pre-activation), up, act(gate) * up.
  case mlpPre = "mlp_pre"
  case mlpUp = "mlp_up"
  case mlpPost = "mlp_post"
  /// `[rows, d_model]`, no layer: what enters block 0 (embedding after its scale, and a learned position where the
  /// family has them); what the unembedding reads.
  case embed
  case finalNorm = "final_norm"

  public var hasLayer: Bool { self != .embed && self != .finalNorm }

  /// Parallel blocks have no stream between attention and MLP, plain MLPs no gate beside their activation.
  public func exists(in configuration: ModelConfiguration) -> Bool {
    switch self {
    case .residMid: !configuration.isParallel
    case .mlpUp: configuration.isGated
    default: true
    }
  }

  /// Whether rows are attention rows over all earlier positions.
  public var isAttentionMatrix: Bool { self == .attnScores || self == .pattern }
}
