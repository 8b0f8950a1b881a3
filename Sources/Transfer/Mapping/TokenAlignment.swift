import Engine

/// Where a sequence's tokens and message contents lie in its text, in bytes.
public struct TokenLayout: Sendable {
  /// Bytes of each token; empty for a token that stands for no text, such as an added BOS.
  public var spans: [Range<Int>]
  /// Bytes of each message's content, message by message; a template may print them in another order. Empty: the whole
  /// text is one content.
  public var contents: [Range<Int>]
  /// Messages after which no template follows but text that the other side does not have: nothing is paired there.
  public var unpairedAfter: Set<Int>

  public init(spans: [Range<Int>], contents: [Range<Int>] = [], unpairedAfter: Set<Int> = []) {
    self.spans = spans
    self.contents = contents
    self.unpairedAfter = unpairedAfter
  }
}

/// Rows of two models that stand for the same thing: 0-based places of a source and a target token.
public struct AlignedRow: Equatable, Sendable {
  public let source: Int
  public let target: Int
  /// Whether the target token belongs to the template around messages.
  public let isTemplate: Bool

  public init(source: Int, target: Int, isTemplate: Bool) {
    self.source = source
    self.target = target
    self.isTemplate = isTemplate
  }
}

/// How tokens of two models are paired.
public enum TokenAlignment: String, CaseIterable, Codable, Sendable {
  /// By byte offset within each message's content: a target token pairs with the source token that ends where it ends,
  /// else with the last one that ends before. The template after a message is paired from its end backwards.
  case offset
  /// The i-th token with the i-th.
  case index

  /// Pairs in order of the target's tokens. The template before the first message stays unpaired, so does the template
  /// between two messages that do not follow each other on both sides, and so do both models' first tokens (attention
  /// sinks), unless `includingFirst`. Throws `.shape` when the numbers of messages differ.
  public func rows(source: TokenLayout, target: TokenLayout, includingFirst: Bool = false) throws -> [AlignedRow] {
    let from = TokenSections(source), to = TokenSections(target)
    guard from.contents.count == to.contents.count else {
      throw EngineError(
        .shape,
        "alignment: the source text has \(from.contents.count) messages and the target text "
          + "\(to.contents.count)")
    }
    var rows: [AlignedRow] = []
    switch self {
    case .offset:
      for message in from.contents.indices {
        rows += TokenAlignment.pairByEnd(from.contents[message], to.contents[message])
        guard from.next[message] == to.next[message],
          !source.unpairedAfter.contains(message), !target.unpairedAfter.contains(message)
        else { continue }
        let a = from.templates[message], b = to.templates[message], count = min(a.count, b.count)
        rows += zip(a.suffix(count), b.suffix(count)).map { AlignedRow(source: $0, target: $1, isTemplate: true) }
      }
      rows.sort { $0.target < $1.target }
    case .index:
      let content = Set(to.contents.joined().map(\.token))
      rows = (0..<min(source.spans.count, target.spans.count)).map {
        AlignedRow(source: $0, target: $0, isTemplate: !content.contains($0))
      }
    }
    return includingFirst ? rows : rows.filter { $0.source > 0 && $0.target > 0 }
  }

  private static func pairByEnd(_ source: [TokenSections.Token], _ target: [TokenSections.Token]) -> [AlignedRow] {
    var rows: [AlignedRow] = [], next = 0
    for token in target {
      while next < source.count, source[next].end <= token.end { next += 1 }
      if next > 0 { rows.append(AlignedRow(source: source[next - 1].token, target: token.token, isTemplate: false)) }
    }
    return rows
  }
}

/// A sequence's tokens sorted into message contents and the stretches of template after them. A token belongs where
/// its last byte lies.
private struct TokenSections {
  struct Token {
    let token: Int
    /// Bytes from the start of the content to the token's end.
    let end: Int
  }

  private(set) var contents: [[Token]]
  private(set) var templates: [[Int]]
  /// The message printed after each one; nil after the last.
  private(set) var next: [Int?]

  init(_ layout: TokenLayout) {
    let length = layout.spans.map(\.upperBound).max() ?? 0
    let ranges = layout.contents.isEmpty ? [0..<length] : layout.contents
    contents = ranges.map { _ in [] }
    templates = ranges.map { _ in [] }
    next = ranges.map { _ in nil }
    let order = ranges.indices.sorted {
      (ranges[$0].lowerBound, ranges[$0].upperBound, $0) < (ranges[$1].lowerBound, ranges[$1].upperBound, $1)
    }
    for (message, after) in zip(order, order.dropFirst()) { next[message] = after }
    var place = -1
    for (token, span) in layout.spans.enumerated() {
      while place + 1 < order.count, span.upperBound > ranges[order[place + 1]].lowerBound { place += 1 }
      guard place >= 0 else { continue }
      let message = order[place], range = ranges[message]
      if span.upperBound <= range.upperBound {
        if !span.isEmpty { contents[message].append(Token(token: token, end: span.upperBound - range.lowerBound)) }
      } else {
        templates[message].append(token)
      }
    }
  }
}
