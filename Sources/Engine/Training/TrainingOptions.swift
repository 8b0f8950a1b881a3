import Foundation

/// How a model or an adapter is trained.
public struct TrainingOptions: Sendable {
  public enum Schedule: String, Sendable, CaseIterable {
    case constant, linear, cosine
  }

  public var epochs = 3
  public var learningRate = 1e-3
  /// Examples of one step.
  public var batch = 16
  /// Steps over which the learning rate rises from zero.
  public var warmup = 8
  /// What follows: constant, or down to zero at the last step.
  public var schedule = Schedule.constant
  public var weightDecay = 0.0
  /// Gradients longer than this are shortened to it.
  public var clip = 1.0
  public var seed = 0
  /// Where checkpoints are kept; nil keeps none.
  public var checkpoint: String?
  /// Seconds between checkpoints.
  public var checkpointSeconds = 60.0
  /// Rows that pass through the model at once; larger batches go in several passes.
  public var rows = 2048
  /// Bytes of activations above which blocks are run again for their gradients.
  public var activationBytes = 1 << 31

  public init() {}

  /// Throws `.argument` for values that cannot be.
  public func checked() throws -> TrainingOptions {
    func check(_ ok: Bool, _ what: String) throws { if !ok { throw EngineError(.argument, what) } }
    try check(epochs >= 1, "epochs is \(epochs), expected at least 1")
    try check(batch >= 1, "batch is \(batch), expected at least 1")
    try check(learningRate.isFinite && learningRate > 0, "lr is \(learningRate), expected a positive number")
    try check(warmup >= 0, "warmup is \(warmup), expected 0 or more steps")
    try check(weightDecay.isFinite && weightDecay >= 0, "weight_decay is \(weightDecay), expected 0 or more")
    try check(clip > 0, "clip is \(clip), expected a positive number")
    return self
  }

  /// The learning rate of 0-based `step` of `steps`.
  func rate(at step: Int, of steps: Int) -> Double {
    if step < warmup { return learningRate * Double(step + 1) / Double(warmup) }
    let rest = Double(step - warmup) / Double(max(1, steps - warmup))
    switch schedule {
    case .constant: return learningRate
    case .linear: return learningRate * (1 - rest)
    case .cosine: return learningRate * 0.5 * (1 + cos(Double.pi * rest))
    }
  }
}

/// Where training stands after a step.
public struct TrainingProgress: Sendable {
  /// Steps done, of all.
  public let step: Int
  public let steps: Int
  public let epoch: Int
  /// Mean negative log-likelihood of the step's scored tokens, before it.
  public let loss: Double
  /// Length of the step's gradient before clipping.
  public let gradientNorm: Double
  public let learningRate: Double
  /// Tokens that went through the model so far in this run, and seconds it took.
  public let tokens: Int
  public let seconds: Double

  public var tokensPerSecond: Double { Double(tokens) / max(1e-9, seconds) }
}
