/// One text to learn from: its tokens, and the first that is scored.
public struct SupervisedExample: Sendable {
  public let prompt: Prompt
  public let scoredFrom: Int

  public init(prompt: Prompt, scoredFrom: Int) {
    self.prompt = prompt
    self.scoredFrom = scoredFrom
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

  /// Adds a prompt and its completion. With `chat` the prompt is a user turn of `template`, else of the model's own,
  /// and the completion is followed by the token that ends a turn; without, by the end-of-text token where there is
  /// one. A completion that is not `isWhole` has no end to learn. Throws `.missing` without a tokenizer, `.template`,
  /// and `.argument` for an empty completion.
  public mutating func add(
    prompt: [UInt8], completion: [UInt8], isWhole: Bool = true, model: Model, chat: Bool, template: ChatTemplate? = nil,
    limit: Int
  ) throws {
    let tokenizer = try model.requireTokenizer()
    let template = chat ? template ?? model.template : nil
    let start = try model.prompt(text: prompt, chat: chat, template: template)
    guard let opening = start.text else { return }
    let whole = try model.prompt(text: opening + completion)
    // Tokens of the opening as generation sees them, then those of the completion: a token across the border would be
    // one that generation never meets.
    let tail = try tokenizer.encode(completion, bos: .never, special: false).ids
    guard !tail.isEmpty else { throw EngineError(.argument, "an example's completion is empty") }
    let isPrefix = whole.tokens.starts(with: start.tokens)
    var tokens = isPrefix ? whole.tokens : start.tokens + tail
    if isWhole, let end = template.flatMap({ $0.endOfTurn(tokenizer) }) ?? tokenizer.endTokens.first {
      tokens.append(end)
    }
    add(tokens: tokens, scoredFrom: start.tokens.count, limit: limit)
  }

  /// Adds tokens as they are, cut at `limit`.
  public mutating func add(tokens: [Int], scoredFrom: Int, limit: Int) {
    guard scoredFrom < limit else { return dropped += 1 }
    if tokens.count > limit { truncated += 1 }
    list.append(SupervisedExample(prompt: Prompt(tokens: Array(tokens.prefix(limit))), scoredFrom: scoredFrom))
  }
}
