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
    switch options.method {
    case .ridge:
      mapper = try MapFit.statistics(pairs, training).ridge(lambda: options.lambda)
    case .affine, .autoencoder:
      let plan = try options.plan(sourceWidth: pairs.sourceWidth, targetWidth: pairs.targetWidth)
      let moments =
        plan.standardises
        ? try MapFit.moments(pairs, training) : (.none(pairs.sourceWidth), .none(pairs.targetWidth))
      let run = try MapTraining(
        method: options.method, plan: plan, seed: options.seed, source: moments.0, target: moments.1)
      try run.run(pairs, training: training, heldOut: heldOut, progress: progress)
      mapper = try run.result()
    }
    let seconds = (clock.now - start) / .seconds(1)
    report = try MapReport(mapper, on: pairs.subset(heldOut), trainingRows: training.count, seconds: seconds)
    self.options = options
  }

  /// A ridge map from statistics gathered while activations streamed by, reported on `heldOut`.
  public init(ridge statistics: PairStatistics, heldOut: ActivationPairs, options: MapperOptions) throws {
    let clock = ContinuousClock(), start = clock.now
    mapper = try statistics.ridge(lambda: options.lambda)
    let seconds = (clock.now - start) / .seconds(1)
    report = try MapReport(mapper, on: heldOut, trainingRows: statistics.count, seconds: seconds)
    self.options = options
  }

  private static func statistics(_ pairs: ActivationPairs, _ rows: [Int]) throws -> PairStatistics {
    var statistics = PairStatistics(sourceWidth: pairs.sourceWidth, targetWidth: pairs.targetWidth)
    for start in stride(from: 0, to: rows.count, by: 2048) {
      try Interrupt.check()
      let block = Array(rows[start..<min(rows.count, start + 2048)])
      try statistics.add(source: pairs.source.gathered(rows: block), target: pairs.target.gathered(rows: block))
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
