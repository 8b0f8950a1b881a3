import Foundation

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
    case .computed(let function):
      let answer = try function.positions(prompt.tokens)
      if case .computed = answer { throw EngineError(.position, "pos: a function may not answer with a function") }
      if case .match = answer {
        throw EngineError(.position, "pos: a function answers with positions, not with { match = }")
      }
      return try answer.resolve(prompt, limit: limit, tokenizer: tokenizer)
    case .match(let text):
      let needle = try PositionSelector.needle(text)
      return ResolvedPositions(try SequenceText(prompt, tokenizer: tokenizer).tokens(covering: needle))
    }
  }

  /// What `{ match = }` looks for. Throws `.position` for the empty text.
  static func needle(_ text: String) throws -> [UInt8] {
    guard !text.isEmpty else { throw EngineError(.position, "pos = { match = \"\" } matches nothing") }
    return Array(text.utf8)
  }

  private static func bound(_ index: Int, _ length: Int) throws -> Int {
    guard index != 0 else {
      throw EngineError(.position, "position 0: positions are 1-based; -1 is the last prompt token")
    }
    return index > 0 ? index - 1 : length + index
  }

  static func absolute(_ index: Int, _ length: Int, _ limit: Int) throws -> Int? {
    let position = try bound(index, length)
    return position >= 0 && position < limit ? position : nil
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
    case .computed: "function"
    case .match(let text): "{match = \"\(text)\"}"
    }
  }
}
