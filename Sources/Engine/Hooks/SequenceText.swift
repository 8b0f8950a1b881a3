/// The text of a sequence with the bytes of each token, as it grows: where `{ match = }` looks.
struct SequenceText {
  private(set) var bytes: [UInt8] = []
  private(set) var spans: [Range<Int>] = []
  private let tokenizer: Tokenizer?

  /// A prompt's own text; for prompts given as tokens, what they decode to. Throws `.position` without a tokenizer
  /// where one is needed.
  init(_ prompt: Prompt, tokenizer: Tokenizer?) throws {
    self.tokenizer = tokenizer
    if let text = prompt.text, let spans = prompt.spans {
      (bytes, self.spans) = (text, spans)
    } else {
      for token in prompt.tokens { try append(token) }
    }
  }

  mutating func append(_ token: Int) throws {
    guard let tokenizer else {
      throw EngineError(.position, "pos = { match = ... } needs text, but this model has no tokenizer")
    }
    let piece = try tokenizer.tokenBytes(token)
    spans.append(bytes.count..<bytes.count + piece.count)
    bytes += piece
  }

  /// Tokens that cover any part of an occurrence of `needle` whose last byte is byte `from` or a later one, in order.
  func tokens(covering needle: [UInt8], from: Int = 0) -> [Int] {
    guard let head = needle.first else { return [] }
    var covered: Set<Int> = []
    var start = max(0, from - needle.count + 1)
    while start + needle.count <= bytes.count {
      if bytes[start] == head, bytes[start..<start + needle.count].elementsEqual(needle) {
        let occurrence = start..<start + needle.count
        for (token, span) in spans.enumerated() where span.overlaps(occurrence) { covered.insert(token) }
      }
      start += 1
    }
    return covered.sorted()
  }
}
