import Engine

/// A map fitted to activation pairs, and how it does on texts it did not see.
public struct MapFit: Sendable {
  public let mapper: any Mapper
  public let report: MapReport
  public let options: MapperOptions

  /// Fits by `options.method`. `progress` is called during training; what it throws ends the fit.
  /// Throws `.argument` for options out of range or too few texts, `.numeric` where the data has no such map.
  public init(
    _ pairs: ActivationPairs, options: MapperOptions, progress: (MapTrainingProgress) throws -> Void = { _ in }
  ) throws {
    let (training, heldOut) = try pairs.split(holdout: options.holdout, seed: options.seed)
    let clock = ContinuousClock(), start = clock.now
    guard options.rank == nil || options.method == .lowRank else {
      throw EngineError(.argument, "rank belongs to method \"low_rank\", not to \"\(options.method.rawValue)\"")
    }
    var curve: MapTraining.Outcome?, trainingRows = training.count
    switch options.method {
    case .ridge, .identity, .meanShift, .procrustes, .lowRank:
      mapper = try MapFit.statistics(pairs, training).map(options)
    case .shuffled:
      let (source, target) = try pairs.shuffledTexts(training, seed: options.seed)
      trainingRows = source.count
      mapper = try MapFit.statistics(pairs, source, target).map(options)
    case .affine, .autoencoder:
      let parts = try options.patience.map { _ in try pairs.validation(training, options) }
      let fitted = parts?.training ?? training
      let plan = try options.plan(sourceWidth: pairs.sourceWidth, targetWidth: pairs.targetWidth)
      let moments =
        plan.standardises
        ? try MapFit.moments(pairs, fitted) : (.none(pairs.sourceWidth), .none(pairs.targetWidth))
      let run = try MapTraining(
        method: options.method, plan: plan, seed: options.seed, source: moments.0, target: moments.1)
      curve = try run.run(
        pairs, training: fitted, heldOut: heldOut, validation: parts?.validation ?? [], progress: progress)
      trainingRows = fitted.count
      mapper = try run.result()
    }
    let seconds = (clock.now - start) / .seconds(1)
    var report = try MapReport(mapper, on: pairs.subset(heldOut), trainingRows: trainingRows, seconds: seconds)
    (report.curve, report.converged, report.bestEpoch) = (curve?.epochs, curve?.converged, curve?.best)
    self.report = report
    self.options = options
  }

  /// A closed-form map from statistics gathered while activations streamed by, reported on `heldOut`.
  init(_ statistics: PairStatistics, heldOut: ActivationPairs, options: MapperOptions) throws {
    let clock = ContinuousClock(), start = clock.now
    mapper = try statistics.map(options)
    let seconds = (clock.now - start) / .seconds(1)
    report = try MapReport(mapper, on: heldOut, trainingRows: statistics.count, seconds: seconds)
    self.options = options
  }

  /// Sums over rows `rows` of the source with rows `others`, the same ones unless given, of the target.
  private static func statistics(
    _ pairs: ActivationPairs, _ rows: [Int], _ others: [Int]? = nil
  ) throws -> PairStatistics {
    var statistics = PairStatistics(sourceWidth: pairs.sourceWidth, targetWidth: pairs.targetWidth)
    for start in stride(from: 0, to: rows.count, by: 2048) {
      try Interrupt.check()
      let block = start..<min(rows.count, start + 2048)
      try statistics.add(
        source: pairs.source.gathered(rows: Array(rows[block])),
        target: pairs.target.gathered(rows: Array((others ?? rows)[block])))
    }
    return statistics
  }

  private static func moments(
    _ pairs: ActivationPairs, _ rows: [Int]
  ) throws -> (source: Standardisation, target: Standardisation) {
    (Standardisation(rows, of: pairs.source), Standardisation(rows, of: pairs.target))
  }
}

extension Standardisation {
  /// Mean and deviation of every column over rows `indices` of `data`, in two passes in Double.
  init(_ indices: [Int], of data: Tensor) {
    let width = data.shape[1], count = Double(max(1, indices.count))
    var means = Array(repeating: 0.0, count: width), squares = means
    for row in indices {
      let x = data.pointer + row * width
      for i in 0..<width { means[i] += Double(x[i]) }
    }
    for i in 0..<width { means[i] /= count }
    for row in indices {
      let x = data.pointer + row * width
      for i in 0..<width { squares[i] += (Double(x[i]) - means[i]) * (Double(x[i]) - means[i]) }
    }
    self.init(means: means, deviations: squares.map { ($0 / count).squareRoot() })
  }
}
