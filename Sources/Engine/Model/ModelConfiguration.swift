/// What one decoder needs to know to be any of the families: sizes, norms, rotary, attention, MLP.
public struct ModelConfiguration: Sendable, Equatable {
  public enum Activation: String, Sendable { case silu, geluTanh }

  /// One layer's attention span and rotary base; Gemma 3 mixes local and global layers.
  public struct Layer: Sendable, Equatable {
    /// Keys a query sees, itself included; nil sees all earlier ones.
    public var window: Int?
    public var rotaryBase: Double
  }

  public var family: String
  public var dModel: Int
  public var headCount: Int
  public var kvHeadCount: Int
  public var dHead: Int
  public var dMLP: Int
  public var vocabularySize: Int
  public var contextLength: Int
  public var normEpsilon: Double
  public var layers: [Layer]
  /// Scores are multiplied by this: 1 / sqrt(d_head), or Gemma's 1 / sqrt(query_pre_attn_scalar).
  public var scoreScale: Double
  public var scoreSoftCap: Double?
  public var logitSoftCap: Double?
  public var activation: Activation
  /// RMS norm of every query and key head before rotary (Gemma 3, Qwen 3).
  public var queryKeyNorm = false
  /// Norms between a sublayer's output and the stream (Gemma 2 and 3).
  public var postNorms = false
  public var tiedEmbedding: Bool
  /// Embeddings are multiplied by this: Gemma's sqrt(d_model), else 1.
  public var embeddingScale: Double = 1

  public var layerCount: Int { layers.count }

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
    try check(dHead % 2 == 0, "the head size \(dHead) is odd, so rotary embeddings cannot pair its dimensions")
    try check(normEpsilon.isFinite && normEpsilon >= 0, "the norm's epsilon is \(normEpsilon)")
    for layer in layers {
      try check(layer.rotaryBase.isFinite && layer.rotaryBase >= 1, "a rotary base is \(layer.rotaryBase)")
      try check(layer.window.map { $0 >= 1 } ?? true, "an attention window is \(layer.window ?? 0)")
    }
    return self
  }
}
