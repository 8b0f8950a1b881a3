import Testing

@testable import Engine

struct TokenizerStreamTests {
  private static let text = "naïve 日本語 👩‍👩‍👧 x"

  @Test func piecesAreWholeCharactersAndJoinToTheText() throws {
    for (name, tokenizer) in try TokenizerTextTests.all() {
      let ids = try tokenizer.encode(Array(Self.text.utf8), bos: .never).ids
      var decoder = StreamDecoder(tokenizer)
      let pieces = try ids.map { try decoder.push($0) } + [decoder.flush()]
      for piece in pieces { #expect(String(validating: piece, as: UTF8.self) != nil, "\(name): \(piece)") }
      #expect(pieces.flatMap { $0 } == Array(Self.text.utf8), "\(name)")
    }
  }

  /// Tokens of single bytes, in any order: never more than 3 bytes wait, nothing is lost.
  @Test func anyTokensJoinToTheirDecoding() throws {
    var random = SeededBytes(state: 5)
    for (name, tokenizer) in try TokenizerTextTests.all() {
      for _ in 0..<50 {
        let ids = (0..<60).map { _ in Int.random(in: 0..<min(600, tokenizer.vocabularySize), using: &random) }
        var decoder = StreamDecoder(tokenizer)
        let pieces = try ids.map { try decoder.push($0) }
        let rest = decoder.flush()
        #expect(rest.count <= 3)
        #expect(pieces.flatMap { $0 } + rest == (try tokenizer.decode(ids)), "\(name)")
        #expect(decoder.flush().isEmpty)
      }
    }
  }

  @Test func bytesThatCannotBecomeACharacterDoNotWait() throws {
    let tokenizer = try Tokenizer(TokenizerTextTests.byteLevel)
    func pieces(_ bytes: [UInt8]) throws -> [[UInt8]] {
      var decoder = StreamDecoder(tokenizer)
      return try bytes.map { try decoder.push(2 + Int($0)) }
    }
    #expect(try pieces([0xFF, 0xC0, 0x80, 0x41]) == [[0xFF], [0xC0], [0x80], [0x41]])
    #expect(try pieces([0xE6, 0x97, 0xA5]) == [[], [], [0xE6, 0x97, 0xA5]])
    #expect(try pieces([0xED, 0xA0]) == [[], [0xED, 0xA0]])
    #expect(try pieces([0xE0, 0xA0, 0x80]) == [[], [], [0xE0, 0xA0, 0x80]])
    #expect(try pieces([0xF4, 0x90]) == [[], [0xF4, 0x90]])
    #expect(try pieces([0xF4, 0x8F, 0x41]) == [[], [], [0xF4, 0x8F, 0x41]])
    var decoder = StreamDecoder(tokenizer)
    _ = try decoder.push(2 + 0xE6)
    #expect(throws: EngineError.self) { try decoder.push(-1) }
    #expect(decoder.flush() == [0xE6])
  }
}
