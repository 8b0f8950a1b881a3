extension TokenizerParts {
  /// The parts of a tokenizer that a `tokenizer.json` describes, and the settings beside it. Throws `.token` where it
  /// is damaged or uses what is not supported, `.file` where a key has the wrong type.
  init(_ file: TokenizerFile, settings: TokenizerSettings) throws {
    let components = try TokenizerComponents(settings.adjusted(file.sections))
    let vocabulary = try VocabularyByID(file, settings)
    let isByteLevel = components.preTokenizer.isByteLevel
    let options = try BytePairOptions(file.model, isByteLevel: isByteLevel)
    self.init(model: try vocabulary.model(options, merges: file.merges, keys: file.model))
    missing = vocabulary.missing
    (normalizer, preTokenizer, patterns) = (components.normalizer, components.preTokenizer, components.patterns)
    decoder = components.decoder
    let normal = try addSpecialTokens(vocabulary.added)
    printed = try decoder.printed(vocabulary.spelled, added: normal)
    (prefix, suffix) = try settings.marks(id: vocabulary.id) ?? (components.prefix, components.suffix)
    bos = settings.special["bos_token"].flatMap { vocabulary.id(of: $0.content) } ?? prefix.first
    ends = settings.special["eos_token"].flatMap { vocabulary.id(of: $0.content) }.map { [$0] } ?? []
    for id in prefix + suffix where !vocabulary.has(id) {
      throw EngineError(.token, "post_processor adds token \(id), which the vocabulary has not")
    }
    if settings.tokenizerClass?.marks == .both { changeMarks(settings) }
    (templates, templateValues) = (settings.templates, settings.templateValues)
    splitsSpecial = settings.splitsSpecial
  }

  /// `add_bos_token` and `add_eos_token` over what `post_processor` says.
  private mutating func changeMarks(_ settings: TokenizerSettings) {
    if let bos, let isWanted = settings.addsBOS {
      if isWanted, !prefix.contains(bos) { prefix.insert(bos, at: 0) }
      if !isWanted { prefix.removeAll { $0 == bos } }
    }
    if let eos = ends.first, let isWanted = settings.addsEOS {
      if isWanted, !suffix.contains(eos) { suffix.append(eos) }
      if !isWanted { suffix.removeAll { $0 == eos } }
    }
  }

  /// Tokens that are matched once the text is normalized are themselves normalized first, as a text would be. Returns
  /// how the added tokens are spelt then.
  private mutating func addSpecialTokens(_ added: [AddedToken]) throws -> [Int: [UInt8]] {
    var spelled: [Int: [UInt8]] = [:]
    let matchers = try patterns.map { try PatternMatcher($0) }
    for token in added {
      let content = Array(token.content.utf8)
      guard token.isNormalized, !normalizer.steps.isEmpty else {
        try special.insert(content[...], token.entry)
        spelled[token.id] = content
        continue
      }
      var normal: [UInt8] = []
      try content.withUnsafeBufferPointer { bytes in
        try normalizer.apply(to: SourceText(bytes, origin: 0), matchers: matchers) { normal = Array($0.bytes) }
      }
      if !normal.isEmpty { try normalizedSpecial.insert(normal[...], token.entry) }
      spelled[token.id] = normal
    }
    return spelled
  }
}

/// A vocabulary and its added tokens in the order of their ids.
private struct VocabularyByID {
  enum Origin {
    case none, vocabulary, added
  }

  /// As the file spells them; empty where no token has the id.
  private(set) var spelled = ByteStringList()
  private(set) var ids: [Origin]
  private(set) var added: [AddedToken] = []

  var missing: Set<Int> { Set(ids.indices.filter { ids[$0] == .none }) }

  /// Throws `.token` where ids are out of range or given twice.
  init(_ file: TokenizerFile, _ settings: TokenizerSettings) throws {
    if let list = file.sections["added_tokens"], list != .null {
      guard let list = list.array else {
        throw TokenizerVocabulary.damaged("added_tokens is \(list.kind), not an array")
      }
      added = try list.map { value in
        var token = try AddedToken(value, source: "added_tokens")
        token.id = try ConfigurationFile(value, source: "added_tokens").int("id")
        return token
      }
    }
    let additions = settings.additions(to: added)
    if !additions.isEmpty {
      let known = Self.ids(of: Set(additions.map(\.content)), file)
      added.add(additions, vocabularySize: file.tokens.count) { known[$0] }
    }
    let entries = file.tokens.count + added.count
    guard file.tokens.count > 0 else { throw TokenizerVocabulary.damaged("it has no tokens") }
    // Some vocabularies leave ids free; far more free ids than tokens are damage.
    let limit = min(entries * 2 + 65_536, Int(Int32.max))
    let highest = max(file.ids.max() ?? 0, added.map(\.id).max() ?? 0)
    let lowest = min(file.ids.min() ?? 0, added.map(\.id).min() ?? 0)
    guard lowest >= 0, highest < limit else {
      throw TokenizerVocabulary.damaged(
        "token id \(lowest < 0 ? lowest : highest) is out of range for \(entries) tokens")
    }
    var places = [Int32](repeating: -1, count: highest + 1)
    for (index, id) in file.ids.enumerated() {
      guard places[id] < 0 else {
        throw TokenizerVocabulary.damaged(
          "tokens \(file.tokens.quoted(Int(places[id]))) and \(file.tokens.quoted(index)) both have id \(id)")
      }
      places[id] = Int32(index)
    }
    try Self.checkContents(of: added, file)
    ids = places.map { $0 < 0 ? .none : .vocabulary }
    var contents: [Int: String] = [:]
    for token in added {
      let id = token.id
      if ids[id] == .vocabulary, file.tokens[Int(places[id])].elementsEqual(token.content.utf8) { continue }
      guard ids[id] == .none, contents.updateValue(token.content, forKey: id) == nil else {
        throw TokenizerVocabulary.damaged(
          "added token \(ByteStringList.quoted(Array(token.content.utf8))) has id \(id), which another token has")
      }
    }
    for id in contents.keys { ids[id] = .added }
    spelled.reserve(count: ids.count, bytes: file.tokens.bytes.count)
    for (id, place) in places.enumerated() {
      if place >= 0 { spelled.append(file.tokens[Int(place)]) } else { spelled.append((contents[id] ?? "").utf8) }
    }
  }

  /// No two added tokens are spelt alike, and one that the vocabulary has too has the same id there.
  private static func checkContents(of added: [AddedToken], _ file: TokenizerFile) throws {
    let contents = try ByteStringTable(ByteStringList(added.map(\.content.utf8))) { _ in true }
    try file.tokens.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for (index, id) in file.ids.enumerated() {
        let range = file.tokens.range(index)
        let place = Int(contents.find(base + range.lowerBound, range.count))
        guard place >= 0, added[place].id != id else { continue }
        throw TokenizerVocabulary.damaged(
          "added token \(file.tokens.quoted(index)) has id \(added[place].id), in model.vocab \(id)")
      }
    }
  }

  /// The ids that the model's vocabulary gives to some of its tokens.
  private static func ids(of contents: Set<String>, _ file: TokenizerFile) -> [String: Int] {
    var wanted: [[UInt8]: String] = [:], longest = 0
    for content in contents {
      let bytes = Array(content.utf8)
      wanted[bytes] = content
      longest = max(longest, bytes.count)
    }
    var ids: [String: Int] = [:]
    for (index, id) in file.ids.enumerated() where file.tokens.range(index).count <= longest {
      if let content = wanted[Array(file.tokens[index])] { ids[content] = id }
    }
    return ids
  }

  func has(_ id: Int) -> Bool { ids.indices.contains(id) && ids[id] != .none }

  /// The id of a token as the file spells it.
  func id(of token: String) -> Int? {
    added.first { $0.content == token }?.id
      ?? ids.indices.first { ids[$0] == .vocabulary && spelled[$0].elementsEqual(token.utf8) }
  }

  /// The byte pair model. `keys`: the file's `model`.
  func model(
    _ options: BytePairOptions, merges: MergeList, keys: [String: JSONValue]
  ) throws -> any SubwordModel {
    var options = options
    options.controls = Set(added.lazy.filter(\.isSpecial).map(\.id))
    if let name = keys["unk_token"]?.string, !name.isEmpty {
      guard let id = id(of: name) else {
        throw TokenizerVocabulary.damaged("its unknown token \(jsonQuoted(name)) is not in the vocabulary")
      }
      options.unknown = id
    }
    guard !options.isByteLevel else {
      var plain = ByteStringList()
      plain.reserve(count: spelled.count, bytes: spelled.bytes.count)
      var isSpelled = [Bool](repeating: false, count: spelled.count)
      for index in ids.indices {
        isSpelled[index] = plain.appendDecoded(spelled[index]) && ids[index] == .vocabulary && !spelled[index].isEmpty
      }
      let table = try ByteStringTable(plain) { isSpelled[$0] }
      return BytePairModel(table: table, rule: try merges.pairs(in: table, isByteLevel: true), options: options)
    }
    let isMember = { ids[$0] == .vocabulary && !spelled[$0].isEmpty }
    let table = try ByteStringTable(spelled, isMember: isMember)
    if keys["byte_fallback"]?.bool == true {
      for byte in 0..<256 {
        let digits = String(byte, radix: 16, uppercase: true)
        if let id = table.find("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8) { options.byteTokens[byte] = Int32(id) }
      }
    }
    let dropsCharacters = options.unknown < 0 && options.byteTokens.contains(-1)
    let mayCut = !options.ignoresMerges && !dropsCharacters
    return BytePairModel(
      table: table, rule: try merges.pairs(in: table, isByteLevel: false), options: options,
      neighbours: mayCut ? Neighbours(spelled, isMember: isMember) : nil)
  }
}

extension BytePairOptions {
  /// The options of a `model` of type BPE. Throws `.token` for those that are not supported, `.file` for wrong types.
  fileprivate init(_ model: [String: JSONValue], isByteLevel: Bool) throws {
    self.init(isByteLevel: isByteLevel)
    for key in ["fuse_unk", "byte_fallback", "ignore_merges"] {
      guard let value = model[key], value != .null, value.bool == nil else { continue }
      throw TokenizerVocabulary.damaged("model.\(key) is \(value.kind), not true or false")
    }
    mergesAcrossDropped = true
    fusesUnknown = model["fuse_unk"]?.bool ?? false
    ignoresMerges = model["ignore_merges"]?.bool ?? false
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      guard let value = model[key], value != .null, value.string != "" else { continue }
      throw EngineError(.token, "model.\(key) \(value.kind) is not supported")
    }
    if let dropout = model["dropout"], dropout != .null, dropout.double != 0 {
      throw EngineError(.token, "model.dropout \(dropout.kind) makes encoding random; set it to null")
    }
  }
}
