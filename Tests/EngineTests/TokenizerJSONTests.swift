import Foundation
import Testing

@testable import Engine

/// Tokenizers read from `tokenizer.json`, against what the Hugging Face library gives.
struct TokenizerJSONTests {
  static let names = ["qwen2", "gpt2", "neox", "llama2", "gemma"]
  static let hasGoldens = names.allSatisfy { TokenizerFixtures.has("tokenizers/\($0)/tokenizer.json") }

  private struct Golden: Decodable {
    let text: String
    let ids: [Int]
    let ids_with_special: [Int]?
    let decoded: String
  }

  @Test(.enabled(if: hasGoldens, "\(TokenizerFixtures.noGoldens)"), arguments: names)
  func idsAndDecodedTextEqualHuggingFace(name: String) throws {
    let tokenizer = try Tokenizer(path: TokenizerFixtures.path("tokenizers/\(name)"))
    let goldens = try TokenizerFixtures.decode([Golden].self, "tokenizers/\(name)/expected.json")
    #expect(goldens.count >= 20)
    for golden in goldens {
      let text = Array(golden.text.utf8)
      let encoding = try tokenizer.encode(text, bos: .never)
      #expect(encoding.ids == golden.ids, "\(golden.text.debugDescription)")
      expectPartition(encoding, text, golden.text)
      #expect(try tokenizer.encode(text).ids == golden.ids_with_special ?? golden.ids)
      #expect(try tokenizer.decode(golden.ids) == Array(golden.decoded.utf8))
    }
  }

  @Test(.enabled(if: hasGoldens, "\(TokenizerFixtures.noGoldens)"))
  func tokensOfADecomposedTextCoverTheOriginalBytes() throws {
    let tokenizer = try Tokenizer(path: TokenizerFixtures.path("tokenizers/qwen2/tokenizer.json"))
    let text = Array("cafe\u{301} 가\u{11A8}x".utf8)
    let encoding = try tokenizer.encode(text)
    #expect(encoding.ids == (try tokenizer.encode(Array("café 각x".utf8)).ids))
    expectPartition(encoding, text, "decomposed")
    let e = try #require(encoding.spans.last { $0.lowerBound < 6 })
    #expect(e.upperBound == 6)
  }

  @Test(.enabled(if: hasGoldens, "\(TokenizerFixtures.noGoldens)"))
  func withoutSpecialTokensTheyArePlainText() throws {
    let tokenizer = try Tokenizer(path: TokenizerFixtures.path("tokenizers/gpt2"))
    let end = try #require(tokenizer.id(of: "<|endoftext|>"))
    let text = Array("a<|endoftext|>".utf8)
    #expect(try tokenizer.encode(text).ids.last == end)
    let plain = try tokenizer.encode(text, special: false)
    #expect(!plain.ids.contains(end))
    #expect(try tokenizer.decode(plain.ids) == text)
  }

  // MARK: Written out

  /// Characters `a`, `b`, `c`, `▁` and `é`; `ab`, `▁ab`, `abc`; `<s>` and `</s>`.
  static let model = #"""
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": false, "vocab": {"<unk>": 0,
    "<s>": 1, "</s>": 2, "a": 3, "b": 4, "c": 5, "▁": 6, "\u00e9": 7, "ab": 8, "▁ab": 9, "abc": 10},
    "merges": ["a b", ["▁", "ab"], "ab c"]}
    """#

  static func tokenizer(_ sections: String, _ model: String = model) throws -> Tokenizer {
    let text = "{" + sections + (sections.isEmpty ? "" : ",") + model + "}"
    let file = try Array(text.utf8).withUnsafeBytes { try TokenizerFile(parsing: $0, source: "sample") }
    return Tokenizer(try TokenizerParts(file, settings: TokenizerSettings()))
  }

  private func ids(_ sections: String, _ text: String, special: Bool = true) throws -> [Int] {
    try Self.tokenizer(sections).encode(Array(text.utf8), special: special).ids
  }

  @Test func unknownCharactersAreOneToken() throws {
    let encoding = try Self.tokenizer("").encode(Array("abzzzcé".utf8))
    #expect(encoding.ids == [8, 0, 5, 7])
    #expect(encoding.spans == [0..<2, 2..<5, 5..<6, 6..<8])
  }

  @Test func metaspaceSplitsAndTheDecoderCutsItsSpace() throws {
    let section = #""type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true"#
    let tokenizer = try Self.tokenizer(#""pre_tokenizer": {\#(section)}, "decoder": {\#(section)}"#)
    let encoding = try tokenizer.encode(Array("abc ab".utf8))
    #expect(encoding.ids == [9, 5, 9])
    #expect(encoding.spans == [0..<2, 2..<3, 3..<6])
    #expect(try tokenizer.decode(encoding.ids) == Array("abc ab".utf8))
    #expect(try tokenizer.tokenStrings([9]) == [Array(" ab".utf8)])
  }

  @Test func removedTextBelongsToANeighbour() throws {
    let tokenizer = try Self.tokenizer(#""pre_tokenizer": {"type": "Whitespace"}"#)
    let encoding = try tokenizer.encode(Array(" ab  c ".utf8))
    #expect(encoding.ids == [8, 5])
    #expect(encoding.spans == [0..<3, 3..<7])
  }

  @Test func addedTokensTakeSpacesAndWholeWords() throws {
    func added(_ flags: String) -> String { #""added_tokens": [{"id": 11, "content": "b", \#(flags)}]"# }
    let model = Self.model.replacing(#""b": 4, "#, with: "").replacing(#""a b", ["▁", "ab"], "ab c""#, with: "")
    func ids(_ flags: String, _ text: String) throws -> [Int] {
      try Self.tokenizer(added(flags), model).encode(Array(text.utf8)).ids
    }
    #expect(try ids(#""lstrip": true"#, "a  b a") == [3, 11, 0, 3])
    #expect(try ids(#""rstrip": true"#, "a b  a") == [3, 0, 11, 3])
    #expect(try ids(#""single_word": true"#, "b ab ba") == [11, 0, 3, 0, 3])
    #expect(try ids(#""special": true"#, "aba") == [3, 11, 3])
    let special = try Self.tokenizer(added(#""special": true"#), model)
    #expect(try special.encode(Array("aba".utf8), special: false).ids == [3, 0, 3])
  }

  @Test func theTemplateAddsTokensAtBothEnds() throws {
    let template = #"""
      "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence":
      {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}], "special_tokens": {"<s>": {"ids": [1]}, "</s>": {"ids": [2]}}}
      """#
    let tokenizer = try Self.tokenizer(template)
    #expect(tokenizer.bos == 1 && tokenizer.addsBOS)
    let encoding = try tokenizer.encode(Array("abc".utf8))
    #expect(encoding.ids == [1, 10, 2])
    #expect(encoding.spans == [0..<0, 0..<3, 3..<3])
    #expect(try tokenizer.encode(Array("abc".utf8), bos: .never).ids == [10])
  }

  @Test func replacedTextKeepsItsPlace() throws {
    let tokenizer = try Self.tokenizer(
      #""normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, "#
        + #"{"type": "Replace", "pattern": {"Regex": "x+"}, "content": "b"}]}"#)
    let encoding = try tokenizer.encode(Array("aXXXc É".utf8))
    #expect(encoding.ids == [10, 0, 7])
    #expect(encoding.spans == [0..<5, 5..<6, 6..<8])
  }

  // MARK: Folders

  @Test func settingsBesideTheFileNameTokensAndTemplate() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func write(_ name: String, _ text: String) throws {
      try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
    }
    let error = #expect(throws: EngineError.self) { try Tokenizer(folder: folder.path) }
    #expect(error?.kind == .missing)
    try write("tokenizer.json", "{\(Self.model)}")
    #expect(try Tokenizer(path: folder.path).bos == nil)
    try write("special_tokens_map.json", #"{"bos_token": {"content": "<s>"}, "eos_token": "</s>"}"#)
    let mapped = try Tokenizer(path: folder.path)
    #expect(mapped.bos == 1 && mapped.endTokens == [2] && !mapped.addsBOS)
    try write(
      "tokenizer_config.json",
      #"{"add_bos_token": true, "chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}"#
    )
    let configured = try Tokenizer(path: folder.appendingPathComponent("tokenizer.json").path)
    #expect(configured.addsBOS && configured.chatTemplate == "d")
    #expect(try configured.encode(Array("abc".utf8)).ids == [1, 10])
    try write("chat_template.jinja", "{{ bos_token }}")
    #expect(try Tokenizer(folder: folder.path).chatTemplate == "{{ bos_token }}")
  }
}
