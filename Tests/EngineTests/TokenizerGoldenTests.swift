import Testing

@testable import Engine

/// Token ids that other programs gave.
struct TokenizerGoldenTests {
  private struct RealText: Decodable {
    let text: String
    let plain: [Int]
    let special: [Int]
  }

  private struct SmallText: Decodable {
    let text: String
    let ids: [Int]
    let decoded: String?
  }

  @Test(
    .enabled(if: TokenizerFixtures.hasModels, "\(TokenizerFixtures.noModels)"),
    .enabled(if: TokenizerFixtures.has("real/tokens.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: [("smollm2", "smollm2-135m-instruct"), ("gemma", "gemma-3-270m")])
  func idsEqualLlamaCpp(key: String, model: String) throws {
    let tokenizer = try TokenizerFixtures.tokenizer(model)
    let goldens = try TokenizerFixtures.decode([String: [RealText]].self, "real/tokens.json")
    let texts = try #require(goldens[key])
    #expect(texts.count == 20)
    for golden in texts {
      let text = Array(golden.text.utf8)
      let plain = try tokenizer.encode(text, bos: .never, special: false)
      #expect(plain.ids == golden.plain, "plain: \(golden.text.debugDescription)")
      let special = try tokenizer.encode(text)
      #expect(special.ids == golden.special, "special: \(golden.text.debugDescription)")
      #expect(try tokenizer.decode(plain.ids) == text)
    }
  }

  /// GPT-2's splitting, and Qwen's with whole words taken before merges.
  @Test(
    .enabled(if: TokenizerFixtures.has("tokenizers/gpt2/tokenizer.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: [("gpt2", "gpt-2"), ("qwen2", "qwen2")])
  func byteLevelIdsEqualHuggingFace(name: String, pre: String) throws {
    let (vocabulary, merges) = try readTokenizerJSON(name)
    var described = TokenizerVocabulary(model: "gpt2", tokens: vocabulary.tokens)
    described.pre = pre
    described.types = vocabulary.types
    described.merges = ByteStringList(merges.map { "\($0.0) \($0.1)".utf8 })
    try check(name, Tokenizer(described))
    try check(name, TokenizerWritingTests.written(described))
  }

  /// SentencePiece vocabularies written as merges: the position of the merge that makes a token is its score.
  @Test(
    .enabled(if: TokenizerFixtures.has("tokenizers/gemma/tokenizer.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: [("gemma", false), ("llama2", true)])
  func sentencePieceIdsEqualHuggingFace(name: String, prefix: Bool) throws {
    let (vocabulary, merges) = try readTokenizerJSON(name)
    var described = TokenizerVocabulary(model: "llama", tokens: vocabulary.tokens)
    described.types = vocabulary.types
    described.scores = [Float](repeating: 0, count: vocabulary.tokens.count)
    for (rank, merge) in merges.enumerated() {
      let id = try #require(vocabulary.ids[merge.0 + merge.1])
      if described.scores[id] == 0 { described.scores[id] = -Float(rank + 1) }
    }
    described.addsSpacePrefix = prefix
    described.addsBOS = false
    try check(name, Tokenizer(described))
    try check(name, TokenizerWritingTests.written(described))
  }

  private func check(_ name: String, _ tokenizer: Tokenizer) throws {
    let goldens = try TokenizerFixtures.decode([SmallText].self, "tokenizers/\(name)/expected.json")
    #expect(goldens.count >= 10)
    for golden in goldens {
      let encoding = try tokenizer.encode(Array(golden.text.utf8))
      #expect(encoding.ids == golden.ids, "\(name): \(golden.text.debugDescription)")
      let decoded = try tokenizer.decode(golden.ids)
      #expect(String(decoding: decoded, as: UTF8.self) == golden.decoded ?? golden.text)
    }
  }

  private struct Listed {
    var tokens = ByteStringList()
    var types: [Int] = []
    var ids: [String: Int] = [:]
  }

  private func readTokenizerJSON(_ name: String) throws -> (Listed, [(String, String)]) {
    let file = try #require(try TokenizerFixtures.json("tokenizers/\(name)/tokenizer.json") as? [String: Any])
    let model = try #require(file["model"] as? [String: Any])
    var texts = try #require(model["vocab"] as? [String: Int])
    var types = texts.mapValues { _ in 1 }
    for text in texts.keys where text.hasPrefix("<0x") { types[text] = 6 }
    for token in try #require(file["added_tokens"] as? [[String: Any]]) {
      let text = try #require(token["content"] as? String)
      texts[text] = try #require(token["id"] as? Int)
      if types[text] != 6 { types[text] = token["special"] as? Bool == true ? 3 : 4 }
    }
    var listed = Listed()
    for (text, _) in texts.sorted(by: { $0.value < $1.value }) {
      listed.tokens.append(text.utf8)
      listed.types.append(types[text]!)
    }
    listed.ids = texts
    let merges = try #require(model["merges"] as? [Any]).map { merge in
      let parts = merge as? [String] ?? (merge as? String).map { $0.split(separator: " ").map(String.init) } ?? []
      try #require(parts.count == 2)
      return (parts[0], parts[1])
    }
    return (listed, merges)
  }
}
