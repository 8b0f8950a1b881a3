import Engine

/// Whether two things are the same but for a margin: two one-sided tests (Schuirmann 1987). They are equivalent at
/// `alpha` where the interval of level 1 - 2 alpha of their difference lies within the margin.
public struct Equivalence: Sendable {
  public let difference: Double
  public let margin: Double
  /// Of level 1 - 2 alpha.
  public let low: Double, high: Double
  /// The larger p of the two tests.
  public let p: Double
  public let isEquivalent: Bool
  public let count: (a: Int, b: Int)

  /// Numbers: by Student's t of the differences where `paired`, else Welch's.
  public init(_ a: [Double], _ b: [Double], margin: Double, paired: Bool, alpha: Double = 0.05) throws {
    try Equivalence.check(a.count, b.count, margin, paired, alpha, least: 2)
    try requireFinite(a, b)
    let x = Moments(a), y = Moments(b)
    let error: Double, freedom: Double
    if paired {
      let differences = Moments(zip(a, b).map { $0 - $1 })
      (error, freedom) = ((differences.variance / Double(a.count)).squareRoot(), Double(a.count - 1))
    } else {
      let (u, v) = (x.variance / Double(a.count), y.variance / Double(b.count))
      error = (u + v).squareRoot()
      freedom =
        error > 0 ? (u + v) * (u + v) / (u * u / Double(a.count - 1) + v * v / Double(b.count - 1)) : 1
    }
    difference = x.mean - y.mean
    let half = error > 0 ? Distribution.studentQuantile(1 - alpha, freedom) * error : 0
    (low, high) = (difference - half, difference + half)
    func tail(_ distance: Double) -> Double {
      error > 0 ? Distribution.student(-distance / error, freedom) : distance > 0 ? 0 : 1
    }
    p = max(tail(margin - difference), tail(margin + difference))
    self.margin = margin
    isEquivalent = p < alpha
    count = (a.count, b.count)
  }

  /// Yes or no: by Newcombe's intervals for a difference of rates (1998: method 10 of either paper, paired or not), which
  /// keep a width where every answer is the same. p is the smallest alpha whose interval lies within the margin.
  public init(_ a: [Bool], _ b: [Bool], margin: Double, paired: Bool, alpha: Double = 0.05) throws {
    try Equivalence.check(a.count, b.count, margin, paired, alpha, least: 1)
    let table = paired ? PairedTable(a, b) : nil
    let hits = (a.count { $0 }, b.count { $0 })
    func interval(_ z: Double) -> (low: Double, high: Double) {
      table?.interval(z: z) ?? differenceInterval(hits.0, of: a.count, hits.1, of: b.count, z: z)
    }
    difference = Double(hits.0) / Double(a.count) - Double(hits.1) / Double(b.count)
    (low, high) = interval(Distribution.normalQuantile(1 - alpha))
    var within = 0.0, beyond = 40.0
    if abs(difference) < margin {
      for _ in 0..<100 {
        let z = (within + beyond) / 2, (low, high) = interval(z)
        if low > -margin && high < margin { within = z } else { beyond = z }
      }
    }
    p = Distribution.normal(-within)
    self.margin = margin
    isEquivalent = p < alpha
    count = (a.count, b.count)
  }

  private static func check(
    _ a: Int, _ b: Int, _ margin: Double, _ paired: Bool, _ alpha: Double, least: Int
  ) throws {
    guard margin > 0, margin.isFinite else {
      throw EngineError(.argument, "margin = \(margin) must be above 0: the largest difference that counts as none")
    }
    guard alpha > 0, alpha < 0.5 else { throw EngineError(.argument, "alpha = \(alpha) is not between 0 and 0.5") }
    if paired { return try requirePairs(a, b, least: least, level: 0.5) }
    guard min(a, b) >= least else {
      throw EngineError(.argument, "\(min(a, b)) values are too few: \(least) or more are needed on each side")
    }
  }
}

/// Newcombe's interval 10 for the difference of two independent rates (1998, Statistics in Medicine 17, 873): their Wilson
/// limits, squared and added.
func differenceInterval(
  _ hits: Int, of count: Int, _ otherHits: Int, of otherCount: Int, z: Double
) -> (low: Double, high: Double) {
  let a = Rate(hits: hits, of: count, z: z), b = Rate(hits: otherHits, of: otherCount, z: z)
  func root(_ x: Double, _ y: Double) -> Double { (x * x + y * y).squareRoot() }
  let difference = a.rate - b.rate
  return (difference - root(a.rate - a.low, b.high - b.rate), difference + root(a.high - a.rate, b.rate - b.low))
}
