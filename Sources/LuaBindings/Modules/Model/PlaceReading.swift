import Engine

extension ArgumentReader {
  /// Positions as scripts write them: a word, an integer, `{ from =, to = }`, `{ match = text }`, a list of integers, or
  /// a function of a prompt's tokens that gives one of these. `keep`: what becomes of a function that must outlive the
  /// call.
  func positions(keep: ((LuaFunctionKey) -> Void)? = nil, in object: ModelObject? = nil) throws -> PositionSelector {
    if isFunction {
      if let keep, let object {
        let key = try LuaFunctionKey(self, in: object)
        keep(key)
        return .computed(PositionFunction { try key.call([$0], results: 1) { try $0[0].positions() } })
      }
      let function = try function()
      return .computed(PositionFunction { try function.call([$0], results: 1) { try $0[0].positions() } })
    }
    let words: [String: PositionSelector] = ["all": .all, "prompt": .prompt, "generated": .generated, "last": .last]
    if isString { return words[try choice(words.keys.sorted())] ?? .all }
    if isNumber { return .index(try position()) }
    guard isTable else {
      throw mismatch(
        "\"all\", \"prompt\", \"generated\", \"last\", an integer, { from =, to = }, { match = text }, a list or a function"
      )
    }
    if listCount > 0 { return .list(try list { try $0.position() }) }
    try checkKeys(["from", "to", "match"])
    if let text = field("match") {
      guard try fieldNames().count == 1 else {
        throw error("{ match = } stands alone: from and to are not read beside it")
      }
      return .match(try text.string())
    }
    let from = try field("from")?.position(), to = try field("to")?.position()
    guard from != nil || to != nil else { throw error("an empty table selects nothing") }
    return .range(from: from, to: to)
  }

  private func position() throws -> Int {
    let value = try integer(in: -(1 << 40)...1 << 40)
    guard value != 0 else {
      throw error("position 0 does not exist: positions count from 1, -1 is the last prompt token")
    }
    return value
  }

  /// Layers as scripts write them: a number, a list, `{ from =, to = }` (inclusive) or `"all"`.
  func layers(of model: Model) throws -> [Int] {
    let count = model.configuration.layerCount
    func checked(_ reader: ArgumentReader) throws -> Int {
      let layer = try reader.integer()
      guard (0..<count).contains(layer) else {
        throw reader.error("layer \(layer) is out of range: \(model.name) has layers 0 to \(count - 1)", kind: .layer)
      }
      return layer
    }
    if isString {
      _ = try choice(["all"])
      return Array(0..<count)
    }
    if isNumber { return [try checked(self)] }
    guard isTable else { throw mismatch("a layer, a list of layers, { from =, to = } or \"all\"") }
    if listCount > 0 { return try list(checked) }
    try checkKeys(["from", "to"])
    guard try !fieldNames().isEmpty else { throw error("an empty table selects nothing") }
    let from = try field("from").map(checked) ?? 0, to = try field("to").map(checked) ?? count - 1
    guard from <= to else { throw error("from = \(from) is beyond to = \(to)") }
    return Array(from...to)
  }

  /// A site by our name or TransformerLens's.
  func site() throws -> (site: Site, layer: Int?) {
    do { return try Site.parse(try string()) } catch let failure as EngineError {
      throw error(failure.message, kind: .site)
    }
  }
}

extension OptionReader {
  /// The option's layers, or all.
  func layers(_ name: String, of model: Model) throws -> [Int] {
    try optional(name)?.layers(of: model) ?? Array(0..<model.configuration.layerCount)
  }

  /// The option's site, or the residual stream after a block.
  func site(_ name: String) throws -> (Site, Int?) {
    guard let reader = optional(name) else { return (.residPost, nil) }
    let found = try reader.site()
    return (found.site, found.layer)
  }

  /// `head` or `heads`, 0-based, in their order; nil for all. The site checks them.
  func heads() throws -> [Int]? {
    if isPresent("head"), isPresent("heads") { throw call.error("give head or heads, not both") }
    return try optional("head").map { [try $0.integer()] } ?? optional("heads")?.oneOrMany { try $0.integer() }
  }

  /// `layer` or `layers`, whichever is given.
  func layers(of model: Model) throws -> [Int]? {
    if isPresent("layer"), isPresent("layers") { throw call.error("give layer or layers, not both") }
    return try optional("layer")?.layers(of: model) ?? optional("layers")?.layers(of: model)
  }

  /// `layer` or `layers` as `layers(of:)` reads them, which must not contradict the layer that a site's long name has
  /// (`blocks.7.hook_resid_post`); for sites without layers they must not be given.
  func layers(of model: Model, at site: Site, named layer: Int?) throws -> [Int]? {
    let given = try layers(of: model)
    guard site.hasLayer || given == nil else {
      throw call.error("\(site.rawValue) has no layers; leave layer out", kind: .layer)
    }
    guard let layer else { return given }
    guard given == nil || given == [layer] else {
      throw call.error("the site's name says layer \(layer), and layer = says another; give one of them", kind: .layer)
    }
    return [layer]
  }
}

/// Options that several rows share.
enum SharedOptions {
  static let siteNames = Site.allCases.map(\.rawValue)
  static let positionWords = ["all", "prompt", "generated", "last"]

  static let layer = Option("layer", "integer", .none, "one layer, from 0")
  static func layers(_ fallback: Option.Default) -> Option {
    Option("layers", "integer, list, { from =, to = } or \"all\"", fallback, "several layers", choices: ["all"])
  }
  static func site(_ fallback: Option.Default = .string("resid_post")) -> Option {
    Option("site", "string", fallback, "where in the block", choices: siteNames)
  }
  static let pos = Option(
    "pos", "string, integer, { from =, to = }, { match = }, list or function(tokens)", .string("all"),
    "absolute positions from 1 over prompt and generated tokens; -1 is the last prompt token; a list means its order, "
      + "with repeats (see ?positions)", choices: positionWords)
  static let heads = [
    Option("head", "integer", .none, "one head, from 0, of q, k, v, z, attn_scores or pattern"),
    Option("heads", "list of integers", .none, "several heads; key-value heads at k and v"),
  ]
  static let strict = Option("strict", "boolean", .boolean(false), "firing zero times is an error, not a warning")
  static let template = Option(
    "template", "string", .computed("the model's own, else the built-in one of its tokens"),
    "one of the model's own by its name (\"tool_use\"), a built-in chat template, or the text of one in Jinja",
    choices: ChatTemplate.builtInNames)
  static let prompts: [Option] = [
    Option("prompt", "string", .none, "one prompt: single results"),
    Option("prompts", "list of strings", .none, "a batch: lists of results in order"),
    Option("tokens", "list of ids, or list of such lists", .none, "instead of text"),
    Option("chat", "boolean", .boolean(false), "wraps each prompt as one user turn of the model's template"), template,
    Option("bos", "boolean or \"always\"", .boolean(true), "adds the BOS this model's tokenizer asks for"),
    Option("special", "boolean", .boolean(true), "reads special tokens in the text"),
  ]
  static let chatVariables: [Option] = [
    Option("generation_prompt", "boolean", .boolean(true), "opens the assistant's turn"),
    Option(
      "tools", "list of tables, or its JSON text", .none,
      "functions the model may call; a model's own template named tool_use is for these"),
    Option("date_string", "string", .computed("today"), "the date that templates print, such as 26 Jul 2024"),
    Option("variables", "table", .none, "names of the template's own, such as enable_thinking"),
  ]
  static let capture = Option(
    "capture", "{ site = name or list, layer | layers =, head | heads =, pos = }", .none,
    "activations to keep, interventions included; acts has rows in the order of pos")
}
