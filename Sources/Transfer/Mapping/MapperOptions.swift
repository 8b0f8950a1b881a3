import Engine

/// What a map is and how it is fitted. Options left nil take the preset's value.
public struct MapperOptions: Sendable, Codable, Equatable {
  public enum Method: String, CaseIterable, Codable, Sendable { case autoencoder, affine, ridge }

  public enum Preset: String, CaseIterable, Codable, Sendable {
    /// Standardised in and out, Adam 1e-3 that falls tenfold for the last 30 % of steps, 12 epochs, batches of 256
    /// rows.
    case standard
    /// The paper's: raw mean squared error, AdamW 1e-4 (decay 0.01), 3 epochs, batches of 16 sequences.
    case paper
  }

  public var method: Method = .autoencoder
  public var preset: Preset = .standard
  /// Units of the autoencoder; floor(sqrt(dFrom * dTo)) unless given.
  public var hidden: Int?
  public var epochs: Int?
  public var learningRate: Double?
  /// Rows of a batch; with the paper's preset and nil, 16 sequences.
  public var batch: Int?
  /// Ridge penalty relative to the mean diagonal of the standardised source's Gram matrix.
  public var lambda: Double = 1e-3
  public var alignment: TokenAlignment = .offset
  /// Share of texts held out for the report.
  public var holdout: Double = 0.1
  public var seed: Int = 0
  /// Whether first tokens (attention sinks) become rows.
  public var includesFirst = false

  public init(method: Method = .autoencoder, preset: Preset = .standard) {
    self.method = method
    self.preset = preset
  }

  /// The numbers a training run uses.
  struct Plan {
    let hidden: Int, epochs: Int, learningRate: Double, batchRows: Int?, batchTexts: Int
    let standardises: Bool, lateFall: Bool, weightDecay: Double
  }

  /// Throws `.argument` for a number out of range.
  func plan(sourceWidth: Int, targetWidth: Int) throws -> Plan {
    let isPaper = preset == .paper
    let plan = Plan(
      hidden: hidden ?? max(1, Int((Double(sourceWidth) * Double(targetWidth)).squareRoot())),
      epochs: epochs ?? (isPaper ? 3 : 12), learningRate: learningRate ?? (isPaper ? 1e-4 : 1e-3),
      batchRows: batch ?? (isPaper ? nil : 256), batchTexts: 16, standardises: !isPaper, lateFall: !isPaper,
      weightDecay: isPaper ? 0.01 : 0)
    guard (1...1 << 20).contains(plan.hidden) else {
      throw EngineError(.argument, "hidden = \(plan.hidden) is not a size")
    }
    guard (1...1_000_000).contains(plan.epochs) else {
      throw EngineError(.argument, "epochs = \(plan.epochs) must be 1 or more")
    }
    guard plan.learningRate > 0, plan.learningRate.isFinite else {
      throw EngineError(.argument, "lr = \(plan.learningRate) must be a positive number")
    }
    guard (1...1 << 24).contains(plan.batchRows ?? 1) else {
      throw EngineError(.argument, "batch = \(plan.batchRows ?? 0) must be 1 row or more")
    }
    return plan
  }
}
