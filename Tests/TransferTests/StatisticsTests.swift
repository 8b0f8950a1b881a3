import Engine
import Foundation
import Testing
import Transfer

private let a = [3.1, 2.7, 4.4, 5.0, 3.9, 2.2, 4.8, 3.3], b = [2.9, 2.1, 4.6, 4.1, 3.0, 2.4, 4.0, 2.8]

/// `both`, `onlyA`, `onlyB` and `neither` prompts.
private func table(_ both: Int, _ onlyA: Int, _ onlyB: Int, _ neither: Int) -> (a: [Bool], b: [Bool]) {
  func list(_ parts: [(Int, Bool)]) -> [Bool] { parts.flatMap { Array(repeating: $0.1, count: $0.0) } }
  return (
    list([(both, true), (onlyA, true), (onlyB, false), (neither, false)]),
    list([(both, true), (onlyA, false), (onlyB, true), (neither, false)])
  )
}

/// Figures of scipy, scikit-learn and numpy: Tests/Oracles/statistics_figures.py.
@Suite struct StatisticsTests {
  @Test func pairedNumbersAreStudentsT() throws {
    let result = try PairedComparison(a, b)
    #expect(abs(result.p - 0.03016841162) < 1e-9 && result.test == "t")
    #expect(abs(result.low - 0.05585589332) < 1e-9 && abs(result.high - 0.8191441067) < 1e-9)
    #expect(abs(result.difference - 0.4375) < 1e-12)
    // One degree of freedom is Cauchy's distribution, of which t = 1 is the quartile.
    let two = try PairedComparison([0.0, 2], [0.0, 0])
    #expect(abs(two.p - 0.5) < 1e-12 && abs(two.high - 1 - 12.70620474) < 1e-7)
    // Nothing differs, or everything by the same: no spread to go by.
    #expect(try PairedComparison(a, a).p == 1 && PairedComparison([2.0, 3], [1.0, 2]).p == 0)
    #expect(throws: EngineError.self) { try PairedComparison(a, [1.0]) }
    #expect(throws: EngineError.self) { try PairedComparison([1.0], [2.0]) }
    #expect(throws: EngineError.self) { try PairedComparison([1.0, .nan], [2.0, 1]) }
  }

  @Test(arguments: [(9, 1, 0.021484375), (2, 0, 0.5), (5, 5, 1), (30, 12, 0.007915897335), (0, 0, 1)])
  func pairedAnswersAreMcNemarsExactTest(onlyA: Int, onlyB: Int, p: Double) throws {
    let (a, b) = table(4, onlyA, onlyB, 3)
    let result = try PairedComparison(a, b)
    #expect(abs(result.p - p) < 1e-9 && result.onlyA == onlyA && result.onlyB == onlyB)
  }

  /// Newcombe 1998: the first is printed in the paper (0.0569 to 0.3404).
  @Test func pairedRatesHaveNewcombesInterval() throws {
    for (counts, low, high) in [
      ((36, 12, 2, 0), 0.056929584, 0.340427603), ((5, 9, 1, 10), 0.07964401127, 0.510678006),
      ((0, 0, 0, 24), -0.1379762047, 0.1379762047),
    ] {
      let (a, b) = table(counts.0, counts.1, counts.2, counts.3)
      let result = try PairedComparison(a, b)
      #expect(abs(result.low - low) < 1e-8 && abs(result.high - high) < 1e-8)
      // The other way round it is the mirror image.
      let other = try PairedComparison(b, a)
      #expect(abs(other.low + high) < 1e-8 && abs(other.high + low) < 1e-8 && other.p == result.p)
    }
  }

  @Test func permutationsAreCountedOutWhereTheyAreFew() throws {
    let short = Array(a[..<5]), other = Array(b[..<5])
    let two = try PermutationTest(short, other)
    #expect(two.isExact && two.draws == 252 && abs(two.p - 0.4682539683) < 1e-9)
    #expect(try abs(PermutationTest(short, other, alternative: .greater).p - 0.2341269841) < 1e-9)
    let paired = try PermutationTest(a, b, paired: true)
    #expect(paired.isExact && paired.draws == 256 && abs(paired.p - 0.0546875) < 1e-12)
    #expect(try abs(PermutationTest(a, b, paired: true, alternative: .less).p - 0.984375) < 1e-12)
    // Drawn, it comes close, and is never 0.
    let drawn = try PermutationTest(a, b, paired: true, draws: 200)
    #expect(!drawn.isExact && abs(drawn.p - 0.0547) < 0.05)
    let far = try PermutationTest((0..<30).map(Double.init), (100..<130).map(Double.init), draws: 999)
    #expect(far.p == 0.001)
    let ratio = try PermutationTest(short, other) { log(($0.max() ?? 1) / ($1.max() ?? 1)) }
    #expect(abs(ratio.statistic - log(5.0 / 4.6)) < 1e-12)
  }

  @Test func equivalenceIsTwoOneSidedTests() throws {
    let paired = try Equivalence(a, b, margin: 0.8, paired: true)
    #expect(abs(paired.p - 0.02977380756) < 1e-9 && paired.isEquivalent)
    let welch = try Equivalence(a, b, margin: 0.8, paired: false)
    #expect(abs(welch.p - 0.229980345) < 1e-9 && !welch.isEquivalent)
    #expect(abs(welch.low + 0.4033904464) < 1e-8 && abs(welch.high - 1.278390446) < 1e-8)
    #expect(try abs(Equivalence(a, b, margin: 2, paired: false).p - 0.002810013772) < 1e-9)
    for margin in [0, -1, Double.nan] {
      #expect(throws: EngineError.self) { try Equivalence(a, b, margin: margin, paired: true) }
    }
  }

  /// Two rates of 0 are not the same for certain: 24 prompts allow a difference of 10 points, 200 do not.
  @Test func equalRatesAreEquivalentOnlyWithEnoughPrompts() throws {
    let unpaired = try Equivalence(table(18, 0, 0, 6).a, table(10, 0, 0, 20).a, margin: 0.6, paired: false)
    #expect(abs(unpaired.low - 0.1932871354) < 1e-8 && abs(unpaired.high - 0.5845522479) < 1e-8)
    #expect(unpaired.isEquivalent && unpaired.p < 0.05 && unpaired.p > 0.01)
    let few = Array(repeating: false, count: 24), many = Array(repeating: false, count: 200)
    for paired in [true, false] {
      let small = try Equivalence(few, few, margin: 0.1, paired: paired)
      #expect(!small.isEquivalent && small.p > 0.05)
      #expect(try Equivalence(many, many, margin: 0.1, paired: paired).isEquivalent)
      // The p is the alpha at which the interval touches the margin.
      let edge = try Equivalence(few, few, margin: 0.1, paired: paired, alpha: small.p)
      #expect(abs(max(-edge.low, edge.high) - 0.1) < 1e-6)
    }
  }

  @Test func theAreaUnderTheCurveCountsTiesHalf() throws {
    let scores = [0.1, 0.4, 0.35, 0.8, 0.65, 0.4, 0.9, 0.2, 0.4, 0.7]
    let labels = [0, 0, 1, 1, 1, 1, 1, 0, 0, 0].map { $0 == 1 }
    let result = try AUROC(scores: scores, labels: labels)
    #expect(abs(result.area - 0.76) < 1e-12)
    #expect(abs(result.low - 0.3944779573) < 1e-7 && abs(result.high - 0.93379833) < 1e-7)
    let perfect = try AUROC(scores: (0..<13).map(Double.init), labels: (0..<13).map { $0 >= 8 })
    #expect(perfect.area == 1 && perfect.high == 1 && abs(perfect.low - 0.6964363811) < 1e-7)
    let reverse = try AUROC(scores: (0..<13).map(Double.init), labels: (0..<13).map { $0 < 5 })
    #expect(reverse.area == 0 && reverse.low == 0 && abs(reverse.high - (1 - 0.6964363811)) < 1e-7)
    #expect(throws: EngineError.self) { try AUROC(scores: [1, 2], labels: [true, true]) }
    #expect(throws: EngineError.self) { try AUROC(scores: [1, .nan], labels: [true, false]) }
    #expect(throws: EngineError.self) { try AUROC(scores: [1], labels: [true, false]) }
  }

  /// Three values have 27 draws, of which the deviation is known.
  @Test func theBootstrapIsThatOfAllDraws() throws {
    let result = try Bootstrap(.init([2, 3, 7]), draws: 20_000)
    #expect(result.estimate == 4 && abs(result.error - 1.247219129) < 0.02)
    // One draw in 27 is 2 2 2, and one 7 7 7: more than 2.5 % either.
    #expect(result.low == 2 && result.high == 7)
    #expect(try Bootstrap(.init([2, 3, 7]), seed: 1).low == Bootstrap(.init([2, 3, 7]), seed: 1).low)
    let median = try Bootstrap(.init([2, 3, 7])) { $0.sorted()[$0.count / 2] }
    #expect(median.estimate == 3 && median.low == 2 && median.high == 7)
  }

  /// Value = prompt effect + seed effect: the error of the mean has a part of either factor, and the ordinary bootstrap
  /// over values has hardly any of it.
  @Test func everyFactorIsDrawnOnItsOwn() throws {
    let prompts = (0..<12).map { Double($0 * 7 % 12) }, seeds = (0..<5).map { Double($0 * $0) }
    var values: [Double] = [], prompt: [Int] = [], seed: [Int] = []
    for (i, x) in prompts.enumerated() {
      for (j, y) in seeds.enumerated() {
        values.append(x + y)
        prompt.append(i)
        seed.append(j)
      }
    }
    func variance(_ list: [Double]) -> Double {
      let mean = list.reduce(0, +) / Double(list.count)
      return list.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(list.count)
    }
    let both = try Bootstrap(.init(values, factors: [prompt, seed]), draws: 20_000)
    let expected = (variance(prompts) / 12 + variance(seeds) / 5).squareRoot()
    // A deviation of 20,000 draws is off by .5 % of itself.
    #expect(abs(both.error / expected - 1) < 0.03 && both.levels == [12, 5])
    let one = try Bootstrap(.init(values, factors: [prompt]), draws: 20_000)
    #expect(abs(one.error / (variance(prompts) / 12).squareRoot() - 1) < 0.03)
    #expect(try Bootstrap(.init(values)).error < expected / 2)
    #expect(throws: EngineError.self) { try Bootstrap.Sample([1, 2], factors: [[0]]) }
    #expect(throws: EngineError.self) { try Bootstrap.Sample([]) }
    #expect(throws: EngineError.self) { try Bootstrap.Sample([1, .infinity]) }
  }

  @Test func tokenOverlapIsSquads() {
    let score = TokenF1(prediction: "The Norman conquest, of 1066!", reference: "a norman conquest in 1066")
    #expect(score.precision == 0.75 && score.recall == 0.75 && score.f1 == 0.75 && !score.isExact)
    #expect(TokenF1(prediction: "An  apple.", reference: "apple").isExact)
    // A word counts as often as both have it; joined by punctuation it is one word, as in the evaluation script.
    #expect(abs(TokenF1(prediction: "no no no", reference: "no no yes").f1 - 2.0 / 3) < 1e-12)
    #expect(TokenF1(prediction: "well-known", reference: "well known").f1 == 0)
    #expect(TokenF1(prediction: "the", reference: "a").f1 == 1 && TokenF1(prediction: "", reference: "word").f1 == 0)
    #expect(TokenF1(prediction: "two", references: ["one", "number two"]).recall == 0.5)
  }
}

@Suite struct SimilarityTests {
  private static func sines(_ rows: Int, _ width: Int, _ f: (Double, Double) -> Double) throws -> Tensor {
    try Tensor((0..<rows * width).map { Float(f(Double($0 / width), Double($0 % width))) }).reshaped([rows, width])
  }
  static func x() throws -> Tensor { try sines(40, 5) { sin(1.7 * $0 * ($1 + 1) + $1) } }
  static func y() throws -> Tensor {
    try sines(40, 3) { i, j in sin(1.7 * i * (j + 2)) + 0.5 * cos(0.3 * i * (j + 1) + j) }
  }

  /// numpy, scipy and scikit-learn: Tests/Oracles/statistics_figures.py.
  @Test func similaritiesAreThoseOfOtherPrograms() throws {
    let x = try Self.x(), y = try Self.y()
    #expect(try abs(Similarity.cka(x, y) - 0.3106358875) < 1e-5)
    #expect(try abs(Similarity.cka(x, y, unbiased: true) - 0.2457240756) < 1e-5)
    #expect(try abs(Similarity.rsa(x, y) - 0.1643128681) < 1e-4)
    #expect(try abs(Similarity.rsa(x, y, distance: .cosine) - 0.2097054476) < 1e-4)
    #expect(try abs(Similarity.rsa(x, y, distance: .euclidean) - 0.1201131039) < 1e-4)
    #expect(try abs(Similarity.svcca(x, y) - 0.5802773457) < 1e-4)
    #expect(try abs(Similarity.svcca(x, y, variance: 0.8) - 0.5425001811) < 1e-4)
  }

  @Test func rotationsScalesAndShiftsChangeNothing() throws {
    let x = try Self.x()
    let (rotation, _, _) = try Tensor.normal([5, 5], seed: 1).svd()
    let moved = try x.matmul(rotation) * 3 + Tensor.normal([5], seed: 2)
    #expect(try abs(Similarity.cka(x, moved) - 1) < 1e-5 && abs(Similarity.svcca(x, moved) - 1) < 1e-5)
    #expect(try abs(Similarity.cka(x, moved, unbiased: true) - 1) < 1e-5)
    #expect(try abs(Similarity.rsa(x, moved, distance: .euclidean) - 1) < 1e-5)
    #expect(throws: EngineError.self) { try Similarity.cka(x, Tensor(repeating: 1, shape: [40, 2])) }
    #expect(throws: EngineError.self) { try Similarity.cka(x, Self.y().rows(0..<39)) }
    // Five and five components of ten rows correlate whatever they are.
    #expect(throws: EngineError.self) { try Similarity.svcca(x.rows(0..<10), moved.rows(0..<10)) }
  }
}
