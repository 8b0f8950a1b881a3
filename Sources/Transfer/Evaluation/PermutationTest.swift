import Engine

/// How likely a difference is when labels mean nothing: labels are exchanged, all ways where they are few, else at random.
public struct PermutationTest: Sendable {
  /// The statistic of the data as it is; the difference of means unless another is given.
  public let statistic: Double
  /// Share of relabelings at least as extreme; drawn ones count the data itself (Phipson and Smyth 2010), so p is never
  /// 0.
  public let p: Double
  /// Relabelings looked at.
  public let draws: Int
  /// Whether these were all of them.
  public let isExact: Bool

  public enum Alternative: String, CaseIterable, Sendable {
    case twoSided = "two-sided"
    case greater, less
  }

  public typealias Statistic = ([Double], [Double]) throws -> Double

  /// Two independent lists: values change sides; or, `paired`, values of one prompt do. Two-sided: |statistic| at least
  /// as large, so another statistic than a difference should be 0 where nothing differs.
  public init(
    _ a: [Double], _ b: [Double], paired: Bool = false, alternative: Alternative = .twoSided, draws: Int = 10_000,
    seed: Int = 0, statistic measure: Statistic? = nil
  ) throws {
    try requireFinite(a, b)
    guard !a.isEmpty, !b.isEmpty else { throw EngineError(.argument, "permutation: a list is empty") }
    if paired { try requirePairs(a.count, b.count, least: 1, level: 0.5) }
    guard draws >= 100 else { throw EngineError(.argument, "draws = \(draws): a test needs 100 or more") }
    let measure = measure ?? { Moments($0).mean - Moments($1).mean }
    let observed = try measure(a, b)
    guard observed.isFinite else { throw EngineError(.numeric, "permutation: the statistic is \(observed)") }
    // Rounding must not part the data from its own mirror images.
    let slack = 1e-12 * max(1, abs(observed))
    var extreme = 0
    func look(_ x: [Double], _ y: [Double]) throws {
      let value = try measure(x, y)
      let isExtreme =
        switch alternative {
        case .twoSided: abs(value) >= abs(observed) - slack
        case .greater: value >= observed - slack
        case .less: value <= observed + slack
        }
      if isExtreme { extreme += 1 }
    }
    statistic = observed
    let all =
      paired
      ? PermutationTest.signs(a.count, limit: draws) : PermutationTest.choices(a.count + b.count, a.count, limit: draws)
    if let all {
      for (place, chosen) in all.enumerated() {
        if place % 256 == 0 { try Interrupt.check() }
        let (x, y) = PermutationTest.relabelled(a, b, paired, chosen)
        try look(x, y)
      }
      (isExact, self.draws, p) = (true, all.count, Double(extreme) / Double(all.count))
      return
    }
    var generator = RandomGenerator(seed: seed)
    for place in 0..<draws {
      if place % 256 == 0 { try Interrupt.check() }
      let chosen =
        paired
        ? Set(a.indices.filter { _ in generator.below(2) == 1 })
        : Set(generator.permutation(a.count + b.count).prefix(a.count))
      let (x, y) = PermutationTest.relabelled(a, b, paired, chosen)
      try look(x, y)
    }
    (isExact, self.draws, p) = (false, draws, Double(extreme + 1) / Double(draws + 1))
  }

  /// `chosen`: places of the first list among all values; paired, the prompts whose values change sides.
  private static func relabelled(
    _ a: [Double], _ b: [Double], _ paired: Bool, _ chosen: Set<Int>
  ) -> ([Double], [Double]) {
    if paired {
      return (
        a.indices.map { chosen.contains($0) ? b[$0] : a[$0] }, a.indices.map { chosen.contains($0) ? a[$0] : b[$0] }
      )
    }
    let all = a + b
    return (
      all.indices.filter(chosen.contains).map { all[$0] }, all.indices.filter { !chosen.contains($0) }.map { all[$0] }
    )
  }

  /// All subsets of `count` prompts, or nil beyond `limit`.
  private static func signs(_ count: Int, limit: Int) -> [Set<Int>]? {
    guard count < 30, 1 << count <= limit else { return nil }
    return (0..<1 << count).map { bits in Set((0..<count).filter { bits >> $0 & 1 == 1 }) }
  }

  /// All choices of `size` of `count`, or nil beyond `limit`.
  private static func choices(_ count: Int, _ size: Int, limit: Int) -> [Set<Int>]? {
    var number = 1.0
    for i in 0..<size { number *= Double(count - i) / Double(i + 1) }
    guard number <= Double(limit) + 0.5 else { return nil }
    var all: [Set<Int>] = [], chosen = Array(0..<size)
    while true {
      all.append(Set(chosen))
      guard let place = chosen.indices.last(where: { chosen[$0] < count - size + $0 }) else { return all }
      chosen[place] += 1
      for next in chosen.indices where next > place { chosen[next] = chosen[next - 1] + 1 }
    }
  }
}
