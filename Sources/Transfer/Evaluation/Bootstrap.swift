import Engine

/// An estimate with a percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).
public struct Bootstrap: Sendable {
  public let estimate: Double
  public let low: Double, high: Double
  /// Deviation of the draws.
  public let error: Double
  public let draws: Int
  /// How many levels each factor had; one level says nothing of how much the factor varies.
  public let levels: [Int]

  /// Values that may share levels of several factors: prompts, seeds of training, draws of map texts.
  public struct Sample: Sendable {
    public let values: [Double]
    /// For each factor each value's level, from 0; none: every value is a level of its own.
    public let factors: [[Int]]

    public init(_ values: [Double], factors: [[Int]] = []) throws {
      guard !values.isEmpty else { throw EngineError(.argument, "bootstrap: there are no values") }
      if let wrong = values.firstIndex(where: { !$0.isFinite }) {
        throw EngineError(.numeric, "bootstrap: value \(wrong + 1) is \(values[wrong])")
      }
      for (place, factor) in factors.enumerated() where factor.count != values.count {
        throw EngineError(
          .argument, "bootstrap: factor \(place + 1) has \(factor.count) levels for \(values.count) values")
      }
      self.values = values
      self.factors = factors.isEmpty ? [Array(values.indices)] : factors
    }
  }

  /// Draws levels of every factor with replacement, each factor on its own, and counts a value as often as its levels
  /// came together (the pigeonhole bootstrap of Owen 2007; for one factor the ordinary one, by groups). `statistic` gets
  /// a value as often as it counts; nil is the mean. A draw in which no value counts is drawn again.
  public init(
    _ sample: Sample, draws: Int = 10_000, level: Double = 0.95, seed: Int = 0,
    statistic: (([Double]) throws -> Double)? = nil
  ) throws {
    guard level > 0, level < 1 else { throw EngineError(.argument, "level = \(level) is not between 0 and 1") }
    guard draws >= 100 else { throw EngineError(.argument, "draws = \(draws): an interval needs 100 or more") }
    let values = sample.values
    let counts = sample.factors.map { ($0.max() ?? -1) + 1 }
    var generator = RandomGenerator(seed: seed)
    var results: [Double] = []
    results.reserveCapacity(draws)
    var attempts = 0
    while results.count < draws {
      if results.count % 256 == 0 { try Interrupt.check() }
      attempts += 1
      guard attempts <= 100 * draws else {
        throw EngineError(.numeric, "bootstrap: levels of the factors hardly ever come together; give fewer factors")
      }
      var weights = Array(repeating: 1, count: values.count)
      for (factor, count) in zip(sample.factors, counts) {
        var times = Array(repeating: 0, count: count)
        for _ in 0..<count { times[generator.below(count)] += 1 }
        for place in values.indices { weights[place] *= times[factor[place]] }
      }
      let total = weights.reduce(0, +)
      guard total > 0 else { continue }
      if let statistic {
        let drawn = values.indices.flatMap { Array(repeating: values[$0], count: weights[$0]) }
        results.append(try statistic(drawn))
      } else {
        results.append(zip(values, weights).reduce(0) { $0 + $1.0 * Double($1.1) } / Double(total))
      }
    }
    if results.contains(where: { !$0.isFinite }) {
      throw EngineError(.numeric, "bootstrap: the statistic of some draw is no number")
    }
    estimate = try statistic?(values) ?? values.reduce(0, +) / Double(values.count)
    error = Moments(results).variance.squareRoot()
    results.sort()
    (low, high) = (quantile(results, (1 - level) / 2), quantile(results, (1 + level) / 2))
    self.draws = draws
    levels = sample.factors.map { Set($0).count }
  }
}
