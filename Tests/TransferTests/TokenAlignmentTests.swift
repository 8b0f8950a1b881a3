import Engine
import Testing
import Transfer

/// Spans of consecutive pieces.
private func layout(_ pieces: [String], contents: [Range<Int>] = []) -> TokenLayout {
  var spans: [Range<Int>] = [], place = 0
  for piece in pieces {
    spans.append(place..<place + piece.utf8.count)
    place += piece.utf8.count
  }
  return TokenLayout(spans: spans, contents: contents)
}

@Suite struct TokenAlignmentTests {
  /// Two templates around one content that the tokenizers cut differently.
  private let source = layout(
    [
      "<|im_start|>", "user", "\n", "He", "llo", " wor", "ld", "<|im_end|>", "\n", "<|im_start|>", "ass", "istant",
      "\n",
    ],
    contents: [17..<28])
  private let target = layout(
    [
      "", "<start_of_turn>", "user", "\n", "Hello", " w", "orld", "<end_of_turn>", "\n", "<start_of_turn>", "model",
      "\n",
    ],
    contents: [20..<31])

  @Test func contentPairsByEndAndTheTemplateFromItsEndBackwards() throws {
    let rows = try TokenAlignment.offset.rows(source: source, target: target)
    #expect(
      rows == [
        AlignedRow(source: 4, target: 4, isTemplate: false),  // Hello ends with llo
        AlignedRow(source: 4, target: 5, isTemplate: false),  // " w" ends inside " wor": the last that ended before
        AlignedRow(source: 6, target: 6, isTemplate: false),
        AlignedRow(source: 8, target: 7, isTemplate: true),
        AlignedRow(source: 9, target: 8, isTemplate: true),
        AlignedRow(source: 10, target: 9, isTemplate: true),
        AlignedRow(source: 11, target: 10, isTemplate: true),
        AlignedRow(source: 12, target: 11, isTemplate: true),
      ])
  }

  @Test func equalTokenisationsPairOneToOneExceptTheFirst() throws {
    let plain = layout(["The", " cat", " sat"])
    #expect(try TokenAlignment.offset.rows(source: plain, target: plain).map(\.target) == [1, 2])
    #expect(
      try TokenAlignment.offset.rows(source: plain, target: plain, includingFirst: true).map(\.source) == [0, 1, 2])
    // A BOS stands for no text: it is the first token, and the first word a row.
    let withBOS = layout(["", "The", " cat", " sat"])
    #expect(
      try TokenAlignment.offset.rows(source: plain, target: withBOS) == [
        AlignedRow(source: 1, target: 2, isTemplate: false), AlignedRow(source: 2, target: 3, isTemplate: false),
      ])
  }

  @Test func targetTokensBeforeAnySourceTokenEndsStayUnpaired() throws {
    let coarse = layout(["", "abcd", "ef"]), fine = layout(["", "ab", "cd", "e", "f"])
    #expect(
      try TokenAlignment.offset.rows(source: coarse, target: fine) == [
        AlignedRow(source: 1, target: 2, isTemplate: false), AlignedRow(source: 1, target: 3, isTemplate: false),
        AlignedRow(source: 2, target: 4, isTemplate: false),
      ])
  }

  @Test func severalMessagesPairEachWithItsOwn() throws {
    let a = layout(["[U]", "hi", "[/U]", "[A]", "yo", "[/A]"], contents: [3..<5, 12..<14])
    let b = layout(["<u>", "h", "i", "</u>", "<a>", "y", "o", "</a>", "\n"], contents: [3..<5, 12..<14])
    let rows = try TokenAlignment.offset.rows(source: a, target: b)
    #expect(rows.map { [$0.source, $0.target] } == [[1, 2], [2, 3], [3, 4], [4, 6], [5, 8]])
    #expect(rows.map(\.isTemplate) == [false, true, true, false, true])
    #expect(throws: EngineError.self) { try TokenAlignment.offset.rows(source: a, target: self.target) }
  }

  @Test func indexPairsByPlace() throws {
    let rows = try TokenAlignment.index.rows(source: source, target: target)
    #expect(rows.map(\.source) == Array(1..<12) && rows.map(\.target) == Array(1..<12))
    #expect(rows.filter { !$0.isTemplate }.map(\.target) == [4, 5, 6])
  }

  @Test func emptySequencesGiveNoRows() throws {
    #expect(try TokenAlignment.offset.rows(source: layout([]), target: layout(["a"])).isEmpty)
    #expect(try TokenAlignment.index.rows(source: layout([]), target: layout([])).isEmpty)
  }

  /// A template that prints the system message with the last user turn, as Mistral's does.
  @Test func messagesPrintedInAnotherOrderPairEachWithItsOwn() throws {
    let a = layout(
      ["[S]", "sys", "[U]", "hi", "[A]", "yo", "[U]", "ok", "[/]"], contents: [3..<6, 9..<11, 14..<16, 19..<21])
    let b = layout(
      ["<u>", "hi", "<a>", "yo", "<u>", "sys", "\n\n", "ok", "</>"], contents: [13..<16, 3..<5, 8..<10, 18..<20])
    let rows = try TokenAlignment.offset.rows(source: a, target: b)
    let content = rows.filter { !$0.isTemplate }
    #expect(content.map { [$0.source, $0.target] } == [[3, 1], [5, 3], [1, 5], [7, 7]])
    // The template between hi and yo stands on both sides; what follows yo and sys does not.
    #expect(rows.filter(\.isTemplate).map { [$0.source, $0.target] } == [[4, 2], [8, 8]])
  }

  @Test func theCommonContentOfTwoTemplates() throws {
    let a = MarkedText(Array("<s>user\nHow are you?</s>".utf8)), b = MarkedText(Array("[INST]How are you?[/INST]".utf8))
    let shared = SharedContent(a, b)
    #expect(shared.source.map { String(decoding: a.bytes[$0], as: UTF8.self) } == ["How are you?"])
    #expect(shared.target.map { String(decoding: b.bytes[$0], as: UTF8.self) } == ["How are you?"])
    #expect(SharedContent(MarkedText(Array("abc".utf8)), MarkedText(Array("xyz".utf8))).source.isEmpty)
    #expect(SharedContent(MarkedText([]), MarkedText([])).source.isEmpty)
  }
}
