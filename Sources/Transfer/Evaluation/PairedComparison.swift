import Engine

/// Two measurements of the same prompts, a and b, compared prompt by prompt.
public struct PairedComparison: Sendable {
  /// Mean of a and of b, and a - b.
  public let a: Double, b: Double, difference: Double
  /// Interval of the difference.
  public let low: Double, high: Double
  /// Two-sided.
  public let p: Double
  public let count: Int
  /// Prompts where only a, and only b, is true; nil for numbers.
  public let onlyA: Int?, onlyB: Int?
  /// `mcnemar` (exact) or `t`.
  public let test: String

  /// Yes or no for each prompt: McNemar's exact test (McNemar 1947) on the prompts where the two differ, and Newcombe's
  /// interval 10 for the difference of paired rates (Newcombe 1998, Statistics in Medicine 17, 2635), which does not
  /// shrink to nothing where all prompts agree.
  public init(_ a: [Bool], _ b: [Bool], level: Double = 0.95) throws {
    try requirePairs(a.count, b.count, least: 1, level: level)
    let table = PairedTable(a, b)
    (onlyA, onlyB, count) = (table.onlyA, table.onlyB, a.count)
    (self.a, self.b) = (table.rateA.rate, table.rateB.rate)
    difference = Double(table.onlyA - table.onlyB) / Double(a.count)
    (low, high) = table.interval(z: Distribution.normalQuantile((1 + level) / 2))
    p = Distribution.fairCoins(table.onlyA, of: table.onlyA + table.onlyB)
    test = "mcnemar"
  }

  /// Numbers: Student's t of the differences, interval and test. Where all differences are equal there is no spread to
  /// go by: p is 1 for a difference of 0, else 0.
  public init(_ a: [Double], _ b: [Double], level: Double = 0.95) throws {
    try requirePairs(a.count, b.count, least: 2, level: level)
    try requireFinite(a, b)
    let differences = Moments(zip(a, b).map { $0 - $1 }), freedom = Double(a.count - 1)
    let error = (differences.variance / Double(a.count)).squareRoot()
    let half = Distribution.studentQuantile((1 + level) / 2, freedom) * error
    (self.a, self.b, difference) = (Moments(a).mean, Moments(b).mean, differences.mean)
    (low, high) = (difference - half, difference + half)
    p =
      error > 0
      ? 2 * Distribution.student(-abs(difference) / error, freedom) : difference == 0 ? 1 : 0
    (count, onlyA, onlyB, test) = (a.count, nil, nil, "t")
  }
}

func requirePairs(_ a: Int, _ b: Int, least: Int, level: Double) throws {
  guard a == b else {
    throw EngineError(.argument, "a has \(a) values and b \(b); paired values stand for the same prompts in order")
  }
  guard a >= least else { throw EngineError(.argument, "\(a) pairs are too few: \(least) or more are needed") }
  guard level > 0, level < 1 else { throw EngineError(.argument, "level = \(level) is not between 0 and 1") }
}

func requireFinite(_ lists: [Double]...) throws {
  for (name, list) in zip(["a", "b"], lists) {
    if let wrong = list.firstIndex(where: { !$0.isFinite }) {
      throw EngineError(.numeric, "value \(wrong + 1) of \(name) is \(list[wrong])")
    }
  }
}

/// The fourfold table of paired yes and no.
struct PairedTable {
  let both: Int, onlyA: Int, onlyB: Int, neither: Int

  init(_ a: [Bool], _ b: [Bool]) {
    both = zip(a, b).count { $0 && $1 }
    onlyA = zip(a, b).count { $0 && !$1 }
    onlyB = zip(a, b).count { !$0 && $1 }
    neither = a.count - both - onlyA - onlyB
  }

  var count: Int { both + onlyA + onlyB + neither }
  var rateA: Rate { Rate(hits: both + onlyA, of: count) }
  var rateB: Rate { Rate(hits: both + onlyB, of: count) }

  /// Newcombe's method 10: Wilson limits of both rates, squared and added with the correlation of the table, continuity
  /// corrected.
  func interval(z: Double) -> (low: Double, high: Double) {
    let (a, b, c, d, n) = (Double(both), Double(onlyA), Double(onlyB), Double(neither), Double(count))
    let first = Rate(hits: both + onlyA, of: count, z: z), second = Rate(hits: both + onlyB, of: count, z: z)
    let margins = (a + b) * (c + d) * (a + c) * (b + d)
    var phi = 0.0
    if margins > 0 {
      let product = a * d - b * c
      let corrected = product > 0 ? max(product - n / 2, 0) : product
      phi = corrected / margins.squareRoot()
    }
    func distance(_ x: Double, _ y: Double) -> Double {
      (max(0, x * x - 2 * phi * x * y + y * y)).squareRoot()
    }
    let difference = (b - c) / n
    return (
      difference - distance(first.rate - first.low, second.high - second.rate),
      difference + distance(first.high - first.rate, second.rate - second.low)
    )
  }
}
