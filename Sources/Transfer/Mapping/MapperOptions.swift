import Engine

/// What a map is and how it is fitted. Options left nil take the preset's value.
public struct MapperOptions: Sendable, Codable, Equatable {
  public enum Method: String, CaseIterable, Codable, Sendable {
    /// Trained by gradients: `D relu(E x + e) + d`, and `W x + b`.
    case autoencoder, affine
    /// In closed form: penalised least squares.
    case ridge
    /// The activation as it is, and less the source's mean plus the target's; equal widths only.
    case identity
    case meanShift = "mean_shift"
    /// A rotation and a scale of centred activations.
    case procrustes
    /// Ridge through few directions (reduced-rank regression).
    case lowRank = "low_rank"
    /// A null: ridge on each text's rows with another text's.
    case shuffled

    public var isTrained: Bool { self == .autoencoder || self == .affine }
    /// Whether sums over rows are enough, so that no row need be held.
    public var streams: Bool { !isTrained && self != .shuffled }
  }

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
  /// Instead of a number of epochs: training goes on until the loss on validation texts (a tenth of the training texts,
  /// the held-out ones stay untouched) has not fallen by a thousandth for so many epochs, falls tenfold in its rate, and
  /// ends when that happens again. The parameters of the best epoch are kept.
  public var patience: Int?
  /// Where training with `patience` ends in any case; 1000 unless given.
  public var maximumEpochs: Int?
  /// Rank of a low-rank map; 64, or the smaller width, unless given.
  public var rank: Int?
  public var learningRate: Double?
  /// Rows of a batch; with the paper's preset and nil, 16 sequences.
  public var batch: Int?
  /// Penalty of ridge, low-rank and shuffled maps, relative to the mean diagonal of the standardised source's Gram
  /// matrix.
  public var lambda: Double = 1e-3
  public var alignment: TokenAlignment = .offset
  /// Share of texts held out for the report.
  public var holdout: Double = 0.1
  public var seed: Int = 0
  /// Whether first tokens (attention sinks) become rows.
  public var includesFirst = false
  /// Which rows a map was fitted to where not all were: "last", "texts", ...
  public var rows: String?

  public init(method: Method = .autoencoder, preset: Preset = .standard) {
    self.method = method
    self.preset = preset
  }

  /// The numbers a training run uses.
  struct Plan {
    let hidden: Int, epochs: Int, learningRate: Double, batchRows: Int?, batchTexts: Int
    let standardises: Bool, lateFall: Bool, weightDecay: Double
    /// Of early stopping; nil for a fixed number of epochs.
    let patience: Int?
  }

  /// Throws `.argument` for a rank that no map of these widths has.
  func resolvedRank(_ sourceWidth: Int, _ targetWidth: Int) throws -> Int {
    let most = min(sourceWidth, targetWidth)
    guard let rank else { return min(64, most) }
    guard (1...most).contains(rank) else {
      throw EngineError(
        .argument, "rank = \(rank): a map from \(sourceWidth) to \(targetWidth) dimensions has ranks 1 to \(most)")
    }
    return rank
  }

  /// Throws `.argument` for a number out of range.
  func plan(sourceWidth: Int, targetWidth: Int) throws -> Plan {
    let isPaper = preset == .paper
    let plan = Plan(
      hidden: hidden ?? max(1, Int((Double(sourceWidth) * Double(targetWidth)).squareRoot())),
      epochs: patience == nil ? epochs ?? (isPaper ? 3 : 12) : maximumEpochs ?? 1000,
      learningRate: learningRate ?? (isPaper ? 1e-4 : 1e-3),
      batchRows: batch ?? (isPaper ? nil : 256), batchTexts: 16, standardises: !isPaper, lateFall: !isPaper,
      weightDecay: isPaper ? 0.01 : 0, patience: patience)
    guard patience == nil || epochs == nil else {
      throw EngineError(.argument, "give epochs, or patience with a maximum of epochs, not both")
    }
    guard (1...100_000).contains(plan.patience ?? 1) else {
      throw EngineError(.argument, "patience = \(plan.patience ?? 0) must be 1 epoch or more")
    }
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
