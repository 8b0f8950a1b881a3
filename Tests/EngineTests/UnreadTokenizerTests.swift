import Foundation
import OrderedCollections
import Testing

@testable import Engine

/// Models whose tokenizer does not fit them, or cannot be read: token ids work, and what fails says why.
@Suite(.serialized) struct UnreadTokenizerTests {
  /// The tiny Llama (320 rows) with these files beside it.
  private func withModel(_ files: [String: String], _ body: (Model) throws -> Void) throws {
    guard let source = Files.fixture("tiny/llama") else { return }
    try Files.withFolder { folder in
      for name in ["config.json", "model.safetensors"] {
        try FileManager.default.createSymbolicLink(
          atPath: "\(folder)/\(name)", withDestinationPath: "\(source)/\(name)")
      }
      for (name, text) in files { try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8) }
      try body(try Model.load(path: folder))
    }
  }

  /// A byte-level tokenizer of 256 bytes and `more` special tokens `<x0>`, `<x1>`, ...
  private func tokenizer(adding more: Int) -> String {
    let letters = (0..<256).map { TokenizerSamples.spelled(UInt8($0)) }
    let vocabulary = letters.enumerated().map { "\(jsonQuoted($1)): \($0)" }.joined(separator: ", ")
    let added = (0..<more).map { #"{"id": \#(256 + $0), "content": "<x\#($0)>", "special": true}"# }
    return """
      {"added_tokens": [\(added.joined(separator: ", "))], "normalizer": null,
       "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
       "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {\(vocabulary)}, "merges": []}}
      """
  }

  private let plain = #"{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<x70>"}"#

  @Test func aTokenizerWithMoreEntriesThanRowsLoads() throws {
    try withModel(["tokenizer.json": tokenizer(adding: 80), "tokenizer_config.json": plain]) { model in
      #expect(try model.requireTokenizer().vocabularySize == 336)
      let prompt = try model.prompt(text: Array("ab<x10>".utf8))
      #expect(prompt.tokens == [97, 98, 266])
      let logits = try #require(try model.run([prompt], logits: .last)[0].logits)
      #expect(logits.count == 320)
      var options = GenerationOptions()
      options.maxTokens = 4
      let completion = try model.generate([prompt], options: options)[0]
      #expect(completion.text == (try model.requireTokenizer().decode(completion.tokens)))
      // Only what has no row fails, by its text, its id and the rows.
      let beyond = try model.prompt(text: Array("ab<x64>".utf8))
      #expect(beyond.tokens == [97, 98, 320])
      let error = #expect(throws: EngineError.self) { try model.run([beyond], logits: .last) }
      for word in ["320", "<x64>", "320 rows", "336 tokens"] {
        #expect(error?.message.contains(word) == true, "\(word)")
      }
      #expect(error?.kind == .token)
      #expect(throws: EngineError.self) { try model.generate([beyond], options: options) }
      #expect(throws: EngineError.self) { try model.negativeLogLikelihood([beyond], scoredFrom: [0]) }
      #expect(throws: EngineError.self) { try model.gradients([beyond], scoredFrom: [0]) }
      let none = #expect(throws: EngineError.self) { try model.run([Prompt(tokens: [400])], logits: .last) }
      #expect(none?.message.contains("out of range") == true)
    }
    // The same by tokens that only the settings have.
    let more = (0..<70).map { "\"<y\($0)>\"" }.joined(separator: ", ")
    let settings = #"{"tokenizer_class": "Qwen2Tokenizer", "additional_special_tokens": [\#(more)]}"#
    try withModel(["tokenizer.json": tokenizer(adding: 0), "tokenizer_config.json": settings]) { model in
      let beyond = try model.prompt(text: Array("<y69>".utf8))
      #expect(beyond.tokens == [326] && model.tokenizer?.vocabularySize == 327)
      #expect(throws: EngineError.self) { try model.run([beyond], logits: .last) }
    }
  }

  @Test func aTokenizerWithFewerEntriesThanRowsLoads() throws {
    try withModel(["tokenizer.json": tokenizer(adding: 2), "tokenizer_config.json": plain]) { model in
      let own = try model.requireTokenizer()
      #expect(try own.decode([97, 300, 98]) == Array("ab".utf8))
      #expect(try own.tokenBytes(319) == [])
      #expect(throws: EngineError.self) { try own.tokenBytes(320) }
      #expect(try model.run([Prompt(tokens: [97, 319])], logits: .last)[0].logits?.count == 320)
    }
  }

  @Test func anUnknownKindOfTokenizerLeavesTheModelItsTokens() throws {
    let known = tokenizer(adding: 1)
    let kinds: [(files: [String: String], word: String)] = [
      (["tokenizer.json": known.replacing(#""type": "BPE""#, with: #""type": "WordPiece""#)], "WordPiece"),
      (["tokenizer.json": known.replacing(#""type": "BPE""#, with: #""type": "Unigram""#)], "Unigram"),
      (
        ["tokenizer.json": known.replacing(#""normalizer": null"#, with: #""normalizer": {"type": "Precompiled"}"#)],
        "Precompiled"
      ),
      (
        ["tokenizer.json": known.replacing(#"{"type": "ByteLevel", "add"#, with: #"{"type": "UnicodeScripts", "add"#)],
        "UnicodeScripts"
      ),
      (
        ["tokenizer.json": known.replacing(#""decoder": {"type": "ByteLevel"}"#, with: #""decoder": {"type": "CTC"}"#)],
        "CTC"
      ),
      (["tokenizer.model": "x"], "tokenizer.model"), (["vocab.json": "{}", "merges.txt": ""], "vocab.json"),
      (["tekken.json": "{}"], "tekken.json"),
    ]
    for (files, word) in kinds {
      try withModel(files) { (model: Model) throws -> Void in
        #expect(model.tokenizer == nil && model.tokenizerFailure != nil)
        #expect(try model.run([Prompt(tokens: [1, 2, 3])], logits: .last)[0].logits?.count == 320)
        var options = GenerationOptions()
        options.maxTokens = 3
        #expect(try model.generate([Prompt(tokens: [1, 2])], options: options)[0].tokens.count <= 3)
        for isChat in [false, true] {
          let error = #expect(throws: EngineError.self) { try model.prompt(text: Array("Hi".utf8), chat: isChat) }
          #expect(error?.message.contains(word) == true && error?.message.contains("tokens") == true, "\(word)")
        }
      }
    }
    for (key, value) in [("pre", "some-new-one"), ("model", "rwkv"), ("model", "bert"), ("model", "t5")] {
      try TinyGGUF.withFile(
        "llama",
        adding: { builder in
          builder.add("tokenizer.ggml.model", key == "model" ? value : "gpt2")
          if key == "pre" { builder.add("tokenizer.ggml.pre", value) }
          builder.add("tokenizer.ggml.tokens", ["a", "b", "ab"])
          builder.add("tokenizer.ggml.merges", ["a b"])
          builder.add("tokenizer.ggml.eos_token_id", UInt32(2))
        }
      ) { path in
        let model = try Model.load(path: path)
        #expect(try model.run([Prompt(tokens: [1, 2, 3])], logits: .last)[0].logits?.count == 320)
        let error = #expect(throws: EngineError.self) { try model.prompt(text: Array("Hi".utf8)) }
        #expect(error?.message.contains(value) == true)
      }
    }
  }

  // MARK: Ends

  private func ends(_ tokens: [String], types: [Int] = [], keys: [String: UInt32] = [:]) throws -> [Int] {
    var found: [Int] = []
    try TinyGGUF.withFile(
      "llama",
      adding: { builder in
        builder.add("tokenizer.ggml.model", "gpt2")
        builder.add("tokenizer.ggml.tokens", ["a", "b", "ab"] + tokens)
        builder.add("tokenizer.ggml.merges", ["a b"])
        if !types.isEmpty { builder.add("tokenizer.ggml.token_type", [1, 1, 1] + types.map(Int32.init)) }
        for (key, id) in keys { builder.add("tokenizer.ggml.\(key)", id) }
      }
    ) { path in
      let tokenizer = try Tokenizer(gguf: GGUFFile(path: path))
      found = tokenizer.endTokens
      for id in found where id > 2 {
        // A token that ends a text is a control token, whatever the file says.
        let text = Array(tokens[id - 3].utf8)
        #expect(try tokenizer.encode(text, bos: .never).ids == [id])
        #expect(try tokenizer.encode(text, bos: .never, special: false).ids != [id])
      }
    }
    return found
  }

  /// As llama.cpp collects them (`llama_vocab::impl::load`, end-of-generation tokens).
  @Test func endTokensOfAGGUFAreFoundByName() throws {
    guard Files.fixture("tiny/llama") != nil else { return }
    #expect(
      try ends(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], types: [3, 3, 3], keys: ["eos_token_id": 3]) == [3, 5])
    #expect(try ends(["<|endoftext|>", "<|im_end|>"], types: [3, 3], keys: ["eos_token_id": 4]) == [4, 3])
    for name in [
      "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>",
      "_<EOT>",
      "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
    ] {
      for type in [1, 3, 4] { #expect(try ends(["x", name], types: [1, type]) == [4], "\(name) of type \(type)") }
      #expect(try ends([name]) == [3], "\(name) without types")
    }
    // Ordinary text in some vocabularies: HTML, padding.
    for name in ["</s>", "<eos>", "[EOS]", "[PAD]", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<reponame>"] {
      #expect(try ends([name], types: [3]) == [3], "\(name)")
      #expect(try ends([name], types: [4]) == [], "\(name)")
    }
    #expect(try ends(["<|end|>", "<|return|>", "<|call|>"], types: [3, 3, 3], keys: ["eos_token_id": 4]) == [4, 5])
    #expect(try ends(["<|end|>", "<|assistant|>"], types: [3, 3]) == [3])
    let keys: [String: UInt32] = ["eos_token_id": 3, "eot_token_id": 4, "eom_token_id": 5]
    #expect(try ends(["x", "y", "z"], types: [3, 3, 3], keys: keys) == [3, 4, 5])
  }

  @Test func aGGUFHasItsFamilysNormalForm() throws {
    for (pre, isComposed) in [
      ("qwen2", true), ("gpt-neox", true), ("olmo", true), ("gpt-2", false), ("llama-bpe", false),
    ] {
      let merges = [("Ã", "©")]  // the bytes of é
      let tokenizer = try Tokenizer(TokenizerSamples.byteLevel(merges: merges, pre: pre))
      let apart = Array("e\u{301}".unicodeScalars.map { String($0) }.joined().utf8)
      let encoding = try tokenizer.encode(apart, bos: .never)
      #expect((encoding.ids == (try tokenizer.encode(Array("\u{e9}".utf8), bos: .never).ids)) == isComposed, "\(pre)")
      #expect(encoding.spans.last?.upperBound == apart.count)
      let copy = try TokenizerWritingTests.written(TokenizerSamples.byteLevel(merges: merges, pre: pre))
      #expect(try copy.encode(apart, bos: .never).ids == encoding.ids, "\(pre)")
    }
  }

  @Test func aGGUFMayAskForItsEndTokenBehindEveryText() throws {
    for asks in [true, false] {
      var vocabulary = TokenizerSamples.byteLevel(merges: [("a", "b")])
      (vocabulary.addsBOS, vocabulary.addsEOS) = (true, asks)
      for tokenizer in [try Tokenizer(vocabulary), try TokenizerWritingTests.written(vocabulary)] {
        #expect(try tokenizer.encode(Array("ab".utf8)).ids == [1, 258] + (asks ? [0] : []))
        #expect(try tokenizer.encode(Array("ab".utf8), bos: .never).ids == [258])
      }
    }
  }

  // MARK: Growth

  /// Forty steps, each of which triples every byte.
  private func growing(_ count: Int, content: String) -> [String] {
    Array(repeating: #"{"type": "Replace", "pattern": {"String": "a"}, "content": "\#(content)"}"#, count: count)
  }

  @Test func stepsThatGrowTogetherAreRefused() throws {
    let steps = growing(40, content: "aaa").joined(separator: ", ")
    let spaces = Array(repeating: #"{"type": "Metaspace", "replacement": "  ", "split": false}"#, count: 40)
    let sections = [
      #""normalizer": {"type": "Sequence", "normalizers": [\#(steps)]}"#,
      #""pre_tokenizer": {"type": "Sequence", "pretokenizers": [\#(spaces.joined(separator: ", "))]}"#,
    ]
    for section in sections {
      let tokenizer = try TokenizerJSONTests.tokenizer(section)
      let error = #expect(throws: EngineError.self) { try tokenizer.encode(Array(" a a b".utf8)) }
      #expect(error?.kind == .token && error?.message.contains("64 bytes of each byte") == true)
    }
    let decoders = #""decoder": {"type": "Sequence", "decoders": [\#(steps)]}"#
    let error = #expect(throws: EngineError.self) { try TokenizerJSONTests.tokenizer(decoders) }
    #expect(error?.message.contains("decoder") == true)
    // Many steps that replace one for one are no harm.
    let harmless = growing(60, content: "a").joined(separator: ", ")
    let tokenizer = try TokenizerJSONTests.tokenizer(
      #""normalizer": {"type": "Sequence", "normalizers": [\#(harmless)]}"#)
    #expect(try tokenizer.encode(Array(String(repeating: "ab", count: 5000).utf8)).ids.count == 5000)
  }
}
