import OrderedCollections

/// What a `Tokenizer` is made of, whatever file it was read from.
struct TokenizerParts: Sendable {
  /// The bytes that each token prints, by id.
  var printed = ByteStringList()
  /// Ids below the highest one that no token has.
  var missing: Set<Int> = []
  /// Tokens found in the text as it is, and tokens found once it is normalized.
  var special = SpecialTokens()
  var normalizedSpecial = SpecialTokens()
  var normalizer = Normalizer()
  var preTokenizer = PreTokenizer()
  /// What the steps of normalizer and pre-tokenizer refer to.
  var patterns: [Pattern] = []
  var model: any SubwordModel
  var decoder = TokenDecoder()
  var bos: Int?
  /// Tokens that end a text or a turn, the end-of-sequence token first.
  var ends: [Int] = []
  /// Tokens that the model asks for in front of every text, and behind it.
  var prefix: [Int] = []
  var suffix: [Int] = []
  /// The chat templates as the files have them.
  var templates = ChatTemplateTexts()
  /// The special tokens as a chat template sees them, by attribute: `pad_token`.
  var templateValues: OrderedDictionary<String, JSONValue> = [:]
  /// Control tokens spelt out in a text are plain text (`split_special_tokens`).
  var splitsSpecial = false
  /// Rows of the embedding that the ids belong to, where there is one: ids that no token has then print nothing.
  var rows = 0

  /// Compiles a pattern and gives its index.
  static func add(_ pattern: Pattern, to patterns: inout [Pattern]) -> Int {
    patterns.append(pattern)
    return patterns.count - 1
  }
}

extension TokenizerParts {
  /// The parts of a tokenizer that a GGUF file describes. Throws `.token`.
  init(_ vocabulary: TokenizerVocabulary) throws {
    let kinds = try vocabulary.checkedKinds()
    switch vocabulary.model {
    case "gpt2":
      self = try Self.byteLevel(vocabulary, kinds, PreTokenization.named(vocabulary.pre))
    case "llama":
      self = try Self.sentencePiece(vocabulary, kinds)
    default:
      let near = suggestion(for: vocabulary.model, in: ["gpt2", "llama"])
      throw EngineError(
        .token,
        "tokenizer model “\(vocabulary.model)” is not known\(near); known: gpt2 (byte-level BPE), "
          + "llama (SentencePiece BPE)")
    }
    for (index, kind) in kinds.enumerated() where kind == .control || kind == .userDefined || kind == .unknown {
      try special.insert(
        vocabulary.tokens[index], SpecialTokens.Entry(token: index, isUserDefined: kind == .userDefined))
    }
    bos = vocabulary.bos
    ends = vocabulary.ends
    guard vocabulary.addsBOS != true || bos != nil else {
      throw TokenizerVocabulary.damaged("it asks for a begin-of-sequence token and names none")
    }
    if let bos, try vocabulary.asksForBOS { prefix = [bos] }
    if vocabulary.addsEOS {
      guard let eos = ends.first else {
        throw TokenizerVocabulary.damaged("it asks for an end-of-sequence token and names none")
      }
      suffix = [eos]
    }
    (templates, templateValues) = (vocabulary.templates, vocabulary.templateValues)
  }

  /// Tokens are normal ones spelt in GPT-2's alphabet; those that are not cannot come from text.
  private static func byteLevel(
    _ vocabulary: TokenizerVocabulary, _ kinds: [TokenizerVocabulary.Kind], _ splitting: PreTokenization
  ) throws -> TokenizerParts {
    guard vocabulary.merges.count > 0 else { throw TokenizerVocabulary.damaged("it has no merges") }
    var printed = ByteStringList()
    printed.reserve(count: kinds.count, bytes: vocabulary.tokens.bytes.count)
    var isSpelled = [Bool](repeating: false, count: kinds.count)
    for (index, kind) in kinds.enumerated() {
      switch kind {
      case .normal: isSpelled[index] = printed.appendDecoded(vocabulary.tokens[index])
      case .byte: printed.append(CollectionOfOne(try vocabulary.byteValue(index)))
      default: printed.append(vocabulary.tokens[index])
      }
    }
    let table = try ByteStringTable(printed) { isSpelled[$0] }
    let pairs = try MergeList(vocabulary.merges).pairs(in: table, isByteLevel: true)
    let options = BytePairOptions(isByteLevel: true, ignoresMerges: splitting.ignoresMerges)
    var parts = TokenizerParts(
      printed: printed, model: BytePairModel(table: table, rule: pairs, options: options))
    let pattern = add(try Pattern(splitting.pattern), to: &parts.patterns)
    parts.preTokenizer = PreTokenizer(steps: [.split(pattern: pattern, .isolated, inverted: false)], isByteLevel: true)
    if let form = splitting.normalForm { parts.normalizer.steps = [.unicode(form)] }
    return parts
  }

  /// The model sees a text as one word, its spaces spelt U+2581.
  private static func sentencePiece(
    _ vocabulary: TokenizerVocabulary, _ kinds: [TokenizerVocabulary.Kind]
  ) throws -> TokenizerParts {
    guard vocabulary.scores.count == kinds.count else {
      throw TokenizerVocabulary.damaged("it has \(kinds.count) tokens and \(vocabulary.scores.count) scores")
    }
    let table = try ByteStringTable(vocabulary.tokens) { kinds[$0] == .normal }
    let scores = try ScoreTable(table: table, scores: vocabulary.scores)
    let options = BytePairOptions(
      isByteLevel: false, byteTokens: try vocabulary.byteTokens(kinds),
      unknown: vocabulary.unknown ?? kinds.firstIndex(of: .unknown) ?? -1)
    guard options.unknown >= 0 || !options.byteTokens.contains(-1) else {
      throw TokenizerVocabulary.damaged("it has neither an unknown token nor a token for every byte")
    }
    let neighbours = Neighbours(vocabulary.tokens) { kinds[$0] == .normal }
    var parts = TokenizerParts(
      model: BytePairModel(table: table, rule: scores, options: options, neighbours: neighbours))
    for (index, kind) in kinds.enumerated() {
      let spelling = vocabulary.tokens[index]
      switch kind {
      case .byte: parts.printed.append(CollectionOfOne(try vocabulary.byteValue(index)))
      case .normal, .unused: parts.printed.appendBytes { SpaceMark.decode(spelling, into: &$0) }
      default: parts.printed.append(spelling)
      }
    }
    let space = add(try Pattern(literal: " "), to: &parts.patterns)
    parts.normalizer.steps = [.replace(pattern: space, with: SpaceMark.spelling)]
    if vocabulary.addsSpacePrefix ?? true {
      parts.normalizer.steps.insert(.prepend(SpaceMark.spelling), at: 0)
      parts.decoder.leading = .string([0x20], count: 1)
    }
    return parts
  }
}

extension ByteStringList {
  /// Appends what a spelling in GPT-2's alphabet stands for; the spelling itself, and false, where it is not in that.
  mutating func appendDecoded(_ spelling: ArraySlice<UInt8>) -> Bool {
    appendBytes { bytes in
      if ByteAlphabet.decode(spelling, into: &bytes) { return true }
      bytes.append(contentsOf: spelling)
      return false
    }
  }
}
