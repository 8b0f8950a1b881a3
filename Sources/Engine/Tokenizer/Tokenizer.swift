import OrderedCollections

/// From text to token ids and back, as the model was trained.
///
/// ```swift
/// let tokenizer = try Tokenizer(path: "smollm2-135m-instruct.gguf")
/// let encoding = try tokenizer.encode(Array("Hello world".utf8))     // .ids [19556, 905], .spans [0..<5, 5..<11]
/// let bytes = try tokenizer.decode(encoding.ids)                      // "Hello world"
/// ```
/// A text is encoded in steps: special tokens are found, what stands between them is normalized (`Normalizer`), cut
/// into pieces (`PreTokenizer`), and each piece is encoded (`BytePairModel`). Any bytes may be encoded, UTF-8 or not.
public final class Tokenizer: Sendable {
  private let parts: TokenizerParts
  private let workspaces: WorkspacePool

  init(_ parts: TokenizerParts) {
    self.parts = parts
    workspaces = WorkspacePool(patterns: parts.patterns)
  }

  /// The same tokenizer for an embedding of `ids` rows: ids that no token has print as nothing.
  func covering(ids: Int) -> Tokenizer {
    var parts = parts
    parts.rows = ids
    return Tokenizer(parts)
  }

  convenience init(_ vocabulary: TokenizerVocabulary) throws { self.init(try TokenizerParts(vocabulary)) }

  /// One more than the highest token id.
  public var vocabularySize: Int { parts.printed.count }
  /// The begin-of-sequence token, where the vocabulary names one.
  public var bos: Int? { parts.bos }
  /// Whether the model asks for a BOS in front of every text.
  public var addsBOS: Bool { !parts.prefix.isEmpty }
  /// Tokens that end a text or a turn, as the file says, the end-of-sequence token first. A chat template may add its
  /// own.
  public var endTokens: [Int] { parts.ends }
  /// Control tokens (`<|im_start|>`), which stand between the turns of a conversation and never within one.
  public var controlTokens: Set<Int> { parts.special.controls.union(parts.normalizedSpecial.controls) }
  /// The chat template as the file has it, in Jinja.
  public var chatTemplate: String? { parts.templates.text }
  /// The file's chat templates by name; the usual one is "default".
  var chatTemplates: ChatTemplateTexts { parts.templates }
  /// The special tokens as a chat template sees them, by attribute: `pad_token`.
  var templateValues: OrderedDictionary<String, JSONValue> { parts.templateValues }

  /// Token ids of `text` and the bytes each stands for.
  ///
  /// `special`: control tokens spelt out in the text (`<|im_start|>`) are read as such; otherwise they are plain text.
  /// User-defined tokens (Gemma's runs of newlines) match either way. With `special`, a text that begins with the BOS
  /// spelt out gets no second one from `.automatic`. `plain`: stretches of the text in which, and across whose borders,
  /// control tokens are plain text all the same: what somebody else wrote into a template.
  ///
  /// Takes n log n steps at most for n bytes. Throws `.token` where `.always` asks for a BOS that the vocabulary lacks
  /// or the text is too long (1 GB; 64 MB without a place to split it), `.interrupted` on Ctrl-C.
  public func encode(
    _ text: [UInt8], bos policy: BOSPolicy = .automatic, special: Bool = true, plain: [Range<Int>] = []
  ) throws -> Encoding {
    guard text.count <= 1 << 30 else {
      throw EngineError(.token, "a text of \(byteText(text.count)) is too long to encode at once; split it")
    }
    return try workspaces.withWorkspace { workspace in
      workspace.start(bytes: text.count)
      let special = special && !parts.splitsSpecial
      return try text.withUnsafeBufferPointer { text in
        var output = EncodingBuilder(textBytes: text.count)
        func isPlain(_ range: Range<Int>) -> Bool { plain.contains { $0.overlaps(range) } }
        for token in try prefix(policy, text, special: special && !isPlain(0..<1)) { output.prepend(token) }
        try parts.special.forEachPart(text, controls: special, isPlain: isPlain) { range, token in
          if let token { return output.appendSpecial(token, range) }
          let piece = UnsafeBufferPointer(rebasing: text[range])
          try encodePlain(SourceText(piece, origin: range.lowerBound), special, isPlain, workspace, &output)
        }
        if policy != .never {
          for token in parts.suffix { output.appendMark(token, textBytes: text.count) }
        }
        return output.finish(textBytes: text.count)
      }
    }
  }

  /// Encodes what stands between special tokens.
  private func encodePlain(
    _ text: SourceText, _ special: Bool, _ isPlain: (Range<Int>) -> Bool, _ workspace: EncodingScratch,
    _ output: inout EncodingBuilder
  ) throws {
    try parts.normalizer.apply(to: text, matchers: workspace.matchers) { text in
      guard !parts.normalizedSpecial.isEmpty else { return try encodePieces(text, workspace, &output) }
      // Ranges here are of the normalized text.
      let isPlain = { (range: Range<Int>) in isPlain(text.end(range.lowerBound)..<text.end(range.upperBound)) }
      try parts.normalizedSpecial.forEachPart(text.bytes, controls: special, isPlain: isPlain) { range, token in
        if let token {
          output.appendSpecial(token, text.end(range.lowerBound)..<text.end(range.upperBound))
        } else {
          try encodePieces(text[range], workspace, &output)
        }
      }
    }
  }

  private func encodePieces(
    _ text: SourceText, _ workspace: EncodingScratch, _ output: inout EncodingBuilder
  ) throws {
    try parts.preTokenizer.forEachPiece(of: text, matchers: workspace.matchers) { text, piece in
      try parts.model.encode(text, piece, workspace: workspace, into: &output)
    }
  }

  /// The tokens to put in front of a text.
  private func prefix(_ policy: BOSPolicy, _ text: UnsafeBufferPointer<UInt8>, special: Bool) throws -> [Int] {
    switch policy {
    case .never: return []
    case .always:
      if !parts.prefix.isEmpty { return parts.prefix }
      guard let bos else {
        throw EngineError(.token, "this vocabulary has no begin-of-sequence token; use the automatic choice or none")
      }
      return [bos]
    case .automatic:
      let isThere = special && parts.prefix.first.map { $0 == parts.special.first(text) } ?? false
      return isThere ? [] : parts.prefix
    }
  }

  /// The exact bytes that `ids` stand for, special tokens spelt out, without the space that encoding put in front of
  /// the text where the tokenizer does that (Llama 2). Throws `.token` on an id that no token has.
  public func decode(_ ids: [Int]) throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(ids.count * 4)
    var first = 0
    for (index, id) in ids.enumerated() {
      bytes += try printed(id)
      if index == 0 { first = bytes.count }
    }
    parts.decoder.cutLeading(of: &bytes, first: first)
    return bytes
  }

  /// The bytes of one token, wherever it stands: whole characters or a part of one. Throws `.token` on an id that no
  /// token has.
  public func tokenBytes(_ id: Int) throws -> [UInt8] { Array(try printed(id)) }

  /// The bytes of each token. Throws `.token` on an id that no token has.
  public func tokenStrings(_ ids: [Int]) throws -> [[UInt8]] { try ids.map(tokenBytes) }

  private func printed(_ id: Int) throws -> ArraySlice<UInt8> {
    guard (0..<vocabularySize).contains(id) else {
      if (0..<parts.rows).contains(id) { return [] }
      throw EngineError(.token, "token id \(id) is outside the vocabulary, which has ids 0 to \(vocabularySize - 1)")
    }
    guard !parts.missing.contains(id) else {
      if parts.rows > 0 { return [] }
      throw EngineError(.token, "no token of the vocabulary has id \(id)")
    }
    return parts.printed[id]
  }

  /// The id of a token given as text: a special token (`<|im_end|>`), else an ordinary one, as it prints (` the`) or as
  /// the vocabulary spells it (`▁the`, `Ġthe`, `<0x0A>`).
  public func id(of token: String) -> Int? {
    let bytes = Array(token.utf8)
    return parts.special.find(bytes) ?? parts.model.find(bytes) ?? parts.normalizedSpecial.find(bytes)
  }
}
