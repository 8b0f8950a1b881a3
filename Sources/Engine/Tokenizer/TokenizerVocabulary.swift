import OrderedCollections

/// A tokenizer as a GGUF file describes it, before anything is built from it.
struct TokenizerVocabulary: Sendable {
  /// What a token is for; the numbers of `tokenizer.ggml.token_type`.
  enum Kind: UInt8, Sendable {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  /// `gpt2`: byte-level BPE with merges; `llama`: SentencePiece BPE with scores.
  var model: String
  /// How text is split before merging (`PreTokenization`).
  var pre: String = "gpt-2"
  /// As the file spells them.
  var tokens: ByteStringList
  /// One for each token; empty where the model has merges.
  var scores: [Float] = []
  /// One for each token, or none: all normal.
  var types: [Int] = []
  /// "left right", the most important first; empty where the model has scores.
  var merges = ByteStringList()
  var bos: Int?
  /// Tokens that end a text or a turn.
  var ends: [Int] = []
  var unknown: Int?
  /// Fills up shorter texts where other programs need that.
  var padding: Int?
  /// Nil: the model's usual choice.
  var addsBOS: Bool?
  /// Whether the first of `ends` goes behind every text.
  var addsEOS = false
  var addsSpacePrefix: Bool?
  var templates = ChatTemplateTexts()
  /// What else the file names: `sep`, `cls`, `mask`.
  var others: [(name: String, id: Int)] = []

  var chatTemplate: String? {
    get { templates.text }
    set { templates = ChatTemplateTexts(newValue) }
  }

  /// The special tokens as a chat template sees them.
  var templateValues: OrderedDictionary<String, JSONValue> {
    var values: OrderedDictionary<String, JSONValue> = [:]
    let named: [(name: String, id: Int?)] = [("bos", bos), ("eos", ends.first), ("unk", unknown), ("pad", padding)]
    for (name, id) in named + others {
      guard let id, (0..<tokens.count).contains(id) else { continue }
      values["\(name)_token"] = .string(String(decoding: tokens[id], as: UTF8.self))
    }
    return values
  }

  /// Whether a BOS goes in front of every text. Throws `.token` for an unknown `pre`.
  var asksForBOS: Bool {
    get throws { try addsBOS ?? (model == "llama" || PreTokenization.named(pre).addsBOS) }
  }

  /// Checks what every model needs, and gives the kind of each token. Throws `.token`.
  func checkedKinds() throws -> [Kind] {
    let count = tokens.count
    guard count > 0 else { throw Self.damaged("it has no tokens") }
    guard count <= Int(Int32.max) else { throw Self.damaged("it has \(count) tokens") }
    guard types.isEmpty || types.count == count else {
      throw Self.damaged("it has \(count) tokens and \(types.count) token types")
    }
    for index in 0..<count where tokens.range(index).isEmpty { throw Self.damaged("token \(index) is empty") }
    for (name, id) in [("begin-of-sequence", bos), ("unknown", unknown)] + ends.map({ ("end", $0) }) {
      guard let id, !(0..<count).contains(id) else { continue }
      throw Self.damaged("its \(name) token is \(id), outside 0 ... \(count - 1)")
    }
    guard !types.isEmpty else { return [Kind](repeating: .normal, count: count) }
    return try types.enumerated().map { index, type in
      guard let kind = type == 0 ? .normal : UInt8(exactly: type).flatMap(Kind.init(rawValue:)) else {
        throw Self.damaged("token \(index) has type \(type); types 1 to 6 are known")
      }
      return kind
    }
  }

  /// The byte that a token of kind `byte` stands for, spelt `<0x0A>`. Throws `.token`.
  func byteValue(_ index: Int) throws -> UInt8 {
    guard let value = ByteFallback.value(tokens[index]) else {
      throw Self.damaged("byte token \(index) is \(tokens.quoted(index)), not of the form <0x0A>")
    }
    return value
  }

  /// The token for each byte, or -1. Throws `.token` where two stand for the same.
  func byteTokens(_ kinds: [Kind]) throws -> [Int32] {
    var result = [Int32](repeating: -1, count: 256)
    for index in kinds.indices where kinds[index] == .byte {
      let byte = Int(try byteValue(index))
      guard result[byte] < 0 else {
        throw Self.damaged("tokens \(result[byte]) and \(index) both stand for byte \(byte)")
      }
      result[byte] = Int32(index)
    }
    return result
  }

  static func damaged(_ what: String) -> EngineError { EngineError(.token, "the vocabulary is damaged: \(what)") }
}

extension TokenizerVocabulary {
  /// Reads the `tokenizer.ggml` keys. Throws `.missing` where the file has no tokenizer, `.file` where a key has the
  /// wrong type, and names the file.
  init(gguf file: GGUFFile) throws {
    let prefix = "tokenizer.ggml."
    guard let model = try file.string(ifPresent: prefix + "model"),
      let table = try file.stringTable(ifPresent: prefix + "tokens")
    else {
      throw EngineError(
        .missing, "\(file.path) has no tokenizer (tokenizer.ggml.model and .tokens); give token ids instead of text")
    }
    self.init(model: model, tokens: ByteStringList(table))
    if let pre = try file.string(ifPresent: prefix + "pre") { self.pre = pre }
    scores = try file.floats(ifPresent: prefix + "scores") ?? []
    types = try file.ints(ifPresent: prefix + "token_type") ?? []
    if let table = try file.stringTable(ifPresent: prefix + "merges") { merges = ByteStringList(table) }
    bos = try file.int(ifPresent: prefix + "bos_token_id")
    unknown = try file.int(ifPresent: prefix + "unknown_token_id")
    padding = try file.int(ifPresent: prefix + "padding_token_id")
    if let padding, !(0..<tokens.count).contains(padding) { self.padding = nil }
    addsBOS = try file.bool(ifPresent: prefix + "add_bos_token")
    addsEOS = try file.bool(ifPresent: prefix + "add_eos_token") ?? false
    addsSpacePrefix = try file.bool(ifPresent: prefix + "add_space_prefix")
    templates = try ChatTemplateTexts(gguf: file)
    // The second is how the format's specification spells it.
    for (name, key) in [("sep", "separator"), ("sep", "seperator"), ("cls", "cls"), ("mask", "mask")] {
      if let id = try file.int(ifPresent: "\(prefix)\(key)_token_id") { others.append((name, id)) }
    }
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
      if let id = try file.int(ifPresent: prefix + key), !ends.contains(id) { ends.append(id) }
    }
    if types.isEmpty || types.count == tokens.count { EndTokens.collect(tokens, types: &types, ends: &ends) }
  }
}

extension ByteStringList {
  fileprivate init(_ table: GGUFStrings) {
    self.init()
    var total = 0
    for index in table.indices { total += table.bytes(at: index).count }
    reserve(count: table.count, bytes: total)
    for index in table.indices { append(table.bytes(at: index)) }
  }
}
