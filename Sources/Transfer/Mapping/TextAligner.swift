import Engine

/// Pairs the tokens of texts as two models read them.
public struct TextAligner {
  public let alignment: TokenAlignment
  public let includesFirst: Bool
  /// Control tokens of either model.
  private let sourceMarks: Set<Int>, targetMarks: Set<Int>

  public init(
    _ source: Model, _ target: Model, _ alignment: TokenAlignment = .offset, includingFirst: Bool = false
  ) {
    self.init(
      alignment, includingFirst: includingFirst, sourceMarks: source.tokenizer?.controlTokens ?? [],
      targetMarks: target.tokenizer?.controlTokens ?? [])
  }

  public init(
    _ alignment: TokenAlignment = .offset, includingFirst: Bool = false, sourceMarks: Set<Int> = [],
    targetMarks: Set<Int> = []
  ) {
    self.alignment = alignment
    includesFirst = includingFirst
    self.sourceMarks = sourceMarks
    self.targetMarks = targetMarks
  }

  /// The same with source and target exchanged.
  public var reversed: TextAligner {
    TextAligner(alignment, includingFirst: includesFirst, sourceMarks: targetMarks, targetMarks: sourceMarks)
  }

  /// Aligned rows of each text. Throws `.argument` when the two sides do not have equally many.
  public func rows(_ source: [Prompt], _ target: [Prompt]) throws -> [[AlignedRow]] {
    guard source.count == target.count, !source.isEmpty else {
      throw EngineError(
        .argument,
        "a map needs the same texts for both models: \(source.count) and \(target.count) given")
    }
    return try zip(source, target).enumerated().map { text, pair in
      do { return try rows(pair.0, pair.1) } catch let error as EngineError {
        throw EngineError(error.kind, "text \(text + 1): \(error.message)")
      }
    }
  }

  /// Aligned rows of one text. Contents of messages pair by offset where they are equal, and by the runs that they
  /// share where a template changed one; texts that were rendered beforehand pair turn by turn (`SharedContent`).
  /// Throws `.missing` where offset alignment lacks a text, `.argument` where two texts share no content, `.shape`
  /// where the numbers of messages differ.
  public func rows(_ source: Prompt, _ target: Prompt) throws -> [AlignedRow] {
    guard let fromText = source.text, let fromSpans = source.spans, let toText = target.text, let toSpans = target.spans
    else {
      guard alignment == .index else {
        throw EngineError(.missing, "alignment by offset needs texts, but tokens were given; use align = \"index\"")
      }
      return try TokenAlignment.index.rows(
        source: TokenLayout(spans: source.tokens.indices.map { $0..<$0 + 1 }),
        target: TokenLayout(spans: target.tokens.indices.map { $0..<$0 + 1 }), includingFirst: includesFirst)
    }
    var from = TokenLayout(spans: fromSpans), to = TokenLayout(spans: toSpans)
    if source.contentSpans.isEmpty || target.contentSpans.isEmpty {
      if fromText != toText {
        let shared = SharedContent(
          MarkedText(fromText, marks: marks(source, sourceMarks)),
          MarkedText(toText, marks: marks(target, targetMarks)))
        guard alignment == .index || !shared.source.isEmpty else { throw unlike(fromText[...], toText[...]) }
        (from.contents, to.contents) = (shared.source, shared.target)
        from.unpairedAfter = shared.unpairedAfter
      }
    } else if source.contentSpans.count == target.contentSpans.count {
      for (a, b) in zip(source.contentSpans, target.contentSpans) {
        addMessage(trimmed(a, fromText), fromText, &from, trimmed(b, toText), toText, &to)
      }
      let hasContent = zip(source.contentSpans, target.contentSpans).contains { !$0.isEmpty && !$1.isEmpty }
      if alignment == .offset, hasContent, from.contents.allSatisfy(\.isEmpty) {
        throw unlike(fromText[source.contentSpans[0]], toText[target.contentSpans[0]])
      }
    } else {
      (from.contents, to.contents) = (source.contentSpans, target.contentSpans)
    }
    return try alignment.rows(source: from, target: to, includingFirst: includesFirst)
  }

  /// A message's content as both sides print it. Where they differ, the runs they share are contents of their own, and
  /// an empty one at the end keeps the template after the message.
  private func addMessage(
    _ a: Range<Int>, _ fromText: [UInt8], _ from: inout TokenLayout, _ b: Range<Int>, _ toText: [UInt8],
    _ to: inout TokenLayout
  ) {
    func add(_ x: Range<Int>, _ y: Range<Int>, paired: Bool) {
      if !paired { from.unpairedAfter.insert(from.contents.count) }
      from.contents.append(x)
      to.contents.append(y)
    }
    guard !a.isEmpty, !b.isEmpty, fromText[a] != toText[b] else { return add(a, b, paired: true) }
    let shared = SharedContent(MarkedText(Array(fromText[a])), MarkedText(Array(toText[b])))
    func moved(_ range: Range<Int>, _ by: Int) -> Range<Int> { range.lowerBound + by..<range.upperBound + by }
    add(a.lowerBound..<a.lowerBound, b.lowerBound..<b.lowerBound, paired: false)
    for (x, y) in zip(shared.source, shared.target) {
      add(moved(x, a.lowerBound), moved(y, b.lowerBound), paired: false)
    }
    add(a.upperBound..<a.upperBound, b.upperBound..<b.upperBound, paired: true)
  }

  private func marks(_ prompt: Prompt, _ controls: Set<Int>) -> [Range<Int>] {
    zip(prompt.tokens, prompt.spans ?? []).compactMap { controls.contains($0) && !$1.isEmpty ? $1 : nil }
  }

  private func unlike(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> EngineError {
    func quoted(_ text: ArraySlice<UInt8>) -> String {
      "\"" + String(decoding: text.prefix(40), as: UTF8.self) + (text.count > 40 ? "..." : "") + "\""
    }
    return EngineError(
      .argument,
      "the two models' texts share no content, \(quoted(a)) and \(quoted(b)), so nothing pairs by offset; give the same "
        + "text to both, or align = \"index\"")
  }
}

/// Number of each text; equal texts share one, so that none is on both sides of a split.
func textNumbers(_ source: [Prompt], _ target: [Prompt]) -> [Int] {
  var known: [[Int]: Int] = [:]
  return zip(source, target).map { from, to in
    let key = from.tokens + [-1] + to.tokens
    let number = known[key] ?? known.count
    known[key] = number
    return number
  }
}
