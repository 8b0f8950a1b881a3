import Engine

/// The prompts of a call, and whether they were given as one.
struct PromptSet {
  var prompts: [Prompt]
  var isSingle: Bool
}

/// How text becomes tokens.
struct TextRule {
  var chat = false
  /// Instead of the model's own.
  var template: ChatTemplate?
  var bos: BOSPolicy = .automatic
  var special = true
}

extension OptionReader {
  /// `prompt`, `prompts` or `tokens`, with `chat`, `template`, `bos` and `special`.
  func prompts(of model: Model) throws -> PromptSet {
    let (name, value) = try oneOf(["prompt", "prompts", "tokens"])
    let rule = TextRule(
      chat: try boolean("chat"), template: try template(of: model),
      bos: try optional("bos")?.bosPolicy() ?? .automatic, special: try boolean("special"))
    switch name {
    case "prompt": return PromptSet(prompts: [try value.prompt(of: model, rule)], isSingle: true)
    case "prompts": return PromptSet(prompts: try value.prompts(of: model, rule), isSingle: false)
    default:
      guard value.isTable, value.listCount > 0 else { throw value.error("an empty token list cannot run") }
      if rule.chat { throw call.error("chat = true needs text, not tokens") }
      if value.entry(1)?.isTable == true {
        return PromptSet(prompts: try value.list { Prompt(tokens: try $0.tokenIDs(of: model)) }, isSingle: false)
      }
      return PromptSet(prompts: [Prompt(tokens: try value.tokenIDs(of: model))], isSingle: true)
    }
  }
}

extension ArgumentReader {
  func bosPolicy() throws -> BOSPolicy {
    if isBoolean { return try boolean() ? .automatic : .never }
    _ = try choice(["always"])
    return .always
  }

  /// A text, as tokens.
  func prompt(of model: Model, _ rule: TextRule) throws -> Prompt {
    try model.prompt(
      text: try bytes(), chat: rule.chat, template: rule.template, bos: rule.bos, special: rule.special)
  }

  /// A list of texts.
  func prompts(of model: Model, _ rule: TextRule) throws -> [Prompt] {
    guard isTable else { throw mismatch("a list of strings") }
    guard listCount > 0 else { throw error("the list is empty") }
    return try list { try $0.prompt(of: model, rule) }
  }

  /// A list of texts or of token lists.
  func prompts(of model: Model, chat: Bool) throws -> [Prompt] {
    guard isTable, entry(1)?.isTable == true else { return try prompts(of: model, TextRule(chat: chat)) }
    return try list { Prompt(tokens: try $0.tokenIDs(of: model)) }
  }

  /// Token ids; integral floats count.
  func tokenIDs(of model: Model) throws -> [Int] {
    let size = model.configuration.vocabularySize
    guard isTable else { throw mismatch("a list of token ids") }
    guard listCount > 0 else { throw error("an empty token list cannot run") }
    return try list { entry in
      let id = try entry.integer()
      guard (0..<size).contains(id) else {
        throw entry.error(model.outOfRange(id).message, kind: .token)
      }
      return id
    }
  }
}
