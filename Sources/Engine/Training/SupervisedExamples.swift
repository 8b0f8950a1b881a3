/// A prompt and its completion as tokens, and the first that is scored: the one definition that training, gradients,
/// distillation and the measures of predictions (nll, kl) share.
public struct SupervisedExample: Sendable {
  public let prompt: Prompt
  /// 0-based index of the first scored token; all that follow are scored.
  public let scoredFrom: Int
  /// Whether the last token is one that the completion does not hold: the end of a turn or of a text.
  public let hasEndToken: Bool

  public init(prompt: Prompt, scoredFrom: Int, hasEndToken: Bool = false) {
    self.prompt = prompt
    self.scoredFrom = scoredFrom
    self.hasEndToken = hasEndToken
  }

  /// The tokens of the prompt as generation sees them, then those of the completion, then, with `endToken`, the one
  /// that ends a turn of the template (in a chat) or a text (without), where there is one. With `chat` the prompt is a
  /// user turn of `template`, else of the model's own. A token never reaches across the border between prompt and
  /// completion: it would be one that generation never meets.
  /// Throws `.missing` without a tokenizer, `.template`, and `.argument` for an empty completion.
  public init(
    prompt: [UInt8], completion: [UInt8], model: Model, chat: Bool, template: ChatTemplate? = nil, endToken: Bool
  ) throws {
    let tokenizer = try model.requireTokenizer()
    let template = chat ? template ?? model.template : nil
    let rendered =
      try chat
      ? model.renderChat([ChatMessage(role: "user", content: prompt)], generationPrompt: true, template: template)
      : RenderedChat(text: prompt, contentSpans: [])
    let start = try model.prompt(rendered: rendered)
    let whole = try model.prompt(rendered: rendered.answered(completion))
    var text = whole.text ?? [], spans = whole.spans ?? [], tokens = whole.tokens
    let border = start.tokens.count
    if !tokens.starts(with: start.tokens) || (border > 0 && spans[border - 1].upperBound > rendered.text.count) {
      let tail = try tokenizer.encode(completion, bos: .never)
      tokens = start.tokens + tail.ids
      spans = (start.spans ?? [])
      spans += tail.spans.map { $0.lowerBound + rendered.text.count..<$0.upperBound + rendered.text.count }
    }
    guard tokens.count > border else { throw EngineError(.argument, "an example's completion is empty") }
    var hasEndToken = false
    if endToken, let end = template.flatMap({ $0.endOfTurn(tokenizer) }) ?? tokenizer.endTokens.first {
      hasEndToken = true
      tokens.append(end)
      let spelt = try tokenizer.tokenBytes(end)
      spans.append(text.count..<text.count + spelt.count)
      text += spelt
    }
    self.init(
      prompt: Prompt(tokens: tokens, text: text, spans: spans, contentSpans: whole.contentSpans), scoredFrom: border,
      hasEndToken: hasEndToken)
  }

  /// The first `limit` tokens.
  func cut(at limit: Int) -> SupervisedExample {
    guard prompt.tokens.count > limit else { return self }
    var cut = prompt
    cut.tokens = Array(prompt.tokens.prefix(limit))
    if let spans = prompt.spans {
      cut.spans = Array(spans.prefix(limit))
      let end = cut.spans?.last?.upperBound ?? 0
      cut.text = prompt.text.map { Array($0.prefix(end)) }
      cut.contentSpans = prompt.contentSpans.map { min($0.lowerBound, end)..<min($0.upperBound, end) }
    }
    return SupervisedExample(prompt: cut, scoredFrom: scoredFrom)
  }
}

/// Prompts with their completions as tokens, and what became of those that are too long.
public struct SupervisedExamples: Sendable {
  public private(set) var list: [SupervisedExample] = []
  /// Cut at the limit, so that the completion's end is not learnt.
  public private(set) var truncated = 0
  /// Left out because the prompt alone reaches the limit.
  public private(set) var dropped = 0

  public init() {}

  /// Tokens of all examples, of completions, and the longest example.
  public var statistics: (tokens: Int, scored: Int, longest: Int) {
    list.reduce(into: (0, 0, 0)) {
      $0.0 += $1.prompt.tokens.count
      $0.1 += $1.prompt.tokens.count - max(1, $1.scoredFrom)
      $0.2 = max($0.2, $1.prompt.tokens.count)
    }
  }

  /// Adds an example, cut at `limit` tokens.
  public mutating func add(_ example: SupervisedExample, limit: Int) {
    guard example.scoredFrom < limit else { return dropped += 1 }
    if example.prompt.tokens.count > limit { truncated += 1 }
    list.append(example.cut(at: limit))
  }

  /// Adds tokens as they are, cut at `limit`.
  public mutating func add(tokens: [Int], scoredFrom: Int, limit: Int) {
    add(SupervisedExample(prompt: Prompt(tokens: tokens), scoredFrom: scoredFrom), limit: limit)
  }
}
