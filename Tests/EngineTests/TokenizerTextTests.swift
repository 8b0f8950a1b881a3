import Testing

@testable import Engine

/// What holds for every text, on small vocabularies and on the real ones.
struct TokenizerTextTests {
  static let byteLevel = TokenizerSamples.byteLevel(merges: [
    ("a", "b"), ("ab", "c"), ("Ġ", "a"), ("b", "c"), ("Ġa", "bc"), ("Ġ", "Ġ"), ("é"[0], "é"[1]), ("a", "a"),
    ("aa", "aa"), ("aaaa", "aaaa"),
  ])
  static let sentencePiece = TokenizerSamples.sentencePiece(pieces: [
    "ab", "▁a", "abc", "bc", "▁abc", "aa", "aaaa", "c▁", "日本", "▁", "a", "b", "c", "é", "日", "本", "▁▁",
  ])

  static func samples() throws -> [(String, Tokenizer)] {
    [("byte level", try Tokenizer(byteLevel)), ("SentencePiece", try Tokenizer(sentencePiece))]
  }

  static func all() throws -> [(String, Tokenizer)] {
    try samples()
      + TokenizerFixtures.modelNames.filter(TokenizerFixtures.hasModel)
      .map { ($0, try TokenizerFixtures.tokenizer($0)) }
  }

  static let texts = [
    "", " ", "\n\n", "Hello world", "  two  spaces ", "naïve 日本語 👩‍👩‍👧", "a\u{0}b", "<bos><|im_start|>", "\r\n\t x",
    "<unk>", "it's 1,234.5%", String(repeating: "aab ", count: 100),
  ]

  @Test func spansPartitionTheTextAndDecodingGivesItBack() throws {
    for (name, tokenizer) in try Self.all() {
      for text in Self.texts.map({ Array($0.utf8) }) {
        for special in [true, false] {
          let encoding = try tokenizer.encode(text, special: special)
          expectPartition(encoding, text, "\(name), special \(special)")
          let plain = try tokenizer.encode(text, bos: .never, special: special)
          #expect(try tokenizer.decode(plain.ids) == text, "\(name)")
        }
      }
    }
  }

  /// Bytes that are no UTF-8 keep their values; only bytes that the vocabulary has no token for are lost, and counted.
  @Test func anyBytesRoundTripButThoseWithoutAToken() throws {
    var random = SeededBytes(state: 7)
    let characters = ["a", "b", "c", " ", "  ", "é", "日", "本", "\n\n", "1", "<bos>", "<|im_end|>", "\u{10FFFF}", "'s"]
    for (name, tokenizer) in try Self.all() {
      for length in [1, 2, 3, 10, 100, 3000] {
        for text in [random.bytes(length), random.text(length, of: characters)] {
          let encoding = try tokenizer.encode(text, bos: .never)
          expectPartition(encoding, text, name)
          let decoded = try tokenizer.decode(encoding.ids)
          #expect(decoded.count == text.count - encoding.droppedBytes, "\(name)")
          if encoding.droppedBytes == 0 { #expect(decoded == text, "\(name)") }
          if name != "smollm2-135m-instruct" { #expect(encoding.droppedBytes == 0, "\(name)") }
        }
      }
    }
  }

  @Test func bytesWithoutATokenBelongToTheSpanOfANeighbour() throws {
    let tokenizer = try Tokenizer(TokenizerSamples.byteLevel(merges: [("a", "b")], bytes: Array("ab ".utf8)))
    let encoding = try tokenizer.encode(Array("xabx ab<|end|>x".utf8))
    #expect(
      try encoding.ids.map { String(decoding: try tokenizer.tokenBytes($0), as: UTF8.self) } == [
        "ab", " ", "ab", "<|end|>",
      ])
    #expect(encoding.spans == [0..<3, 3..<5, 5..<7, 7..<15])
    #expect(encoding.droppedBytes == 3)
    let nothing = try tokenizer.encode(Array("xyz".utf8))
    #expect(nothing == Encoding(ids: [], spans: [], droppedBytes: 3))
  }

  @Test func aTokenInsideACharacterHasTheBytesItCovers() throws {
    let tokenizer = try Tokenizer(Self.sentencePiece)
    #expect(try tokenizer.encode(Array("a ñ".utf8), bos: .never).spans == [0..<1, 1..<2, 2..<3, 3..<4])
    #expect(try tokenizer.encode(Array("a 日本 b".utf8), bos: .never).spans == [0..<1, 1..<2, 2..<8, 8..<9, 9..<10])
  }

  @Test func bosIsAddedOnceAndOnlyWhereAsked() throws {
    let tokenizer = try Tokenizer(Self.sentencePiece)
    let a = try #require(tokenizer.id(of: "a"))
    #expect(try tokenizer.encode(Array("a".utf8)).ids == [1, a])
    #expect(try tokenizer.encode(Array("a".utf8)).spans == [0..<0, 0..<1])
    #expect(try tokenizer.encode(Array("<bos>a".utf8)).ids == [1, a])
    #expect(try tokenizer.encode(Array("<bos>a".utf8)).spans == [0..<5, 5..<6])
    #expect(try tokenizer.encode(Array("<bos>a".utf8), bos: .always).ids == [1, 1, a])
    #expect(try tokenizer.encode(Array("<bos>a".utf8), bos: .never).ids == [1, a])
    #expect(try tokenizer.encode(Array("<bos>a".utf8), special: false).ids.prefix(2) == [1, 259 - 256 + 0x3C])
    #expect(try tokenizer.encode([]).ids == [1])
    let plain = try Tokenizer(Self.byteLevel)
    #expect(!plain.addsBOS)
    #expect(try plain.encode(Array("a".utf8)).ids.count == 1)
    #expect(try plain.encode(Array("a".utf8), bos: .always).ids.first == 1)
    var without = Self.byteLevel
    without.bos = nil
    #expect(throws: EngineError.self) { try Tokenizer(without).encode([], bos: .always) }
  }

  @Test func userDefinedTokensMatchInPlainTextAndTheLongestWins() throws {
    var vocabulary = Self.sentencePiece
    for run in ["\n", "\n\n\n"] {
      vocabulary.tokens.append(run.utf8)
      vocabulary.types.append(4)
      vocabulary.scores.append(-1000)
    }
    let tokenizer = try Tokenizer(vocabulary)
    let one = try #require(tokenizer.id(of: "\n"))
    let two = try #require(tokenizer.id(of: "\n\n"))
    let three = try #require(tokenizer.id(of: "\n\n\n"))
    let newlines = [UInt8](repeating: 0x0A, count: 8)
    for special in [true, false] {
      #expect(try tokenizer.encode(newlines, bos: .never, special: special).ids == [three, three, two])
      #expect(try tokenizer.encode([0x0A], bos: .never, special: special).ids == [one])
    }
    #expect(try tokenizer.encode(Array("<bos>".utf8), bos: .never, special: false).ids.count == 5)
  }

  @Test func aSpacePrefixStandsForNoText() throws {
    var vocabulary = Self.sentencePiece
    vocabulary.addsSpacePrefix = true
    let tokenizer = try Tokenizer(vocabulary)
    let encoding = try tokenizer.encode(Array("abc".utf8), bos: .never)
    #expect(encoding == Encoding(ids: [try #require(tokenizer.id(of: "▁abc"))], spans: [0..<3], droppedBytes: 0))
    #expect(try tokenizer.decode(encoding.ids) == Array("abc".utf8))
    #expect(try tokenizer.tokenStrings(encoding.ids) == [Array(" abc".utf8)])
    #expect(try tokenizer.encode([], bos: .never).ids.isEmpty)
  }

  @Test func tokensAreFoundByTextAndBySpelling() throws {
    for (name, tokenizer) in try Self.samples() {
      let space = try #require(tokenizer.id(of: " a"), "\(name)")
      #expect(tokenizer.id(of: "▁a") ?? tokenizer.id(of: "Ġa") == space)
      #expect(tokenizer.id(of: "no such token") == nil)
      #expect(tokenizer.id(of: "") == nil)
    }
    #expect(try Tokenizer(Self.sentencePiece).id(of: "<0x0A>") == 3 + 10)
    #expect(try Tokenizer(Self.sentencePiece).id(of: "<bos>") == 1)
  }

  @Test func idsOutsideTheVocabularyAreNamed() throws {
    let tokenizer = try Tokenizer(Self.byteLevel)
    for id in [-1, tokenizer.vocabularySize, Int.max, Int.min] {
      let error = #expect(throws: EngineError.self) { try tokenizer.decode([0, id]) }
      #expect(error?.message.contains("\(id)") == true)
    }
    #expect(try tokenizer.tokenStrings([0, 1]) == ["<|end|>", "<|start|>"].map { Array($0.utf8) })
  }

  @Test func callsAtOnceGiveWhatSingleCallsGive() async throws {
    let tokenizer = try Tokenizer(Self.sentencePiece)
    let texts = (0..<64).map { Array(String(repeating: "abc 日本 ", count: $0).utf8) }
    let single = try texts.map { try tokenizer.encode($0) }
    let together = try await withThrowingTaskGroup(of: (Int, Encoding).self) { group in
      for (index, text) in texts.enumerated() { group.addTask { (index, try tokenizer.encode(text)) } }
      return try await group.reduce(into: [Int: Encoding]()) { $0[$1.0] = $1.1 }
    }
    for (index, encoding) in single.enumerated() { #expect(together[index] == encoding) }
  }
}

/// Ranges that follow one another and cover the text; empty ones only for a BOS we added.
func expectPartition(_ encoding: Encoding, _ text: [UInt8], _ comment: String) {
  #expect(encoding.spans.count == encoding.ids.count, "\(comment)")
  var end = 0
  for span in encoding.spans {
    #expect(span.lowerBound == end, "\(comment)")
    end = span.upperBound
  }
  if !encoding.ids.isEmpty, encoding.droppedBytes < text.count { #expect(end == text.count, "\(comment)") }
}

extension String {
  /// GPT-2's spelling of byte `index` of this text.
  fileprivate subscript(index: Int) -> String { TokenizerSamples.spelled(Array(utf8)[index]) }
}
