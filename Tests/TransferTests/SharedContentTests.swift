import Engine
import Testing
import Transfer

/// Text whose control tokens are written between `<` and `>`.
private func marked(_ text: String) -> MarkedText {
  let bytes = Array(text.utf8)
  var marks: [Range<Int>] = [], start = 0
  for (place, byte) in bytes.enumerated() {
    if byte == UInt8(ascii: "<") { start = place }
    if byte == UInt8(ascii: ">") { marks.append(start..<place + 1) }
  }
  return MarkedText(bytes, marks: marks)
}

private func shared(_ a: MarkedText, _ b: MarkedText) -> (source: [String], target: [String], unpaired: Set<Int>) {
  let found = SharedContent(a, b)
  return (
    found.source.map { String(decoding: a.bytes[$0], as: UTF8.self) },
    found.target.map { String(decoding: b.bytes[$0], as: UTF8.self) }, found.unpairedAfter
  )
}

@Suite struct SharedContentTests {
  /// All turns of a conversation, short ones and equal ones among them, not only the longest.
  @Test func everyTurnIsFound() {
    let turns = [
      "Hello, how are you today?", "OK", "Hello, how are you today?", "4", "And what is seven times six?", "42",
    ]
    func written(_ turn: (String, Int) -> String) -> MarkedText {
      marked(turns.enumerated().map { turn($1, $0) }.joined())
    }
    let a = written { "<im_start>\($1 % 2 == 0 ? "user" : "assistant")\n\($0)<im_end>\n" }
    let b = written { "<start_of_turn>\($1 % 2 == 0 ? "user" : "model")\n\($0)<end_of_turn>\n" }
    let found = shared(a, b)
    #expect(found.source == turns && found.target == turns && found.unpaired.isEmpty)
    // Header tokens of their own, as Llama 3 writes them.
    let c = written { "<h>\($1 % 2 == 0 ? "user" : "assistant")</h>\n\n\($0)<eot>" }
    #expect(shared(a, c).target == turns && shared(c, b).source == turns)
    // A system message that one template adds of its own, and a name of a role that both write, are no contents.
    let d = marked("<im_start>system\nYou are helpful.<im_end>\n" + String(decoding: a.bytes, as: UTF8.self))
    #expect(shared(d, b).source == turns && shared(d, b).unpaired.isEmpty)
  }

  /// A template whose signs are plain text: the runs that both share.
  @Test func textsWithoutControlTokensPairByRuns() {
    let a = marked("[INST] What is a fjord? [/INST] A drowned valley. [INST] Thanks, and a cwm? [/INST]")
    let b = marked(
      "<im>user\nWhat is a fjord?<e>\n<im>assistant\nA drowned valley.<e>\n<im>user\nThanks, and a cwm?<e>\n")
    let found = shared(a, b)
    #expect(found.source == ["What is a fjord?", "A drowned valley.", "Thanks, and a cwm?"] && found.unpaired.isEmpty)
    #expect(found.target == found.source)
  }

  /// A turn that one template changed keeps what both have; what differs there is no template.
  @Test func differencesWithinATurnStayUnpaired() {
    let a = marked("<u>Good morning, dear reader.<e><u>Next turn<e>"),
      b = marked("<u>Good evening, dear reader.<e><u>Next turn<e>")
    let found = shared(a, b)
    #expect(found.source == ["Good", "ning, dear reader.", "Next turn"] && found.unpaired == [0])
    #expect(found.target == found.source)
  }

  @Test func longTextsAreNotCutOff() {
    let words = (0..<9000).map { "word\($0 * 7919 % 9001)" }.joined(separator: " ")
    let a = MarkedText(Array(("### " + words + " end").utf8)), b = MarkedText(Array((">> " + words + " END").utf8))
    let found = SharedContent(a, b)
    #expect(found.source == [4..<4 + words.utf8.count] && found.target == [3..<3 + words.utf8.count])
  }

  /// Against the definition, tried at every place.
  @Test func theLongestRunIsTheLongest() {
    var generator = RandomGenerator(seed: 5)
    for _ in 0..<60 {
      let a = (0..<30).map { _ in UInt8(97 + generator.below(3)) },
        b = (0..<30).map { _ in UInt8(97 + generator.below(3)) }
      var longest = 0
      for i in a.indices {
        for j in b.indices {
          var n = 0
          while i + n < a.count, j + n < b.count, a[i + n] == b[j + n] { n += 1 }
          longest = max(longest, n)
        }
      }
      let found = SharedContent(MarkedText(a), MarkedText(b))
      #expect((found.source.map(\.count).max() ?? 0) == longest)
      for (x, y) in zip(found.source, found.target) { #expect(a[x] == b[y]) }
    }
  }
}
