/// The `normalizer`, `pre_tokenizer`, `post_processor` and `decoder` of a `tokenizer.json`, read into steps. What is
/// not known is refused by name, since leaving it out would give other tokens.
struct TokenizerComponents {
  private(set) var normalizer = Normalizer()
  private(set) var preTokenizer = PreTokenizer()
  private(set) var decoder = TokenDecoder()
  /// Tokens in front of a text and behind it.
  private(set) var prefix: [Int] = []
  private(set) var suffix: [Int] = []
  private(set) var patterns: [Pattern] = []

  /// Throws `.token`.
  init(_ sections: [String: JSONValue]) throws {
    for step in try Self.steps(sections["normalizer"], "normalizer", list: "normalizers") { try addNormalizer(step) }
    for step in try Self.steps(sections["pre_tokenizer"], "pre_tokenizer", list: "pretokenizers") {
      try addPreTokenizer(step)
    }
    for step in try Self.steps(sections["post_processor"], "post_processor", list: "processors") {
      try addPostProcessor(step)
    }
    var isFused = false
    for step in try Self.steps(sections["decoder"], "decoder", list: "decoders") { try addDecoder(step, &isFused) }
  }

  /// One step of a section.
  private struct Step {
    let type: String
    let keys: ConfigurationFile

    func flag(_ key: String, otherwise value: Bool) throws -> Bool { try keys.bool(ifPresent: key) ?? value }

    /// Throws `.token` with the known types.
    func unknown(_ known: String) -> EngineError {
      EngineError(
        .token,
        "\(keys.source) of type \(jsonQuoted(String(type.prefix(60)))) is not supported; known: Sequence, \(known)")
    }

    /// A value of an enumeration.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(_ key: String, otherwise: Choice) throws -> Choice {
      guard let name = try keys.string(ifPresent: key) else { return otherwise }
      guard let choice = Choice(rawValue: name) else {
        let known = Choice.allCases.map(\.rawValue)
        throw EngineError(
          .token,
          "\(keys.source) \(type): \(key) \(jsonQuoted(String(name.prefix(60)))) is not known"
            + "\(suggestion(for: name, in: known)); known: \(known.joined(separator: ", "))")
      }
      return choice
    }

    /// `{"String": " "}` or `{"Regex": "\\s"}`.
    func pattern() throws -> Pattern {
      guard let value = try keys.object(ifPresent: "pattern") else {
        throw EngineError(.token, "\(keys.source) \(type) has no pattern")
      }
      if let text = try value.string(ifPresent: "String") { return try Pattern(literal: text) }
      if let text = try value.string(ifPresent: "Regex") { return try Pattern(text) }
      throw EngineError(.token, "\(keys.source) \(type): its pattern is neither a String nor a Regex")
    }

    /// A text of at most 1024 bytes.
    func text(_ key: String) throws -> [UInt8] {
      guard let text = try keys.string(ifPresent: key), text.utf8.count <= 1024 else {
        throw EngineError(.token, "\(keys.source) \(type): \(key) is missing or longer than 1024 bytes")
      }
      return Array(text.utf8)
    }
  }

  /// The steps of a section, `Sequence`s opened.
  private static func steps(_ value: JSONValue?, _ source: String, list: String) throws -> [Step] {
    guard let value, value != .null else { return [] }
    let keys = try ConfigurationFile(value, source: source)
    guard let type = try keys.string(ifPresent: "type") else {
      throw EngineError(.token, "\(source) has no type")
    }
    guard type == "Sequence" else { return [Step(type: type, keys: keys)] }
    guard let members = keys[list]?.array else { throw EngineError(.token, "\(source) Sequence has no \(list)") }
    let steps = try members.flatMap { try Self.steps($0, source, list: list) }
    guard steps.count <= 64 else {
      throw EngineError(.token, "\(source) has \(steps.count) steps, at most 64 are read")
    }
    return steps
  }

  private mutating func add(_ pattern: Pattern) -> Int { TokenizerParts.add(pattern, to: &patterns) }

  private mutating func addNormalizer(_ step: Step) throws {
    if let form = UnicodeNormalization(rawValue: step.type) { return normalizer.steps.append(.unicode(form)) }
    switch step.type {
    case "Prepend": normalizer.steps.append(.prepend(try step.text("prepend")))
    case "Replace": normalizer.steps.append(.replace(pattern: add(try step.pattern()), with: try step.text("content")))
    case "Lowercase": normalizer.steps.append(.lowercase)
    case "Strip":
      normalizer.steps.append(
        .strip(left: try step.flag("strip_left", otherwise: true), right: try step.flag("strip_right", otherwise: true))
      )
    default: throw step.unknown("NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip")
    }
  }

  private mutating func addPreTokenizer(_ step: Step) throws {
    guard !preTokenizer.isByteLevel else {
      throw EngineError(.token, "pre_tokenizer \(step.type) after ByteLevel is not supported")
    }
    func split(_ pattern: Pattern, _ behavior: SplitBehavior, inverted: Bool = false) -> PreTokenizer.Step {
      .split(pattern: add(pattern), behavior, inverted: inverted)
    }
    switch step.type {
    case "ByteLevel":
      if try step.flag("add_prefix_space", otherwise: true) { preTokenizer.steps.append(.prefixSpace) }
      if try step.flag("use_regex", otherwise: true) {
        preTokenizer.steps.append(split(try Pattern(PreTokenization.gpt2), .isolated))
      }
      preTokenizer.isByteLevel = true
    case "Split":
      preTokenizer.steps.append(
        split(
          try step.pattern(), try step.choice("behavior", otherwise: .isolated),
          inverted: try step.flag("invert", otherwise: false)))
    case "Digits":
      let isIndividual = try step.flag("individual_digits", otherwise: false)
      preTokenizer.steps.append(split(try Pattern(#"\p{N}"#), isIndividual ? .isolated : .contiguous))
    case "Punctuation":
      let pattern = try Pattern(#"[!-/:-@\[-`{-~\p{P}]"#)
      preTokenizer.steps.append(split(pattern, try step.choice("behavior", otherwise: .isolated)))
    case "Whitespace":
      // Here, unlike in a Split, the joiners count as letters.
      let pattern = try Pattern(#"[\w\x{200C}\x{200D}]+|[^\w\x{200C}\x{200D}\s]+"#)
      preTokenizer.steps.append(split(pattern, .removed, inverted: true))
    case "WhitespaceSplit": preTokenizer.steps.append(split(try Pattern(#"\s"#), .removed))
    case "Metaspace":
      let spelling = try step.text("replacement")
      let legacy = try step.flag("add_prefix_space", otherwise: true)
      let prefix: PreTokenizer.Prefix = try step.choice("prepend_scheme", otherwise: legacy ? .always : .never)
      preTokenizer.steps.append(.spellSpaces(pattern: add(try Pattern(literal: " ")), spelling, prefix: prefix))
      if try step.flag("split", otherwise: true) {
        let mark = try Pattern(literal: String(decoding: spelling, as: UTF8.self))
        preTokenizer.steps.append(split(mark, .mergedWithNext))
      }
    default:
      throw step.unknown("ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace")
    }
  }

  private mutating func addPostProcessor(_ step: Step) throws {
    switch step.type {
    case "ByteLevel": break  // only changes offsets
    case "TemplateProcessing":
      let (before, after) = try Self.template(step)
      prefix = before + prefix
      suffix += after
    case "RobertaProcessing", "BertProcessing":
      func token(_ key: String) throws -> Int {
        guard let id = step.keys[key]?.array?.last?.int else {
          throw EngineError(.token, "post_processor \(step.type): \(key) is no pair of a token and its id")
        }
        return id
      }
      prefix.insert(try token("cls"), at: 0)
      suffix.append(try token("sep"))
    default: throw step.unknown("TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing")
    }
  }

  /// The tokens around `$A` in a template for one text.
  private static func template(_ step: Step) throws -> (before: [Int], after: [Int]) {
    let known = try step.keys.object(ifPresent: "special_tokens")
    var tokens: (before: [Int], after: [Int]) = ([], [])
    var isBehind = false
    for item in step.keys["single"]?.array ?? [] {
      if item["Sequence"] != nil {
        isBehind = true
      } else if let name = item["SpecialToken"]?["id"]?.string,
        let ids = try known?.object(ifPresent: name)?.ints(ifPresent: "ids"), ids.count <= 16
      {
        if isBehind { tokens.after += ids } else { tokens.before += ids }
      } else {
        throw EngineError(.token, "post_processor TemplateProcessing: \(item.text.prefix(80)) names no special token")
      }
    }
    guard isBehind else { throw EngineError(.token, "post_processor TemplateProcessing: its template has no text") }
    return tokens
  }

  private mutating func addDecoder(_ step: Step, _ isFused: inout Bool) throws {
    switch step.type {
    case "ByteLevel": decoder.steps.append(.byteLevel)
    case "ByteFallback": decoder.steps.append(.byteFallback)
    case "Fuse": isFused = true
    case "Replace" where !isFused: decoder.steps.append(.replace(try step.pattern(), with: try step.text("content")))
    case "Metaspace" where !isFused:
      let mark = try Pattern(literal: String(decoding: try step.text("replacement"), as: UTF8.self))
      decoder.steps.append(.replace(mark, with: [0x20]))
      let legacy = try step.flag("add_prefix_space", otherwise: true)
      let prefix: PreTokenizer.Prefix = try step.choice("prepend_scheme", otherwise: legacy ? .always : .never)
      if prefix != .never { decoder.leading = .spacesOfFirstToken }
    case "Strip":
      let content = try step.text("content")
      let start = try step.keys.int(ifPresent: "start") ?? 0
      let end = try step.keys.int(ifPresent: "stop") ?? 0
      guard !content.isEmpty, (0...1024).contains(start), (0...1024).contains(end), !isFused || end == 0 else {
        throw EngineError(.token, "decoder Strip from \(start) to \(end) of the decoded text is not supported")
      }
      if isFused {
        decoder.leading = .string(content, count: start)
      } else {
        decoder.steps.append(.strip(content, start: start, end: end))
      }
    case "Replace", "Metaspace": throw EngineError(.token, "decoder \(step.type) after Fuse is not supported")
    default: throw step.unknown("ByteLevel, ByteFallback, Fuse, Replace, Metaspace, Strip")
    }
  }
}
