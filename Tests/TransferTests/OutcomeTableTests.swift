import Engine
import Testing
import Transfer

/// `hits` of `count` prompts, the first ones.
private func outcomes(_ hits: Int, of count: Int = 100) -> [Bool] { (0..<count).map { $0 < hits } }

private func draws(_ count: Int, _ hits: (Int) -> Int, kind: String = "isotropic") -> [OutcomeTable.Row] {
  (0..<count).map { .init("\(kind) \($0)", .random, outcomes(hits($0)), kind: kind) }
}

/// Sentences say what the tests allow, and no more.
@Suite struct OutcomeTableTests {
  private let control = OutcomeTable.Row("unsteered", .control, outcomes(96))
  private let native = OutcomeTable.Row("native", .native, outcomes(3))

  @Test func aStrongEffectIsADifferenceAndMoreThanAnyDraw() throws {
    let table = try OutcomeTable(
      [control, native, .init("ridge", .mapped, outcomes(5))] + draws(19) { 90 + $0 % 8 }, margin: 0.1)
    #expect(table.sentences.count == 5)
    #expect(
      table.sentences[0]
        == "native: 96 % to 3 % of 100 prompts, -93 points [-96, -85], p < 0.0001: a difference from unsteered.")
    #expect(table.sentences[2].contains("the same within 10 points"))
    #expect(table.sentences[3].contains("19 isotropic draws (90 % to 97 %): it does more than any draw (p = 0.05)"))
    #expect(table.drawTests.allSatisfy { $0.p == 0.05 })
  }

  /// 7 of 48 against 3 of 100 was once called "within intervals"; three draws were once "more than any".
  @Test func whatIsNotShownIsNotSaid() throws {
    let few = try OutcomeTable([control, .init("weak", .mapped, outcomes(94))] + draws(3) { _ in 95 })
    #expect(few.sentences[0].contains("no difference from unsteered is shown"))
    #expect(
      few.sentences[1].contains("3 isotropic draws") && few.sentences[1].contains("too few")
        && few.sentences[1].contains("19 are needed"))
    let near = try OutcomeTable([control, native, .init("ridge", .mapped, outcomes(5))])
    #expect(near.sentences[2].contains("no difference is shown; whether they are the same needs a margin"))
    let unsure = try OutcomeTable([control, native, .init("ridge", .mapped, outcomes(8))], margin: 0.05)
    #expect(unsure.sentences[2].contains("neither a difference nor sameness within 5 points is shown"))
    let apart = try OutcomeTable([control, native, .init("ridge", .mapped, outcomes(40))], margin: 0.1)
    #expect(apart.sentences[2].contains("they differ."))
    let chance = try OutcomeTable([control, native] + draws(19) { $0 == 4 ? 2 : 90 })
    #expect(chance.drawTests[0].p == 0.1 && chance.sentences[1].contains("draws do as much"))
  }

  @Test func kindsOfDrawsAreNotPooled() throws {
    let table = try OutcomeTable([control, native] + draws(19) { _ in 95 } + draws(4, { _ in 90 }, kind: "covariance"))
    #expect(table.drawTests.map(\.kind) == ["isotropic", "covariance"] && table.drawTests.map(\.draws) == [19, 4])
    #expect(table.sentences[1].contains("more than any") && table.sentences[2].contains("too few"))
  }

  /// Three p of .02, .04 and .03 are .06, .06 and .06.
  @Test func severalRowsAreHeldToHolm() throws {
    let base = outcomes(50)
    func flipped(_ up: Int, _ down: Int) -> [Bool] {
      base.enumerated().map { $0 < down ? false : $0 >= 50 && $0 < 50 + up ? true : $1 }
    }
    let table = try OutcomeTable([
      .init("base", .control, base), .init("a", .mapped, flipped(9, 1)), .init("b", .other, flipped(8, 1)),
      .init("c", .mapped, flipped(0, 1)),
    ])
    let p = table.comparisons.map(\.paired.p), adjusted = table.comparisons.map(\.adjusted)
    #expect(p[0] < p[1] && abs(adjusted[0] - 3 * p[0]) < 1e-12 && adjusted[2] == 1)
    #expect(abs(adjusted[1] - max(3 * p[0], 2 * p[1])) < 1e-12)
  }

  @Test func rowsOfOtherPromptsAreRefused() throws {
    let error = #expect(throws: EngineError.self) {
      try OutcomeTable([control, .init("ridge", .mapped, outcomes(5, of: 48))])
    }
    #expect(error?.message.contains("48") == true && error?.message.contains("same prompts") == true)
    #expect(throws: EngineError.self) { try OutcomeTable([native]) }
    #expect(throws: EngineError.self) { try OutcomeTable([control, native, .init("two", .native, outcomes(3))]) }
    #expect(throws: EngineError.self) { try OutcomeTable([control, control]) }
    #expect(throws: EngineError.self) { try OutcomeTable([control, .init("unsteered", .other, outcomes(3))]) }
  }
}
