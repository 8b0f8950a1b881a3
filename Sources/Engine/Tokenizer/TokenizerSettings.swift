import Foundation
import OrderedCollections

/// What the files beside a `tokenizer.json` say: `tokenizer_config.json`, `special_tokens_map.json`,
/// `added_tokens.json`, the model's `config.json` for the tokenizer's class, and chat templates.
///
/// Tokens, their flags and their order follow `AutoTokenizer.from_pretrained` of transformers 4.57.
struct TokenizerSettings {
  /// A special token as a setting gives it: by its text alone, or with flags.
  struct Special {
    var content: String
    var flags: AddedToken?
    /// Given by a file, not by the class.
    var isGiven = true
  }

  /// nil: there are no files beside `tokenizer.json`, which then says all.
  private(set) var tokenizerClass: TokenizerClass?
  /// By attribute (`eos_token`), in transformers' order.
  private(set) var special: OrderedDictionary<String, Special> = [:]
  private(set) var additional: [Special] = []
  /// Tokens of `added_tokens_decoder` or `added_tokens.json`, by their ids there; nil where neither is there.
  private(set) var added: [(id: Int, token: AddedToken)]?
  /// Whether `tokenizer.json`'s own added tokens count among those, which lends their flags to special tokens.
  private(set) var lendsFlags = true
  /// Nil: as the class does.
  private(set) var addsBOS: Bool?
  private(set) var addsEOS: Bool?
  /// Nil: not given; `.some(nil)`: given as null.
  private(set) var prefixSpace: Bool??
  /// Whether the Llama class leaves spaces to the normalizer, as it did first.
  private(set) var isLegacy = true
  /// Special tokens spelt out in a text are plain text.
  private(set) var splitsSpecial = false
  private(set) var templates = ChatTemplateTexts()

  private static let attributes = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  init() {}

  /// Reads what is there. Throws `.file` for damaged files.
  init(folder: String) throws {
    let settings = try Self.settings("\(folder)/tokenizer_config.json")
    let configuration = try Self.settings("\(folder)/config.json")
    let map = try Self.settings("\(folder)/special_tokens_map.json")
    let addition = try Self.settings("\(folder)/added_tokens.json")
    templates = try ChatTemplateTexts(folder: folder, settings: settings)
    guard settings != nil || configuration != nil || map != nil || addition != nil else { return }
    let kind = TokenizerClass.named(settings: settings, configuration: configuration) ?? .unnamed
    tokenizerClass = kind
    try readSpecial(settings, map, kind)
    try readAdded(settings, addition)
    if let settings {
      addsBOS = try settings.bool(ifPresent: "add_bos_token")
      addsEOS = try settings.bool(ifPresent: "add_eos_token")
      if let value = settings.value["add_prefix_space"] { prefixSpace = .some(value.bool) }
      isLegacy = try settings.bool(ifPresent: "legacy") ?? true
      splitsSpecial = try settings.bool(ifPresent: "split_special_tokens") ?? false
    }
  }

  private static func settings(_ path: String) throws -> ConfigurationFile? {
    access(path, F_OK) == 0 ? try ConfigurationFile(path: path) : nil
  }

  /// Special tokens: the class's, those of `tokenizer_config.json` over them, and over both those of
  /// `special_tokens_map.json` where no `added_tokens_decoder` makes that file a relic.
  private mutating func readSpecial(
    _ settings: ConfigurationFile?, _ map: ConfigurationFile?, _ kind: TokenizerClass
  ) throws {
    var found: [String: Special] = kind.tokens.mapValues { Special(content: $0, isGiven: false) }
    var more: [Special] = [], contents: Set<String> = []
    lendsFlags = settings?.value["added_tokens_decoder"] == nil
    for file in [settings, lendsFlags ? map : nil].compactMap({ $0 }) {
      let isMap = file.source == map?.source
      for name in Self.attributes {
        guard let value = file.value[name] else { continue }
        found[name] = try Self.special(value, "\(file.source): \(name)", isSpecial: isMap ? true : nil)
      }
      for value in file["additional_special_tokens"]?.array ?? [] {
        let source = "\(file.source): additional_special_tokens"
        guard let token = try Self.special(value, source, isSpecial: isMap ? true : nil) else { continue }
        if contents.insert(token.content).inserted { more.append(token) }
      }
    }
    for name in Self.attributes {
      guard let token = found[name], !token.content.isEmpty else { continue }
      special[name] = token
    }
    for content in kind.additional where contents.insert(content).inserted {
      more.append(Special(content: content, isGiven: false))
    }
    additional = more
    // Tokens under names of the model's own, such as `image_token`.
    let extra = settings?["extra_special_tokens"], source = "\(settings?.source ?? ""): extra_special_tokens"
    for (name, value) in extra?.object ?? [:] { special[name] = try Self.special(value, source, isSpecial: nil) }
    for value in extra?.array ?? [] {
      guard let token = try Self.special(value, source, isSpecial: nil) else { continue }
      if contents.insert(token.content).inserted { additional.append(token) }
    }
  }

  /// `"<s>"` or `{"content": "<s>", ...}`; nil for null.
  private static func special(_ value: JSONValue, _ source: String, isSpecial: Bool?) throws -> Special? {
    if let text = value.string { return Special(content: text) }
    guard value != .null else { return nil }
    let token = try AddedToken(value, source: source, isSpecial: isSpecial)
    return Special(content: token.content, flags: token)
  }

  private mutating func readAdded(_ settings: ConfigurationFile?, _ addition: ConfigurationFile?) throws {
    if let decoder = try settings?.object(ifPresent: "added_tokens_decoder") {
      added = try (decoder.value.object ?? [:]).map { key, value in
        guard let id = Int(key) else {
          throw EngineError(.file, "\(decoder.source) has the key \(jsonQuoted(key)), expected token ids")
        }
        return (id, try AddedToken(value, source: decoder.source))
      }
    } else if let addition {
      let names = Set(special.values.map(\.content) + additional.map(\.content))
      added = try (addition.value.object ?? [:]).map { content, value in
        guard let id = value.int else {
          throw EngineError(.file, "\(addition.source): \(jsonQuoted(content)) is \(value.kind), expected a token id")
        }
        let isSpecial = names.contains(content)
        return (id, AddedToken(content, isSpecial: isSpecial, isNormalized: !isSpecial))
      }
    }
  }

  /// The special tokens in the order in which new ones get their ids; additional ones have no name.
  private var allSpecial: [(name: String?, token: Special)] {
    var seen: Set<String> = []
    let own = special.filter { Self.attributes.contains($0.key) }.map { (Optional($0.key), $0.value) }
    let extra = special.filter { !Self.attributes.contains($0.key) }.map { (String?.none, $0.value) }
    let all: [(name: String?, token: Special)] = own + additional.map { (nil, $0) } + extra
    return all.filter { seen.insert($0.token.content).inserted }
  }

  /// What is to be added to the added tokens of `tokenizer.json`, in order.
  func additions(to own: [AddedToken]) -> [AddedToken] {
    guard tokenizerClass != nil else { return [] }
    var listed: OrderedDictionary<Int, AddedToken> = [:]
    for (id, token) in added ?? [] { listed[id] = token }
    if lendsFlags { for token in own { listed[token.id] = token } }
    var additions = listed.sorted { $0.key < $1.key }.map(\.value)
    let flags = Dictionary((lendsFlags ? own : additions).map { ($0.content, $0) }) { $1 }
    let known = Set(own.map(\.content) + additions.map(\.content))
    let special = allSpecial
    var listedTokens = Set(additions.map(\.withoutID))
    for (name, token) in special {
      // A text that a file gives takes the flags of the token that is listed under it.
      var full = name != nil && token.isGiven ? flags[token.content] ?? token.flags : token.flags
      if full == nil, name != nil, tokenizerClass?.wrapsTokens == true {
        full = AddedToken(token.content, isSpecial: true, isNormalized: false)
      }
      if let full {
        if listedTokens.insert(full.withoutID).inserted { additions.append(full) }
      } else if !known.contains(token.content) {
        additions.append(AddedToken(token.content, isSpecial: true, isNormalized: false))
      }
    }
    let contents = Set(special.map(\.token.content))
    for place in additions.indices where contents.contains(additions[place].content) {
      additions[place].isSpecial = true
    }
    return additions
  }

  /// Sections of `tokenizer.json` as the class and the settings change them.
  func adjusted(_ sections: [String: JSONValue]) -> [String: JSONValue] {
    guard let kind = tokenizerClass else { return sections }
    var sections = sections
    if case .settings = kind.marks { sections["post_processor"] = nil }
    let isByteLevel = sections["pre_tokenizer"]?.mentions("ByteLevel") ?? false
    if kind.name == "LlamaTokenizer", let wanted = prefixSpace ?? nil, !isByteLevel {
      sections.merge(Self.llamaSpaces(wanted, isLegacy: isLegacy)) { $1 }
    } else if let wanted = prefixSpace ?? kind.prefixSpace, case .object(var members)? = sections["pre_tokenizer"],
      members["type"] == .string("ByteLevel")
    {
      members["add_prefix_space"] = .bool(wanted)
      sections["pre_tokenizer"] = .object(members)
    }
    return sections
  }

  /// How the Llama class spells spaces where `add_prefix_space` makes it set its tokenizer up anew.
  private static func llamaSpaces(_ prefix: Bool, isLegacy: Bool) -> [String: JSONValue] {
    let mark = JSONValue.string(String(decoding: SpaceMark.spelling, as: UTF8.self))
    func step(_ type: String, _ members: OrderedDictionary<String, JSONValue>) -> JSONValue {
      .object((["type": .string(type)] as OrderedDictionary).merging(members) { $1 })
    }
    func replacement(_ from: JSONValue, _ to: JSONValue) -> JSONValue {
      step("Replace", ["pattern": .object(["String": from]), "content": to])
    }
    let space = JSONValue.string(" ")
    let cut = step("Strip", ["content": space, "start": .integer(1), "stop": .integer(0)])
    let decoders = [replacement(mark, space), step("ByteFallback", [:]), step("Fuse", [:])] + (prefix ? [cut] : [])
    let normalizers = (prefix ? [step("Prepend", ["prepend": mark])] : []) + [replacement(space, mark)]
    let metaspace = step(
      "Metaspace",
      ["replacement": mark, "prepend_scheme": .string(prefix ? "first" : "never"), "split": .bool(false)])
    return [
      "decoder": step("Sequence", ["decoders": .array(decoders)]),
      "normalizer": isLegacy ? step("Sequence", ["normalizers": .array(normalizers)]) : .null,
      "pre_tokenizer": isLegacy ? .null : metaspace,
    ]
  }

  /// Tokens in front of a text and behind it, where not `tokenizer.json` says which. Throws `.token` where the settings
  /// ask for one that they do not name.
  func marks(id: (String) -> Int?) throws -> (prefix: [Int], suffix: [Int])? {
    guard case .settings(let bos, let eos)? = tokenizerClass?.marks else { return nil }
    func mark(_ isWanted: Bool, _ name: String) throws -> [Int] {
      guard isWanted else { return [] }
      guard let found = special["\(name)_token"].flatMap({ id($0.content) }) else {
        throw EngineError(.token, "the settings ask for \(name)_token (add_\(name)_token) and name none")
      }
      return [found]
    }
    return (try mark(addsBOS ?? bos, "bos"), try mark(addsEOS ?? eos, "eos"))
  }

  /// The special tokens as a chat template sees them.
  var templateValues: OrderedDictionary<String, JSONValue> {
    var values: OrderedDictionary<String, JSONValue> = [:]
    for (name, token) in special { values[name] = .string(token.content) }
    if !additional.isEmpty { values["additional_special_tokens"] = .array(additional.map { .string($0.content) }) }
    return values
  }
}

extension JSONValue {
  /// Whether this step of a tokenizer, or one inside it, is of a type.
  fileprivate func mentions(_ type: String) -> Bool {
    switch self {
    case .object(let members): members["type"] == .string(type) || members.values.contains { $0.mentions(type) }
    case .array(let list): list.contains { $0.mentions(type) }
    default: false
    }
  }
}
