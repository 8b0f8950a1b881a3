import Foundation

/// The positions of one sequence that a selector means: sorted, disjoint, 0-based ranges; the last may be open.
struct ResolvedPositions: Equatable {
  var ranges: [Range<Int>]

  var isEmpty: Bool { ranges.isEmpty }

  /// The parts of `span` that are selected.
  func intersection(_ span: Range<Int>) -> [Range<Int>] {
    if ranges.count == 1 {
      let part = ranges[0].clamped(to: span)
      return part.isEmpty ? [] : [part]
    }
    return ranges.compactMap {
      let part = $0.clamped(to: span)
      return part.isEmpty ? nil : part
    }
  }

  init(_ positions: [Int]) {
    ranges = []
    for position in Set(positions).sorted() {
      if let last = ranges.last, last.upperBound == position {
        ranges[ranges.count - 1] = last.lowerBound..<position + 1
      } else {
        ranges.append(position..<position + 1)
      }
    }
  }

  init(_ range: Range<Int>) { ranges = range.isEmpty ? [] : [range] }
}

extension PositionSelector {
  /// Resolves against one prompt. `limit` is one past the last position the sequence can reach.
  /// Empty where the sequence lacks the position. Throws `.position` on selectors that no sequence could have.
  func resolve(_ prompt: Prompt, limit: Int, tokenizer: Tokenizer?) throws -> ResolvedPositions {
    let length = prompt.tokens.count
    switch self {
    case .all: return ResolvedPositions(0..<limit)
    case .prompt: return ResolvedPositions(0..<length)
    case .generated: return ResolvedPositions(length..<max(length, limit))
    case .last: return ResolvedPositions(length - 1..<length)
    case .index(let index):
      return ResolvedPositions(try PositionSelector.absolute(index, length, limit).map { [$0] } ?? [])
    case .list(let list):
      return ResolvedPositions(try list.compactMap { try PositionSelector.absolute($0, length, limit) })
    case .range(let from, let to):
      let low = try from.map { try PositionSelector.bound($0, length) } ?? 0
      let high = try to.map { try PositionSelector.bound($0, length) } ?? limit - 1
      return ResolvedPositions(max(0, low)..<max(max(0, low), min(high + 1, limit)))
    case .match(let text):
      return ResolvedPositions(try PositionSelector.matches(text, prompt, tokenizer))
    }
  }

  private static func bound(_ index: Int, _ length: Int) throws -> Int {
    guard index != 0 else {
      throw EngineError(.position, "position 0: positions are 1-based; -1 is the last prompt token")
    }
    return index > 0 ? index - 1 : length + index
  }

  private static func absolute(_ index: Int, _ length: Int, _ limit: Int) throws -> Int? {
    let position = try bound(index, length)
    return position >= 0 && position < limit ? position : nil
  }

  private static func matches(_ wanted: String, _ prompt: Prompt, _ tokenizer: Tokenizer?) throws -> [Int] {
    let needle = Array(wanted.utf8)
    guard !needle.isEmpty else { throw EngineError(.position, "pos = { match = \"\" } matches nothing") }
    let (text, spans) = try textAndSpans(prompt, tokenizer)
    var found: Set<Int> = []
    var start = 0
    while start + needle.count <= text.count {
      if text[start] == needle[0], text[start..<start + needle.count].elementsEqual(needle) {
        let occurrence = start..<start + needle.count
        for (i, span) in spans.enumerated() where span.overlaps(occurrence) { found.insert(i) }
      }
      start += 1
    }
    return Array(found)
  }

  /// The prompt's text with each token's bytes; for prompts given as tokens, what they decode to.
  private static func textAndSpans(_ prompt: Prompt, _ tokenizer: Tokenizer?) throws -> ([UInt8], [Range<Int>]) {
    if let text = prompt.text, let spans = prompt.spans { return (text, spans) }
    guard let tokenizer else {
      throw EngineError(.position, "pos = { match = ... } needs text, but this model has no tokenizer")
    }
    var text: [UInt8] = [], spans: [Range<Int>] = []
    for token in prompt.tokens {
      let bytes = try tokenizer.tokenBytes(token)
      spans.append(text.count..<text.count + bytes.count)
      text += bytes
    }
    return (text, spans)
  }

  /// As scripts write it, for messages and reports.
  public var text: String {
    switch self {
    case .all: "all"
    case .prompt: "prompt"
    case .generated: "generated"
    case .last: "last"
    case .index(let index): String(index)
    case .list(let list):
      "{" + list.prefix(6).map(String.init).joined(separator: ", ") + (list.count > 6 ? ", ...}" : "}")
    case .range(let from, let to): "{from = \(from.map(String.init) ?? "start"), to = \(to.map(String.init) ?? "end")}"
    case .match(let text): "{match = \"\(text)\"}"
    }
  }
}
