/// From text to token ids and back, as the model was trained: special tokens are found first, the text between them is
/// encoded by a `SubwordModel`.
///
/// ```swift
/// let tokenizer = try Tokenizer(gguf: GGUFFile(path: "smollm2-135m-instruct.gguf"))
/// let encoding = try tokenizer.encode(Array("Hello world".utf8))     // .ids [19556, 905], .spans [0..<5, 5..<11]
/// let bytes = try tokenizer.decode(encoding.ids)                      // "Hello world"
/// ```
/// Any bytes may be encoded, UTF-8 or not (see `ByteLevelModel`, `SentencePieceModel`).
public final class Tokenizer: Sendable {
  public let vocabularySize: Int
  /// The begin-of-sequence token, where the vocabulary names one.
  public let bos: Int?
  /// Whether the model asks for a BOS in front of every text.
  public let addsBOS: Bool
  /// Tokens that end a text or a turn, as the file says. A chat template may add its own.
  public let endTokens: [Int]

  private let kinds: [TokenizerVocabulary.Kind]
  /// What decoding prints for each token; SentencePiece's normal tokens still with U+2581.
  private let tokens: ByteStringList
  private let spellsSpaces: Bool
  private let special: SpecialTokens
  private let model: any SubwordModel
  private let workspaces = WorkspacePool()

  /// Reads the tokenizer of a GGUF file. Throws `.missing` where it has none, `.token` where it is damaged or of an
  /// unknown type, and names the file.
  public convenience init(gguf file: GGUFFile) throws {
    do {
      try self.init(TokenizerVocabulary(gguf: file))
    } catch let error as EngineError where error.kind == .token {
      throw EngineError(.token, "\(file.path): \(error.message)")
    }
  }

  init(_ vocabulary: TokenizerVocabulary) throws {
    let kinds = try vocabulary.checkedKinds()
    let bosByDefault: Bool
    switch vocabulary.model {
    case "gpt2":
      let splitting = try PreTokenization.named(vocabulary.pre)
      bosByDefault = splitting.addsBOS
      let (tokens, isSpelled) = try Self.decoded(vocabulary, kinds)
      self.tokens = tokens
      spellsSpaces = false
      guard vocabulary.merges.count > 0 else { throw TokenizerVocabulary.damaged("it has no merges") }
      model = try ByteLevelModel(
        tokens: tokens, isMember: { isSpelled[$0] }, merges: vocabulary.merges, splitting: splitting)
    case "llama":
      bosByDefault = true
      tokens = vocabulary.tokens
      spellsSpaces = true
      model = try SentencePieceModel(vocabulary, kinds: kinds)
    default:
      let near = suggestion(for: vocabulary.model, in: ["gpt2", "llama"])
      throw EngineError(
        .token,
        "tokenizer model “\(vocabulary.model)” is not known\(near); known: gpt2 (byte-level BPE), "
          + "llama (SentencePiece BPE)")
    }
    var special = SpecialTokens()
    for (index, kind) in kinds.enumerated() where kind == .control || kind == .userDefined || kind == .unknown {
      try special.insert(vocabulary.tokens[index], token: index, isUserDefined: kind == .userDefined)
    }
    self.special = special
    self.kinds = kinds
    vocabularySize = kinds.count
    bos = vocabulary.bos
    endTokens = vocabulary.ends
    guard vocabulary.addsBOS != true || bos != nil else {
      throw TokenizerVocabulary.damaged("it asks for a begin-of-sequence token and names none")
    }
    addsBOS = (vocabulary.addsBOS ?? bosByDefault) && bos != nil
  }

  /// The bytes that the tokens of a byte-level vocabulary stand for, and which of them plain text can give: the normal
  /// ones that are spelt in GPT-2's alphabet.
  private static func decoded(
    _ vocabulary: TokenizerVocabulary, _ kinds: [TokenizerVocabulary.Kind]
  ) throws -> (ByteStringList, [Bool]) {
    var tokens = ByteStringList()
    tokens.reserve(count: kinds.count, bytes: vocabulary.tokens.bytes.count)
    var isSpelled = [Bool](repeating: false, count: kinds.count)
    for (index, kind) in kinds.enumerated() {
      let spelling = vocabulary.tokens[index]
      switch kind {
      case .normal: isSpelled[index] = tokens.appendDecoded(spelling)
      case .byte: tokens.append(CollectionOfOne(try vocabulary.byteValue(index)))
      default: tokens.append(spelling)
      }
    }
    return (tokens, isSpelled)
  }

  /// Token ids of `text` and the bytes each stands for.
  ///
  /// `special`: control tokens spelt out in the text (`<|im_start|>`) are read as such; otherwise they are plain text.
  /// User-defined tokens (Gemma's runs of newlines) match either way. With `special`, a text that begins with the BOS
  /// spelt out gets no second one from `.automatic`.
  ///
  /// Takes n log n steps at most for n bytes. Throws `.token` where `.always` asks for a BOS that the vocabulary lacks
  /// or the text is too long (1 GB; 64 MB without a place to split it), `.interrupted` on Ctrl-C.
  public func encode(_ text: [UInt8], bos policy: BOSPolicy = .automatic, special: Bool = true) throws -> Encoding {
    guard text.count <= 1 << 30 else {
      throw EngineError(.token, "a text of \(byteText(text.count)) is too long to encode at once; split it")
    }
    return try workspaces.withWorkspace(of: model) { workspace in
      try text.withUnsafeBufferPointer { text in
        var output = EncodingBuilder(textBytes: text.count)
        if let token = try bosToken(policy, text, special: special) { output.prepend(token) }
        var plain = 0
        var position = 0
        var startsText = true
        while position < text.count {
          guard let match = self.special.match(text, at: position, controls: special) else {
            position += 1
            continue
          }
          try model.encode(text, plain..<position, startsText: startsText, workspace: workspace, into: &output)
          output.appendSpecial(match.token, position..<match.end)
          position = match.end
          plain = position
          startsText = true
        }
        try model.encode(text, plain..<position, startsText: startsText, workspace: workspace, into: &output)
        return output.finish(textBytes: text.count)
      }
    }
  }

  /// The BOS to put in front of a text, if any.
  private func bosToken(_ policy: BOSPolicy, _ text: UnsafeBufferPointer<UInt8>, special: Bool) throws -> Int? {
    switch policy {
    case .never: return nil
    case .always:
      guard let bos else {
        throw EngineError(.token, "this vocabulary has no begin-of-sequence token; use the automatic choice or none")
      }
      return bos
    case .automatic:
      guard addsBOS, let bos else { return nil }
      let isThere = special && !text.isEmpty && self.special.match(text, at: 0, controls: true)?.token == bos
      return isThere ? nil : bos
    }
  }

  /// The exact bytes that `ids` stand for, special tokens spelt out. Throws `.token` on an id outside the vocabulary.
  public func decode(_ ids: [Int]) throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(ids.count * 4)
    for id in ids { try appendBytes(of: id, to: &bytes) }
    return bytes
  }

  /// The bytes of one token: whole characters or a part of one. Throws `.token` on an id outside the vocabulary.
  public func tokenBytes(_ id: Int) throws -> [UInt8] { try decode([id]) }

  /// The bytes of each token. Throws `.token` on an id outside the vocabulary.
  public func tokenStrings(_ ids: [Int]) throws -> [[UInt8]] { try ids.map(tokenBytes) }

  private func appendBytes(of id: Int, to output: inout [UInt8]) throws {
    guard kinds.indices.contains(id) else {
      throw EngineError(.token, "token id \(id) is outside the vocabulary, which has ids 0 to \(vocabularySize - 1)")
    }
    let bytes = tokens[id]
    guard spellsSpaces else { return output.append(contentsOf: bytes) }
    switch kinds[id] {
    case .byte:
      let digits = bytes.dropFirst(3).dropLast()
      output.append(UInt8(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0)
    case .normal, .unused:
      var index = bytes.startIndex
      while index < bytes.endIndex {
        if bytes[index] == 0xE2, bytes[index...].starts(with: SentencePieceModel.space) {
          output.append(0x20)
          index += 3
        } else {
          output.append(bytes[index])
          index += 1
        }
      }
    default: output.append(contentsOf: bytes)
    }
  }

  /// The id of a token given as text: a special token (`<|im_end|>`), else an ordinary one, as it prints (` the`) or as
  /// the vocabulary spells it (`▁the`, `Ġthe`, `<0x0A>`).
  public func id(of token: String) -> Int? {
    let bytes = Array(token.utf8)
    if let id = special.find(bytes) ?? model.find(bytes) { return id }
    return kinds.indices.first { kinds[$0] == .byte && spellsSpaces && tokens[$0].elementsEqual(bytes) }
  }
}

extension ByteStringList {
  /// Appends what a spelling in GPT-2's alphabet stands for; the spelling itself, and false, where it is not in that.
  fileprivate mutating func appendDecoded(_ spelling: ArraySlice<UInt8>) -> Bool {
    appendBytes { bytes in
      if ByteAlphabet.decode(spelling, into: &bytes) { return true }
      bytes.append(contentsOf: spelling)
      return false
    }
  }
}
