/// One sequence to run: token ids, and the text they came from where there was one.
public struct Prompt: Sendable {
  public var tokens: [Int]
  /// The text the tokens were read from.
  public var text: [UInt8]?
  /// For each token the bytes of `text` it covers; a BOS that was added covers none.
  public var spans: [Range<Int>]?
  /// Within a chat: bytes of `text` that are the contents of messages.
  public var contentSpans: [Range<Int>]

  public init(
    tokens: [Int], text: [UInt8]? = nil, spans: [Range<Int>]? = nil, contentSpans: [Range<Int>] = []
  ) {
    self.tokens = tokens
    self.text = text
    self.spans = spans
    self.contentSpans = contentSpans
  }
}
