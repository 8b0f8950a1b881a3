import Foundation
import Testing

@testable import Engine

/// What a damaged or unsupported `tokenizer.json` says, and that none stops the program.
struct TokenizerJSONDamageTests {
  private func message(_ sections: String, _ model: String = TokenizerJSONTests.model) -> String {
    let error = #expect(throws: EngineError.self, "\(sections.prefix(80))") {
      _ = try TokenizerJSONTests.tokenizer(sections, model)
    }
    return error?.message ?? ""
  }

  private func model(_ vocabulary: String, merges: String = "[]", _ more: String = "") -> String {
    #""model": {"type": "BPE", "vocab": \#(vocabulary), "merges": \#(merges)\#(more)}"#
  }

  @Test func unknownPartsAreNamed() {
    #expect(message(#""normalizer": {"type": "Precompiled"}"#).contains("normalizer of type \"Precompiled\""))
    #expect(message(#""pre_tokenizer": {"type": "Bert"}"#).contains("pre_tokenizer of type \"Bert\""))
    #expect(message(#""post_processor": {"type": "X"}"#).contains("post_processor of type \"X\""))
    #expect(message(#""decoder": {"type": "CTC"}"#).contains("decoder of type \"CTC\""))
    #expect(
      message("", #""model": {"type": "Unigram", "vocab": [["a", -1.5]]}"#).contains("\"Unigram\" is not supported"))
    #expect(message("", #""model": {"type": "WordPiece", "vocab": {}}"#).contains("only BPE"))
    #expect(
      message(#""pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolate"}"#)
        .contains("did you mean Isolated"))
    #expect(message("", model(#"{"a": 0}"#, merges: "[]", #", "dropout": 0.1"#)).contains("dropout"))
    #expect(message("", model(#"{"a": 0}"#, merges: "[]", #", "end_of_word_suffix": "</w>""#)).contains("suffix"))
  }

  @Test func idsAndMergesAreChecked() {
    #expect(message("", model(#"{"a": 1000000000000}"#)).contains("1000000000000 is out of range"))
    #expect(message("", model(#"{"a": -1}"#)).contains("-1 is out of range"))
    #expect(message("", model(#"{"a": 0, "b": 0}"#)).contains("both have id 0"))
    #expect(message("", model(#"{"a": 0, "a": 1}"#)).contains("are both"))
    #expect(message("", model(#"{"a": "x"}"#)).contains("not an integer"))
    #expect(message("", model(#"{"a": 1e300}"#)).contains("not an integer"))
    #expect(message("", model("{}")).contains("no tokens"))
    #expect(message("", model(#"["a"]"#)).contains("model.vocab is missing"))
    #expect(message("", model(#"{"a": 0}"#, merges: #""a""#)).contains("model.merges is no array"))
    #expect(message("", model(#"{"a": 0}"#, merges: #"["a b"]"#)).contains("merge 0"))
    #expect(message("", model(#"{"a": 0}"#, merges: #"["ab"]"#)).contains("two tokens"))
    #expect(message("", model(#"{"a": 0}"#, merges: #"[["a"]]"#)).contains("two tokens"))
    #expect(message("", model(#"{"a": 0}"#, merges: #"[["a", "a", "a"]]"#)).contains("more than two"))
    #expect(message(#""added_tokens": [{"id": 3, "content": "zz"}]"#).contains("another token"))
    #expect(message(#""added_tokens": [{"id": 77, "content": "a"}]"#).contains("in model.vocab 3"))
    #expect(message(#""added_tokens": {"a": 1}"#).contains("not an array"))
    #expect(message("", model(#"{"a": 0}"#, merges: "[]", #", "unk_token": "?""#)).contains("unknown token"))
  }

  @Test func aFreeIdBelongsToNoToken() throws {
    let tokenizer = try TokenizerJSONTests.tokenizer("", model(#"{"a": 0, "b": 2}"#))
    #expect(tokenizer.vocabularySize == 3)
    let error = #expect(throws: EngineError.self) { try tokenizer.decode([1]) }
    #expect(error?.message == "no token of the vocabulary has id 1")
  }

  @Test func brokenPatternsAreRefused() {
    func split(_ pattern: String) -> String {
      message(#""pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\#(pattern)"}}"#)
    }
    #expect(split("(a").contains("pattern"))
    #expect(split("[a&&b]").contains("intersection"))
    #expect(split("[a[^b]]").contains("negated class"))
    #expect(split("[a").contains("no end"))
    #expect(split(String(repeating: "a", count: 70_000)).contains("at most"))
    #expect(!split("((a{900}){900}){900}").isEmpty)
    #expect(message(#""normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "a"}"#).contains("empty"))
  }

  @Test func nestingIsBounded() {
    let deep = String(repeating: #"{"type": "Sequence", "normalizers": ["#, count: 50_000)
    #expect(message(#""normalizer": "# + deep).contains("nested more than 64"))
    let steps = [String](repeating: #"{"type": "NFC"}"#, count: 100).joined(separator: ",")
    #expect(message(#""normalizer": {"type": "Sequence", "normalizers": [\#(steps)]}"#).contains("100 steps"))
  }

  /// Patterns that need exponential or square time end in an error, soon.
  @Test func patternsThatBacktrackWithoutEndAreStopped() throws {
    for pattern in [#"(?:a+)+b"#, #"(?:a|aa)+$b"#, #"(?:a?){30}a{30}b"#] {
      let tokenizer = try TokenizerJSONTests.tokenizer(
        #""pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\#(pattern)"}}"#)
      let start = ContinuousClock.now
      #expect(throws: EngineError.self, "\(pattern)") {
        try tokenizer.encode([UInt8](repeating: 0x61, count: 3000))
      }
      #expect(ContinuousClock.now - start < .seconds(20))
    }
  }

  @Test func textsThatANormalizerBlowsUpAreRefused() throws {
    let long = String(repeating: "b", count: 1000)
    let tokenizer = try TokenizerJSONTests.tokenizer(
      #""normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "\#(long)"}"#)
    let error = #expect(throws: EngineError.self) { try tokenizer.encode([UInt8](repeating: 0x61, count: 100_000)) }
    #expect(error?.message.contains("64 bytes of each byte") == true)
  }

  /// Seeded damage to the files of other programs: each loads and then works, or throws an `EngineError`.
  @Test(
    .enabled(if: TokenizerJSONTests.hasGoldens, "\(TokenizerFixtures.noGoldens)"),
    arguments: [("gpt2", 300), ("neox", 300), ("llama2", 300), ("gemma", 300), ("qwen2", 6)])
  func randomDamageNeverCrashes(name: String, rounds: Int) throws {
    let path = TokenizerFixtures.path("tokenizers/\(name)/tokenizer.json")
    let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let vocabulary = original.firstRange(of: Array("\"vocab\"".utf8))?.lowerBound ?? original.count
    let text = Array("<s>Hello  wörld e\u{301} \r\n日本 <|endoftext|> 123 aaaa".utf8) + [0xFF, 0xC3]
    var random = SeededBytes(state: 23)
    var loaded = 0
    for round in 0..<rounds {
      var bytes = original
      for _ in 0..<Int.random(in: 1...2, using: &random) {
        damage(&bytes, below: round.isMultiple(of: 2) ? vocabulary : bytes.count, &random)
      }
      do {
        let file = try bytes.withUnsafeBytes { try TokenizerFile(parsing: $0, source: name) }
        let tokenizer = Tokenizer(try TokenizerParts(file, settings: TokenizerSettings()))
        loaded += 1
        for special in [true, false] {
          let encoding = try tokenizer.encode(text, special: special)
          expectPartition(encoding, text, "\(name), round \(round)")
          _ = try tokenizer.decode(encoding.ids)
        }
      } catch is EngineError {}
    }
    print("\(name): \(loaded) of \(rounds) damaged tokenizers still load")
    #expect(loaded < rounds)
  }

  private func damage(_ bytes: inout [UInt8], below limit: Int, _ random: inout SeededBytes) {
    let place = Int.random(in: 0..<max(1, min(limit, bytes.count)), using: &random)
    let end = min(bytes.count, place + Int.random(in: 1...40, using: &random))
    switch Int.random(in: 0..<7, using: &random) {
    case 0: bytes.removeSubrange(place...)
    case 1: bytes.removeSubrange(place..<end)
    case 2: bytes.insert(contentsOf: bytes[place..<end], at: place)
    case 3: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 4:  // the next number becomes another
      guard let start = bytes[place...].firstIndex(where: { (0x30...0x39).contains($0) }) else { return }
      let stop = bytes[start...].firstIndex { !(0x30...0x39).contains($0) } ?? bytes.count
      let numbers = ["0", "-1", "1000000000000", "1e9", "true", "7", "99999999999999999999999", "null"]
      bytes.replaceSubrange(start..<stop, with: Array(numbers.randomElement(using: &random)!.utf8))
    case 5:  // the next word becomes another
      let words = [
        ("true", "false"), ("false", "true"), ("null", "{}"), ("NFC", "NFKC"), ("Prepend", "Replace"),
        ("Fuse", "Strip"),
        ("ByteLevel", "Metaspace"), ("\"▁\"", "\"\""), ("special", "spacial"), ("Regex", "String"),
      ]
      let (old, new) = words.randomElement(using: &random)!
      guard let range = bytes[..<min(limit, bytes.count)].firstRange(of: Array(old.utf8)) else { return }
      bytes.replaceSubrange(range, with: Array(new.utf8))
    default: bytes[place] = Array("{}[]\",:\\0".utf8).randomElement(using: &random)!
    }
  }
}
