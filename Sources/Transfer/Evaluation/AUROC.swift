import Engine

/// Area under the receiver operating characteristic: how often a positive scores above a negative, ties counted half.
public struct AUROC: Sendable {
  public let area: Double
  /// Newcombe's score interval (2006, Statistics in Medicine 25, 559, method 5) on Hanley and McNeil's variance: it stays
  /// within 0 to 1 and keeps a width where the two sides part without overlap.
  public let low: Double, high: Double
  public let positives: Int, negatives: Int

  public init(scores: [Double], labels: [Bool], level: Double = 0.95) throws {
    guard scores.count == labels.count else {
      throw EngineError(.argument, "auroc: \(scores.count) scores and \(labels.count) labels; one label for each score")
    }
    if let wrong = scores.firstIndex(where: \.isNaN) {
      throw EngineError(.numeric, "auroc: score \(wrong + 1) is NaN")
    }
    guard level > 0, level < 1 else { throw EngineError(.argument, "level = \(level) is not between 0 and 1") }
    positives = labels.count { $0 }
    negatives = labels.count - positives
    guard positives > 0, negatives > 0 else {
      throw EngineError(
        .argument, "auroc: \(positives) positive and \(negatives) negative labels; both are needed")
    }
    let order = scores.indices.sorted { scores[$0] < scores[$1] }
    var wins = 0.0, below = 0, start = 0
    while start < order.count {
      var end = start
      while end < order.count, scores[order[end]] == scores[order[start]] { end += 1 }
      let up = order[start..<end].count { labels[$0] }, down = end - start - up
      wins += Double(up) * (Double(below) + Double(down) / 2)
      below += down
      start = end
    }
    let m = Double(positives), n = Double(negatives), area = wins / (m * n)
    self.area = area
    let z = Distribution.normalQuantile((1 + level) / 2)
    func isBeyond(_ theta: Double) -> Bool {
      let half = (m + n) / 2 - 1
      let variance = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)
      return abs(theta - area) > z * max(0, variance).squareRoot()
    }
    /// The limit between the area, which is within, and an end of the scale.
    func limit(_ end: Double) -> Double {
      var inside = area, outside = end
      guard area != end else { return end }
      for _ in 0..<100 {
        let middle = (inside + outside) / 2
        if isBeyond(middle) { outside = middle } else { inside = middle }
      }
      return inside
    }
    (low, high) = (limit(0), limit(1))
  }
}
