/// How a text is cut into the pieces that are encoded one by one: the `pre_tokenizer` of `tokenizer.json`, or the
/// pattern that a GGUF file names.
struct PreTokenizer: Sendable {
  enum Step: Sendable {
    /// At the matches of a pattern of the tokenizer, by its index.
    case split(pattern: Int, SplitBehavior, inverted: Bool)
    /// A space in front of every piece that does not begin with one.
    case prefixSpace
    /// Spaces spelt otherwise, one more in front as `prefix` says.
    case spellSpaces(pattern: Int, [UInt8], prefix: Prefix)
  }

  /// Which pieces `spellSpaces` puts a space in front of, where there is none.
  enum Prefix: String, Sendable, CaseIterable {
    case always, first, never
  }

  var steps: [Step] = []
  /// The pieces are encoded byte by byte, not character by character.
  var isByteLevel = false

  /// Calls `body` with the pieces of a text, in order: ranges of the text it is given, all of them UTF-8 or none.
  /// Throws as `PatternMatcher` does.
  func forEachPiece(
    of text: SourceText, matchers: [PatternMatcher], _ body: (SourceText, Range<Int>) throws -> Void
  ) throws {
    try text.forEachRun { run, isValid in
      if isValid { try cut(text, run, step: 0, matchers, body) } else { try body(text, run) }
    }
  }

  private func cut(
    _ text: SourceText, _ range: Range<Int>, step: Int, _ matchers: [PatternMatcher],
    _ body: (SourceText, Range<Int>) throws -> Void
  ) throws {
    guard step < steps.count else { return try body(text, range) }
    func next(_ changed: AlignedBuffer) throws {
      try changed.withText { try cut($0, 0..<$0.bytes.count, step: step + 1, matchers, body) }
    }
    switch steps[step] {
    case .split(let pattern, let behavior, let inverted):
      let bytes = UnsafeBufferPointer(rebasing: text.bytes[range])
      let isLast = step + 1 == steps.count
      try matchers[pattern].split(bytes, behavior, inverted: inverted) { piece in
        let place = range.lowerBound + piece.lowerBound..<range.lowerBound + piece.upperBound
        if isLast { try body(text, place) } else { try cut(text, place, step: step + 1, matchers, body) }
      }
    case .prefixSpace:
      if text.bytes[range.lowerBound] == 0x20 { return try cut(text, range, step: step + 1, matchers, body) }
      try next(text[range].prepending([0x20]))
    case .spellSpaces(let pattern, let spelling, let prefix):
      let spelled = try text[range].replacing(matchers[pattern], with: spelling)
      let isWanted = prefix == .always || prefix == .first && text.end(range.lowerBound) == 0
      guard isWanted, !spelled.bytes.starts(with: spelling) else { return try next(spelled) }
      try spelled.withText { try next($0.prepending(spelling)) }
    }
  }
}
