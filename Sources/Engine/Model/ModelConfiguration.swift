/// What one decoder needs to know to be any of the families: sizes, norms, rotary, attention, MLP.
public struct ModelConfiguration: Sendable, Equatable {
  public enum Activation: String, Sendable {
    case silu, relu
    /// GELU by the error function.
    case gelu
    /// GELU by its tanh approximation (GPT-2's `gelu_new`, Gemma's `gelu_pytorch_tanh`).
    case geluTanh
  }

  public enum Norm: String, Sendable {
    /// x / sqrt(mean(x^2) + epsilon) * weight.
    case rms
    /// (x - mean) / sqrt(variance + epsilon) * weight + bias.
    case layer
  }

  /// One layer's attention span and rotary embedding; Gemma 3 mixes local and global layers.
  public struct Layer: Sendable, Equatable {
    /// Keys a query sees, itself included; nil sees all earlier ones.
    public var window: Int?
    /// nil where positions are learned embeddings (GPT-2).
    public var rotary: Rotary?
  }

  public var family: String
  public var dModel: Int
  public var headCount: Int
  public var kvHeadCount: Int
  public var dHead: Int
  public var dMLP: Int
  public var vocabularySize: Int
  /// Positions it can run over, scaled rotary embeddings taken into account.
  public var contextLength: Int
  /// `max_position_embeddings`, where that is another number: the context before scaling.
  public var statedContext: Int?
  public var norm = Norm.rms
  public var normEpsilon: Double
  public var layers: [Layer]
  /// Scores are multiplied by this: 1 / sqrt(d_head), or Gemma's 1 / sqrt(query_pre_attn_scalar).
  public var scoreScale: Double
  public var scoreSoftCap: Double?
  public var logitSoftCap: Double?
  public var activation: Activation
  /// act(gate) * up, as against act(up) alone.
  public var isGated = true
  /// Projections that add a bias.
  var biases: Set<WeightRole> = []
  /// RMS norm of every query and key head before rotary (Gemma 3, Qwen 3).
  public var queryKeyNorm = false
  /// Norms between a sublayer's output and the stream (Gemma 2 and 3).
  public var postNorms = false
  /// Attention and MLP both read the block's input, so that there is no `resid_mid` (Pythia).
  public var isParallel = false
  public var tiedEmbedding: Bool
  /// Embeddings are multiplied by this: Gemma's sqrt(d_model), else 1.
  public var embeddingScale: Double = 1
  /// A learned vector for each position is added to the embedding (GPT-2).
  public var learnedPositions = false

  public var layerCount: Int { layers.count }

  /// A copy with one setting changed; family tables read as differences from another family.
  func with<Value>(_ path: WritableKeyPath<ModelConfiguration, Value>, _ value: Value) -> ModelConfiguration {
    var copy = self
    copy[keyPath: path] = value
    return copy
  }

  /// Takes the context from a rotary embedding: scaled, it goes further than the file states.
  mutating func extendContext(by rotary: Rotary) {
    let stated = statedContext ?? contextLength, context = rotary.context(stated: stated)
    (contextLength, statedContext) = (context, context == stated ? nil : stated)
  }

  /// Refuses sizes that are absent, absurd or do not fit each other.
  func validated(source: String) throws -> ModelConfiguration {
    func check(_ ok: Bool, _ what: String) throws {
      if !ok { throw EngineError(.file, "\(source): \(what)") }
    }
    for (name, value, limit) in [
      ("hidden size", dModel, 1 << 17), ("number of heads", headCount, 1 << 12),
      ("number of key-value heads", kvHeadCount, 1 << 12), ("head size", dHead, 1 << 12),
      ("MLP size", dMLP, 1 << 19), ("vocabulary size", vocabularySize, 1 << 22),
      ("number of layers", layerCount, 1 << 10), ("context length", contextLength, 1 << 28),
    ] {
      try check(value >= 1 && value <= limit, "\(name) is \(value), which no model has (1 to \(limit))")
    }
    try check(headCount % kvHeadCount == 0, "\(headCount) heads cannot share \(kvHeadCount) key-value heads evenly")
    try check(normEpsilon.isFinite && normEpsilon >= 0, "the norm's epsilon is \(normEpsilon)")
    try check(scoreScale.isFinite && scoreScale > 0, "attention scores are multiplied by \(scoreScale)")
    for (name, cap) in [("attn_logit_softcapping", scoreSoftCap), ("final_logit_softcapping", logitSoftCap)] {
      try check(cap.map { $0.isFinite && $0 > 0 } ?? true, "\(name) is \(cap ?? 0)")
    }
    for layer in layers {
      try layer.rotary?.validate(headSize: dHead, source: source)
      try check(layer.window.map { $0 >= 1 } ?? true, "an attention window is \(layer.window ?? 0)")
    }
    return self
  }
}
