/// A `tokenizer.json` as it stands in the file: vocabulary and merges read as they come, the rest as JSON.
struct TokenizerFile {
  /// Larger files, vocabularies and merge lists are refused; Gemma 3's is 33 MB of 262,144 tokens and 514,906 merges.
  static let largestFile = 256 << 20
  static let mostTokens = 4 << 20
  static let mostMerges = 16 << 20

  /// The vocabulary's tokens in the order of the file, and their ids.
  private(set) var tokens = ByteStringList()
  private(set) var ids: [Int] = []
  private(set) var merges = MergeList()
  /// What else the file and its `model` hold, by key.
  private(set) var sections: [String: JSONValue] = [:]
  private(set) var model: [String: JSONValue] = [:]
  private var hasVocabulary = false

  /// Throws `.missing` where there is no file at `path`, `.file` where it is no JSON, `.token` where it is no BPE
  /// model.
  init(path: String) throws {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= Self.largestFile else {
      throw EngineError(
        .file, "\(path) is \(byteText(file.bytes.count)); a tokenizer of at most \(byteText(Self.largestFile)) is read")
    }
    self = try withExtendedLifetime(file) { try TokenizerFile(parsing: file.bytes, source: path) }
  }

  init(parsing bytes: UnsafeRawBufferPointer, source: String) throws {
    var parser = JSONParser(bytes: bytes, source: source)
    tokens.reserve(count: bytes.count / 64, bytes: bytes.count / 8)
    merges.reserve(count: bytes.count / 64, bytes: bytes.count / 4)
    try parser.forEachMember { parser, key in
      if key == "model", parser.peek() == UInt8(ascii: "{") {
        try readModel(&parser)
      } else {
        try Self.store(key, &parser, in: &sections)
      }
    }
    try parser.end()
    try checkModel()
  }

  private static func store(
    _ key: String, _ parser: inout JSONParser, in members: inout [String: JSONValue]
  ) throws {
    guard members.updateValue(try parser.value(depth: 2), forKey: key) == nil else {
      throw parser.error("key \(jsonQuoted(key)) appears twice")
    }
  }

  private mutating func readModel(_ parser: inout JSONParser) throws {
    guard model.isEmpty, !hasVocabulary else { throw parser.error("key \"model\" appears twice") }
    try parser.forEachMember { parser, key in
      switch (key, parser.peek()) {
      case ("vocab", UInt8(ascii: "{")): try readVocabulary(&parser)
      case ("merges", UInt8(ascii: "[")): try readMerges(&parser)
      default: try Self.store(key, &parser, in: &model)
      }
    }
  }

  private mutating func readVocabulary(_ parser: inout JSONParser) throws {
    guard !hasVocabulary else { throw parser.error("key \"vocab\" appears twice") }
    hasVocabulary = true
    try parser.forEachMember { parser in
      try tokens.appendBytes { try parser.string(into: &$0) }
    } _: { parser, _ in
      guard ids.count < Self.mostTokens else {
        throw parser.error("a vocabulary of more than \(Self.mostTokens) tokens")
      }
      let value = try parser.value(depth: 3)
      guard let id = value.int else {
        throw TokenizerVocabulary.damaged(
          "the id of token \(tokens.quoted(ids.count)) is \(value.kind), not an integer")
      }
      ids.append(id)
    }
  }

  private mutating func readMerges(_ parser: inout JSONParser) throws {
    guard merges.count == 0 else { throw parser.error("key \"merges\" appears twice") }
    var line: [UInt8] = []
    try parser.forEachElement { parser in
      guard merges.count < Self.mostMerges else { throw parser.error("more than \(Self.mostMerges) merges") }
      if parser.peek() == UInt8(ascii: "[") {
        var parts = 0
        try parser.forEachElement { parser in
          guard parts < 2 else { throw parser.error("a merge of more than two tokens") }
          parts += 1
          try merges.appendPart { try parser.string(into: &$0) }
        }
        guard parts == 2 else { throw parser.error("a merge is not two tokens") }
      } else {
        line.removeAll(keepingCapacity: true)
        try parser.string(into: &line)
        try merges.append(line[...])
      }
    }
  }

  private func checkModel() throws {
    let type = model["type"]?.string
    if let type, type != "BPE" {
      throw EngineError(.token, "tokenizer model \(jsonQuoted(type)) is not supported; only BPE is")
    }
    guard type != nil || hasVocabulary && model["max_input_chars_per_word"] == nil else {
      throw EngineError(
        .token, "it holds no tokenizer model of type BPE (a key \"model\" with \"vocab\" and \"merges\")")
    }
    guard hasVocabulary else {
      throw TokenizerVocabulary.damaged("model.vocab is missing or no object of tokens and ids")
    }
    guard model["merges"] == nil else { throw TokenizerVocabulary.damaged("model.merges is no array") }
  }
}
