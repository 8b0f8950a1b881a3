import Engine
import Foundation
import Testing
import Transfer

@Suite struct EvaluationTests {
  @Test func refusalsAreFoundAnywhereInAnyCase() {
    #expect(Refusal.matches("Well, I CANNOT do that."))
    #expect(Refusal.matches("I\u{2019}m sorry, but no"))
    #expect(Refusal.matches("As an AI language model"))
    #expect(!Refusal.matches("Sure! I can help.") && !Refusal.matches(""))
    let rate = Refusal.rate(["I cannot", "Sure", "Yes", "No"])
    #expect(rate.rate == 0.25 && rate.count == 4)
    #expect(containsRate(["abc", "xbc", "b"], "bc").rate == 2.0 / 3)
  }

  /// Intervals as statsmodels' `proportion_confint(method="wilson")` gives them.
  @Test(arguments: [
    (3, 100, 0.010254, 0.084519), (0, 50, 0, 0.071348), (50, 50, 0.928652, 1), (5, 10, 0.236593, 0.763407),
  ])
  func wilsonIntervals(hits: Int, count: Int, low: Double, high: Double) {
    let rate = Rate(hits: hits, of: count)
    #expect(abs(rate.low - low) < 2e-6 && abs(rate.high - high) < 2e-6)
  }

  @Test func noTextsGiveNoRate() {
    #expect(Rate(hits: 0, of: 0).rate.isNaN && Rate(hits: 0, of: 0).high == 1)
    #expect(distinctWordRate("a b a b").isEqual(to: 0.5) && distinctWordRate(" ").isNaN)
  }

  @Test func rougeEqualsGooglesScores() throws {
    let path = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../shared/fixtures/rouge.json")
      .standardized
    guard let data = try? Data(contentsOf: path) else { return print("skipped: no \(path.path)") }
    struct Golden: Decodable {
      struct Score: Decodable { let precision: Double, recall: Double, f1: Double }
      let reference: String, prediction: String
      let rouge1: Score, rouge2: Score, rougeL: Score
    }
    let goldens = try JSONDecoder().decode([Golden].self, from: data)
    #expect(!goldens.isEmpty)
    for golden in goldens {
      let rouge = Rouge(prediction: golden.prediction, reference: golden.reference)
      for (ours, theirs) in [
        (rouge.rouge1, golden.rouge1), (rouge.rouge2, golden.rouge2), (rouge.rougeL, golden.rougeL),
      ] {
        #expect(abs(ours.precision - theirs.precision) < 1e-12 && abs(ours.recall - theirs.recall) < 1e-12)
        #expect(abs(ours.f1 - theirs.f1) < 1e-12)
      }
    }
  }

  @Test func divergenceIsItsDefinition() throws {
    let p = try Tensor([0, logf(2), logf(5)]), q = try Tensor([3, 3, 3])
    let expected = [1.0 / 8, 2.0 / 8, 5.0 / 8].reduce(0) { $0 + $1 * log($1 * 3) }
    #expect(abs(try divergence(p, q) - expected) < 1e-7)
    #expect(try abs(divergence(p, p + 100)) < 1e-6)
    #expect(try divergence(Tensor.stacked([p, q]), Tensor.stacked([q, q])) - expected / 2 < 1e-7)
    #expect(try divergence(Tensor([0, -.infinity]), Tensor([0, -.infinity])) == 0)
    #expect(try divergence(Tensor([0, 0]), Tensor([0, -.infinity])) == .infinity)
    #expect(try divergence(Tensor([.nan, 0]), Tensor([0, 0])).isNaN)
    #expect(throws: EngineError.self) { try divergence(p, Tensor([0, 0])) }
  }

  @Test func theRefusalScoreIsTheLogOddsOfItsTokens() throws {
    let logits = try Tensor([logf(1), logf(2), logf(3), logf(4)])
    #expect(abs(try refusalScore(logits, tokens: [1, 3, 1]) - log(0.6 / 0.4)) < 1e-6)
    // A certain refusal and an impossible one stay finite, at +-log(1e8).
    #expect(abs(try refusalScore(Tensor([100, 0]), tokens: [0]) - log(1e8)) < 1e-6)
    #expect(throws: EngineError.self) { try refusalScore(logits, tokens: [4]) }
    #expect(throws: EngineError.self) { try refusalScore(logits, tokens: []) }
    #expect(try cosine(Tensor([1, 0]), Tensor([0, 2])) == 0)
    #expect(try cosine(Tensor([0, 0]), Tensor([0, 2])) == 0)
    #expect(throws: EngineError.self) { try cosine(logits, Tensor([1])) }
  }
}
