import Testing

@testable import Engine

/// Damaged vocabularies are refused with the token that is wrong.
struct TokenizerDamageTests {
  private func message(_ damage: (inout TokenizerVocabulary) -> Void, of sample: TokenizerVocabulary) -> String {
    var vocabulary = sample
    damage(&vocabulary)
    let error = #expect(throws: EngineError.self) { _ = try Tokenizer(vocabulary) }
    #expect(error?.kind == .token)
    return error?.message ?? ""
  }

  private func byteLevel(_ damage: (inout TokenizerVocabulary) -> Void) -> String {
    message(damage, of: TokenizerTextTests.byteLevel)
  }

  private func sentencePiece(_ damage: (inout TokenizerVocabulary) -> Void) -> String {
    message(damage, of: TokenizerTextTests.sentencePiece)
  }

  @Test func mergesOfUnknownTokens() {
    for (merge, complaint) in [
      ("zz q", "left part"), ("q zz", "right part"), ("q z", "gives something"), ("q", "two tokens"),
      ("q ", "two tokens"),
      (" q", "two tokens"), ("", "two tokens"), ("日 q", "left part"), ("q a b", "right part"),
    ] {
      let message = byteLevel { $0.merges.append(merge.utf8) }
      #expect(message.contains(complaint) && message.contains("merge 10"), "\(message)")
    }
    #expect(byteLevel { $0.merges = ByteStringList() }.contains("no merges"))
  }

  @Test func idsOutOfRange() {
    #expect(byteLevel { $0.bos = 99_999 }.contains("begin-of-sequence token is 99999"))
    #expect(byteLevel { $0.ends = [0, -1] }.contains("end token is -1"))
    #expect(sentencePiece { $0.unknown = Int.max }.contains("unknown token"))
  }

  @Test func tokensThatAreEmptyOrTwiceThere() {
    #expect(byteLevel { $0.append("", type: 1) }.contains("token 268 is empty"))
    #expect(byteLevel { $0.append("abc", type: 1) }.contains("tokens 259 and 268 are both “abc”"))
    #expect(byteLevel { $0.append("<|end|>", type: 3) }.contains("tokens 0 and 268"))
    #expect(sentencePiece { $0.append("▁a", type: 1) }.contains("are both “▁a”"))
    #expect(sentencePiece { $0.append("<0x0A>", type: 6) }.contains("both stand for byte 10"))
    #expect(sentencePiece { $0.append("<0x100>", type: 6) }.contains("not of the form"))
    #expect(sentencePiece { $0.append("<0x+1>", type: 6) }.contains("not of the form"))
    #expect(sentencePiece { $0.append(String(repeating: "x", count: 2000), type: 4) }.contains("2000 bytes"))
  }

  @Test func countsThatDisagree() {
    #expect(sentencePiece { $0.scores = [] }.contains("0 scores"))
    #expect(sentencePiece { $0.scores.removeLast() }.contains("scores"))
    #expect(sentencePiece { $0.scores[300 - 30] = .nan }.contains("score of token 270"))
    #expect(byteLevel { $0.types.removeLast() }.contains("token types"))
    #expect(byteLevel { $0.types[3] = 7 }.contains("token 3 has type 7"))
    #expect(byteLevel { $0.types[3] = -1 }.contains("token 3 has type -1"))
    #expect(
      byteLevel {
        $0.tokens = ByteStringList()
        $0.types = []
      }.contains("no tokens"))
  }

  @Test func textThatCouldNotBeEncoded() {
    let message = sentencePiece { vocabulary in
      vocabulary.types[10] = 1
      vocabulary.types[0] = 1
      vocabulary.unknown = nil
    }
    #expect(message.contains("neither an unknown token"))
    #expect(
      byteLevel {
        $0.bos = nil
        $0.addsBOS = true
      }.contains("asks for a begin-of-sequence token"))
  }

  @Test func unknownModelsAndSplittings() {
    #expect(byteLevel { $0.model = "gpt3" }.contains("did you mean gpt2"))
    #expect(byteLevel { $0.model = "" }.contains("known: gpt2"))
    #expect(byteLevel { $0.pre = "smolm" }.contains("did you mean smollm"))
  }

  @Test func patternsThatDoNotCompileOrTakeTooLong() throws {
    #expect(throws: EngineError.self) { _ = try Pattern("(a") }
    let matcher = try PatternMatcher(Pattern("(?:a+)+b|(?:a?){30}a{30}c"))
    #expect(throws: EngineError.self) {
      try [UInt8](repeating: 0x61, count: 40).withUnsafeBufferPointer { try matcher.split($0) { _ in } }
    }
  }

  /// Empty matches, gaps and the end: every byte is in one piece.
  @Test func anyPatternSplitsIntoAPartition() throws {
    let text = Array("a1 é日 x".utf8)
    for source in ["", "x*", "é", #"\d"#, "(?=x)", "zzz", ".", "a1 é日 x"] {
      let matcher = try PatternMatcher(Pattern(source))
      var end = 0
      try text.withUnsafeBufferPointer { text in
        try matcher.split(text) { piece in
          #expect(piece.lowerBound == end && !piece.isEmpty)
          end = piece.upperBound
        }
      }
      #expect(end == text.count, "\(source)")
    }
  }

  /// Seeded damage to every field: an error or a tokenizer that works, never a crash.
  @Test func randomDamageNeverCrashes() throws {
    var random = SeededBytes(state: 11)
    let text = Array("<bos>abc  日本 \n\n aé<|end|>".utf8) + [0xFF, 0xC3]
    for round in 0..<400 {
      var vocabulary = round.isMultiple(of: 2) ? TokenizerTextTests.byteLevel : TokenizerTextTests.sentencePiece
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: vocabulary.tokens = damaged(vocabulary.tokens, &random)
        case 1: vocabulary.merges = damaged(vocabulary.merges, &random)
        case 2:
          vocabulary.types[vocabulary.types.indices.randomElement(using: &random)!] = Int.random(
            in: 0...6, using: &random)
        case 3: vocabulary.unknown = Int.random(in: -2...300, using: &random)
        case 4:
          if let index = vocabulary.scores.indices.randomElement(using: &random) {
            vocabulary.scores[index] = Float(bitPattern: UInt32.random(in: 0 ... .max, using: &random))
          }
        default: vocabulary.bos = Int.random(in: -2...300, using: &random)
        }
      }
      guard let tokenizer = try? Tokenizer(vocabulary) else { continue }
      let encoding = try tokenizer.encode(text, bos: .never)
      expectPartition(encoding, text, "round \(round)")
      _ = try tokenizer.decode(encoding.ids)
    }
  }

  private func damaged(_ list: ByteStringList, _ random: inout SeededBytes) -> ByteStringList {
    var strings = (0..<list.count).map { Array(list[$0]) }
    guard let index = strings.indices.randomElement(using: &random) else { return list }
    strings[index] = random.bytes(Int.random(in: 0...4, using: &random))
    return ByteStringList(strings)
  }
}

extension TokenizerVocabulary {
  fileprivate mutating func append(_ token: String, type: Int) {
    tokens.append(token.utf8)
    types.append(type)
    if !scores.isEmpty { scores.append(-5000) }
  }
}
