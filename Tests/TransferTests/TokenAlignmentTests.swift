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

  @Test func theCommonContentOfTwoTemplates() throws {
    let a = Array("<s>user\nHow are you?</s>".utf8), b = Array("[INST]How are you?[/INST]".utf8)
    let common = try #require(commonContent(a, b))
    #expect(String(decoding: a[common.source], as: UTF8.self) == "How are you?")
    #expect(String(decoding: b[common.target], as: UTF8.self) == "How are you?")
    #expect(commonContent(Array("abc".utf8), Array("xyz".utf8)) == nil)
    #expect(commonContent([], []) == nil)
  }
}
