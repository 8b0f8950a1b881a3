import Foundation
import Testing

@testable import Engine

/// A GGUF file's tokenizer written as `tokenizer.json` gives the ids that it gave.
@Suite struct TokenizerWritingTests {
  private struct RealText: Decodable {
    let text: String
    let plain: [Int]
    let special: [Int]
  }

  /// The same tokenizer from `tokenizer.json` and `tokenizer_config.json`.
  static func written(_ vocabulary: TokenizerVocabulary) throws -> Tokenizer {
    try Files.withFolder { folder in
      try Data(vocabulary.tokenizerJSON()).write(to: URL(fileURLWithPath: folder + "/tokenizer.json"))
      let settings = JSONValue.object(vocabulary.settings(context: 128)).fileContents
      try Data(settings).write(to: URL(fileURLWithPath: folder + "/tokenizer_config.json"))
      return try Tokenizer(folder: folder)
    }
  }

  private func expectSame(_ a: Tokenizer, _ b: Tokenizer) {
    #expect(a.bos == b.bos && a.addsBOS == b.addsBOS && a.endTokens == Array(b.endTokens.prefix(1)))
    #expect(a.chatTemplate == b.chatTemplate && a.vocabularySize == b.vocabularySize)
  }

  @Test(
    .enabled(if: TokenizerFixtures.hasModels, "\(TokenizerFixtures.noModels)"),
    .enabled(if: TokenizerFixtures.has("real/tokens.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: [("smollm2", "smollm2-135m-instruct"), ("gemma", "gemma-3-270m")])
  func idsOfPackagedModelsStay(key: String, model: String) throws {
    let vocabulary = try TokenizerVocabulary(gguf: GGUFFile(path: TokenizerFixtures.modelPath(model)))
    let start = ContinuousClock.now
    let original = try Tokenizer(vocabulary), copy = try Self.written(vocabulary)
    print("\(key) tokenizer written and read in \(ContinuousClock.now - start)")
    expectSame(copy, original)
    let texts = try #require(try TokenizerFixtures.decode([String: [RealText]].self, "real/tokens.json")[key])
    for golden in texts {
      let text = Array(golden.text.utf8)
      #expect(try copy.encode(text, bos: .never, special: false).ids == golden.plain, "\(golden.text.debugDescription)")
      let special = try copy.encode(text)
      #expect(special.ids == golden.special, "\(golden.text.debugDescription)")
      #expect(try special.spans == original.encode(text).spans)
      #expect(try copy.decode(golden.plain) == text)
    }
    // Every token prints the same, and random text gives the same ids.
    let ids = Array(0..<original.vocabularySize)
    #expect(try copy.tokenStrings(ids) == original.tokenStrings(ids))
    var random = SeededBytes(state: 7)
    let alphabet = [
      "a", "the", " ", "  ", "\n", "\t", "é", "ß", "漢", "字", "😀", "1", "23", "'s", "▁", "<", "_x", "ing", ".",
    ]
    for length in [1, 3, 10, 40, 200, 2000] {
      for _ in 0..<20 {
        let text = random.text(length, of: alphabet), bytes = random.bytes(length)
        #expect(try copy.encode(text).ids == original.encode(text).ids)
        // SmolLM2 has no tokens for some bytes that no text has; Hugging Face merges across those it drops.
        if key == "gemma" { #expect(try copy.encode(bytes).ids == original.encode(bytes).ids) }
      }
    }
  }

  @Test(arguments: [true, false])
  func smallVocabulariesKeepTheirSettings(flag: Bool) throws {
    var pieces = TokenizerSamples.sentencePiece(pieces: ["▁a", "ab", "a", "b", "▁", "aba", "ba", "\"", "\\", "c"])
    (pieces.addsSpacePrefix, pieces.addsBOS) = (flag, flag)
    var bytes = TokenizerSamples.byteLevel(
      merges: [("a", "b"), ("Ġ", "ab"), ("ab", "a")], pre: flag ? "llama3" : "gpt-2")
    bytes.addsBOS = flag ? nil : true
    bytes.chatTemplate = "{{ messages[0].content }}\n\"quoted\""
    for vocabulary in [pieces, bytes] {
      let original = try Tokenizer(vocabulary), copy = try Self.written(vocabulary)
      expectSame(copy, original)
      var random = SeededBytes(state: 3)
      for length in 1..<40 {
        let text = random.text(
          length, of: ["a", "b", " ", "c", "\n", "\n\n", "\"", "\\", "é", "<bos>", "<|end|>", "<0x41>"])
        #expect(try copy.encode(text).ids == original.encode(text).ids)
        let ids = try original.encode(text).ids
        #expect(try copy.decode(ids) == original.decode(ids))
      }
    }
  }

  @Test func tokensSpeltAlikeAreRefused() throws {
    var vocabulary = TokenizerSamples.byteLevel(merges: [])
    vocabulary.tokens.append("<|end|>".utf8)
    vocabulary.types.append(5)
    #expect(throws: EngineError.self) { try vocabulary.tokenizerJSON() }
  }
}
