import OrderedCollections

/// A GGUF file's tokenizer as the Hugging Face libraries keep it.
extension TokenizerVocabulary {
  /// `tokenizer.json` of a tokenizer that gives the same ids. Throws `.token` where two tokens are spelt alike or one
  /// is no UTF-8.
  func tokenizerJSON() throws -> [UInt8] {
    let kinds = try checkedKinds(), isByteLevel = model == "gpt2"
    // A character that only an unused token spells must not become that token.
    let isKept = { kinds[$0] != .unused || tokens[$0].count { $0 & 0xC0 != 0x80 } > 1 }
    _ = try ByteStringTable(tokens, isMember: isKept)
    let splitting = isByteLevel ? try PreTokenization.named(pre) : nil
    let added = (0..<tokens.count).filter { [.control, .userDefined, .unknown].contains(kinds[$0]) }
    var json: [UInt8] = []
    func member(_ key: String, _ value: JSONValue) { json += "\(jsonQuoted(key)): \(value.text),\n".utf8 }
    json += "{\n".utf8
    member("version", .string("1.0"))
    member("truncation", .null)
    member("padding", .null)
    member("added_tokens", .array(added.map { addedToken($0, isSpecial: kinds[$0] != .userDefined) }))
    let form = splitting?.normalForm.map { step($0.rawValue) } ?? .null
    member("normalizer", isByteLevel ? form : spaceNormalizer)
    member("pre_tokenizer", splitting.map(preTokenizer) ?? .null)
    member("post_processor", try postProcessor(isByteLevel: isByteLevel))
    member("decoder", isByteLevel ? step("ByteLevel", byteLevelFlags) : spaceDecoder)
    json += "\"model\": {\n".utf8
    member("type", .string("BPE"))
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] { member(key, .null) }
    member("unk_token", isByteLevel ? .null : text(unknown ?? kinds.firstIndex(of: .unknown)))
    member("fuse_unk", .bool(!isByteLevel))
    member("byte_fallback", .bool(!isByteLevel && kinds.contains(.byte)))
    member("ignore_merges", .bool(splitting?.ignoresMerges ?? false))
    json += "\"vocab\": {".utf8
    var separator = "\n"
    for index in 0..<tokens.count where isKept(index) {
      json += separator.utf8
      try json.appendQuoted(tokens[index])
      json += ": \(index)".utf8
      separator = ",\n"
    }
    json += "},\n\"merges\": [".utf8
    separator = "\n"
    try forEachMerge(kinds) { left, right in
      json += separator.utf8
      json += "[".utf8
      try json.appendQuoted(left)
      json += ", ".utf8
      try json.appendQuoted(right)
      json += "]".utf8
      separator = ",\n"
    }
    json += "]}}\n".utf8
    return json
  }

  /// `tokenizer_config.json`.
  func settings(context: Int) -> ModelSettings {
    var settings: ModelSettings = [
      "tokenizer_class": .string("PreTrainedTokenizerFast"), "model_max_length": .integer(context),
      "clean_up_tokenization_spaces": .bool(false),
    ]
    if let asks = try? asksForBOS { settings["add_bos_token"] = .bool(asks) }
    for (name, id) in [("bos", bos), ("eos", ends.first), ("unk", unknown), ("pad", padding)] where id != nil {
      settings["\(name)_token"] = text(id)
    }
    for (name, id) in others where settings["\(name)_token"] == nil { settings["\(name)_token"] = text(id) }
    if let templates = templates.setting { settings["chat_template"] = templates }
    return settings
  }

  /// Tokens that `config.json` and `generation_config.json` name by their ids.
  var idSettings: ModelSettings {
    var settings: ModelSettings = [:]
    if let bos { settings["bos_token_id"] = .integer(bos) }
    if let end = ends.first {
      settings["eos_token_id"] = ends.count == 1 ? .integer(end) : .array(ends.map { .integer($0) })
    }
    if let padding { settings["pad_token_id"] = .integer(padding) }
    return settings
  }

  private func text(_ id: Int?) -> JSONValue {
    id.map { .string(String(decoding: tokens[$0], as: UTF8.self)) } ?? .null
  }

  private func step(_ type: String, _ members: ModelSettings = [:]) -> JSONValue {
    .object((["type": .string(type)] as ModelSettings).with(members))
  }

  private func sequence(_ key: String, _ steps: [JSONValue]) -> JSONValue { step("Sequence", [key: .array(steps)]) }

  private func addedToken(_ index: Int, isSpecial: Bool) -> JSONValue {
    .object([
      "id": .integer(index), "content": text(index), "single_word": .bool(false), "lstrip": .bool(false),
      "rstrip": .bool(false), "normalized": .bool(false), "special": .bool(isSpecial),
    ])
  }

  private var byteLevelFlags: ModelSettings {
    ["add_prefix_space": .bool(false), "trim_offsets": .bool(true), "use_regex": .bool(false)]
  }

  private func preTokenizer(_ splitting: PreTokenization) -> JSONValue {
    let split = step(
      "Split",
      [
        "pattern": .object(["Regex": .string(splitting.pattern)]), "behavior": .string("Isolated"),
        "invert": .bool(false),
      ])
    return sequence("pretokenizers", [split, step("ByteLevel", byteLevelFlags)])
  }

  private var spacePrefix: Bool { addsSpacePrefix ?? true }
  private var mark: JSONValue { .string(String(decoding: SpaceMark.spelling, as: UTF8.self)) }

  private func replace(_ pattern: JSONValue, _ content: JSONValue) -> JSONValue {
    step("Replace", ["pattern": .object(["String": pattern]), "content": content])
  }

  private var spaceNormalizer: JSONValue {
    let spaces = replace(.string(" "), mark)
    return spacePrefix ? sequence("normalizers", [step("Prepend", ["prepend": mark]), spaces]) : spaces
  }

  private var spaceDecoder: JSONValue {
    let cut = step("Strip", ["content": .string(" "), "start": .integer(1), "stop": .integer(0)])
    return sequence(
      "decoders", [replace(mark, .string(" ")), step("ByteFallback"), step("Fuse")] + (spacePrefix ? [cut] : []))
  }

  /// The BOS in front and the EOS behind, where the model asks for them.
  private func postProcessor(isByteLevel: Bool) throws -> JSONValue {
    let before = try asksForBOS ? bos : nil, after = addsEOS ? ends.first : nil
    guard before != nil || after != nil else { return isByteLevel ? step("ByteLevel", byteLevelFlags) : .null }
    func token(_ id: Int?, _ type: Int) -> [JSONValue] {
      id.map { [.object(["SpecialToken": .object(["id": text($0), "type_id": .integer(type)])])] } ?? []
    }
    func body(_ id: String, _ type: Int) -> JSONValue {
      .object(["Sequence": .object(["id": .string(id), "type_id": .integer(type)])])
    }
    return step(
      "TemplateProcessing",
      [
        "single": .array(token(before, 0) + [body("A", 0)] + token(after, 0)),
        "pair": .array(
          token(before, 0) + [body("A", 0)] + token(after, 0) + token(before, 1) + [body("B", 1)] + token(after, 1)),
        "special_tokens": .object(
          [before, after].compactMap { $0 }.reduce(into: [:]) { known, id in
            let name = text(id)
            known[name.string ?? ""] = .object(
              ["id": name, "ids": .array([.integer(id)]), "tokens": .array([name])])
          }),
      ])
  }

  /// Calls `body` with the parts of each merge, the most important first: the file's own, or those that scores stand
  /// for.
  private func forEachMerge(
    _ kinds: [Kind], _ body: (_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) throws -> Void
  ) throws {
    guard model == "llama" else {
      for index in 0..<merges.count {
        let line = merges[index], space = line.firstIndex(of: 0x20) ?? line.endIndex
        try body(line[..<space], line[space...].dropFirst())
      }
      return
    }
    for merge in try ScoredMerge.all(of: tokens, scores: scores, kinds: kinds) {
      let range = tokens.range(merge.token)
      try body(tokens.bytes[range.lowerBound..<merge.cut], tokens.bytes[merge.cut..<range.upperBound])
    }
  }
}

/// A token of a SentencePiece vocabulary cut into two other tokens, which merge into it.
private struct ScoredMerge {
  let token: Int
  /// Where its right part begins in the vocabulary's bytes.
  let cut: Int
  /// In characters.
  let leftLength: Int
  let rightLength: Int
  let score: Float

  /// Every way to make a normal token of two, in the order of transformers' conversion (`generate_merges`): by score,
  /// then by the left part's length, then by the right part's, the highest first.
  static func all(of tokens: ByteStringList, scores: [Float], kinds: [TokenizerVocabulary.Kind]) throws -> [ScoredMerge]
  {
    let table = try ByteStringTable(tokens) { kinds[$0] == .normal }
    var merges: [ScoredMerge] = []
    tokens.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for token in 0..<tokens.count where kinds[token] == .normal {
        let range = tokens.range(token), length = bytes[range].count { $0 & 0xC0 != 0x80 }
        var left = 1
        for cut in range.dropFirst() where bytes[cut] & 0xC0 != 0x80 {
          if table.find(base + range.lowerBound, cut - range.lowerBound) >= 0,
            table.find(base + cut, range.upperBound - cut) >= 0
          {
            merges.append(
              ScoredMerge(token: token, cut: cut, leftLength: left, rightLength: length - left, score: scores[token]))
          }
          left += 1
        }
      }
    }
    func isBefore(_ a: ScoredMerge, _ b: ScoredMerge) -> Bool {
      if a.score != b.score { return a.score > b.score }
      if a.leftLength != b.leftLength { return a.leftLength > b.leftLength }
      return a.rightLength > b.rightLength
    }
    merges.sort(by: isBefore)  // a stable sort: of equals the lower id goes first
    return merges
  }
}

extension [UInt8] {
  /// Appends text as a JSON string with its quotes. Throws `.token` where it is no UTF-8.
  fileprivate mutating func appendQuoted(_ text: ArraySlice<UInt8>) throws {
    let isText = text.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { validUTF8Prefix($0, bytes.count) == bytes.count } ?? true
    }
    guard isText else { throw TokenizerVocabulary.damaged("token \(ByteStringList.quoted(text)) is no UTF-8") }
    append(0x22)
    for byte in text {
      if byte < 0x20 {
        append(contentsOf: "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8)
      } else {
        if byte == 0x22 || byte == 0x5C { append(0x5C) }
        append(byte)
      }
    }
    append(0x22)
  }
}
