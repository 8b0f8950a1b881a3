import Engine
import Testing
import Transfer

/// What `research/small-models.md` found on the packaged models by another program.
@Suite(.serialized) struct PackagedModelTests {
  /// It reports 42 dimensions in Gemma 3 270M, 163 above all, and 3 in SmolLM2, on other texts: a few dimensions near
  /// the threshold may differ.
  @Test func massiveDimensionsAreThoseReported() throws {
    guard let small = try Fixtures.packaged("smollm2-135m-instruct"), let gemma = try Fixtures.packaged("gemma-3-270m")
    else { return }
    let few = try MassiveDimensions(of: small), many = try MassiveDimensions(of: gemma)
    print(
      "massive dimensions: smollm2 \(few.union), gemma \(many.union.count), share at layer 12 \(many.share[12] ?? 0)")
    #expect((1...10).contains(few.union.count))
    #expect((25...60).contains(many.union.count) && many.byLayer[11]?.contains(163) == true)
    // Dimension 163 alone holds most of the norm.
    #expect(many.share[11] ?? 0 > 0.8)
    #expect(try MassiveDimensions(of: gemma) == many)
  }

  /// The tokens of two templates around one instruction: content by offset, then each token of the answer's header.
  @Test func chatsOfBothModelsAlign() throws {
    guard let small = try Fixtures.packaged("smollm2-135m-instruct"), let gemma = try Fixtures.packaged("gemma-3-270m")
    else { return }
    let text = Array("How do I bake bread without an oven?".utf8)
    let from = try small.prompt(text: text, chat: true), to = try gemma.prompt(text: text, chat: true)
    let rows = try TextAligner(small, gemma).rows(from, to)
    let source = try #require(small.tokenizer).tokenStrings(from.tokens).map { String(decoding: $0, as: UTF8.self) }
    let target = try #require(gemma.tokenizer).tokenStrings(to.tokens).map { String(decoding: $0, as: UTF8.self) }
    let content = rows.filter { !$0.isTemplate }
    #expect(content.count == 9 && content.allSatisfy { source[$0.source].hasSuffix(target[$0.target].suffix(1)) })
    let template = rows.filter(\.isTemplate)
    #expect(template.map { target[$0.target] } == ["<end_of_turn>", "\n", "<start_of_turn>", "model", "\n"])
    #expect(template.map { source[$0.source] }.suffix(2) == ["istant", "\n"])
    #expect(rows.last == AlignedRow(source: from.tokens.count - 1, target: to.tokens.count - 1, isTemplate: true))
  }
}
