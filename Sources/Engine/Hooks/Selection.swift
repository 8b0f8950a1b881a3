/// Where one selector lies in every sequence of a run: shared by all places its owner acts at.
final class Selection {
  let selector: PositionSelector
  private(set) var sequences: [ResolvedPositions]
  /// For a selector that looks for text: its bytes, and how much of each sequence's text has been searched.
  private let needle: [UInt8]?
  private var searched: [Int] = []

  /// Throws `.position` on selectors that no sequence could have.
  init(
    _ selector: PositionSelector, _ prompts: [Prompt], limits: [Int], text: (_ sequence: Int) throws -> SequenceText
  ) throws {
    self.selector = selector
    if case .match(let wanted) = selector {
      let needle = try PositionSelector.needle(wanted)
      self.needle = needle
      sequences = try prompts.indices.map { sequence in
        try limits[sequence] == 0 ? ResolvedPositions([]) : ResolvedPositions(text(sequence).tokens(covering: needle))
      }
      searched = try prompts.indices.map { try text($0).bytes.count }
    } else {
      needle = nil
      sequences = try zip(prompts, limits).map { prompt, limit in
        try limit == 0 ? ResolvedPositions([]) : selector.resolve(prompt, limit: limit, tokenizer: nil)
      }
    }
  }

  /// Throws `.position` where no sequence has one of the positions in a list; a sequence that lacks some that others have
  /// gives the rows it has.
  func requireEach(_ prompts: [Prompt], limits: [Int], _ what: String) throws {
    guard case .list(let list) = selector, limits.contains(where: { $0 > 0 }) else { return }
    for index in list {
      let isThere = try zip(prompts, limits).contains { prompt, limit in
        try limit > 0 && PositionSelector.absolute(index, prompt.tokens.count, limit) != nil
      }
      guard !isThere else { continue }
      throw EngineError(
        .position,
        "\(what): no sequence has position \(index) of pos = \(selector.text) (the longest has \(limits.max() ?? 0) tokens)"
      )
    }
  }

  /// Whether the selected positions depend on text that is still to come.
  var grows: Bool { needle != nil }

  /// Looks through what has been added to a sequence's text. Returns the first position that is selected since, which
  /// may have been read before: an occurrence is known when its last token is.
  func grow(_ sequence: Int, _ text: SequenceText) -> Int? {
    guard let needle, searched[sequence] < text.bytes.count else { return nil }
    let found = text.tokens(covering: needle, from: searched[sequence])
    searched[sequence] = text.bytes.count
    let last = sequences[sequence].parts.last.map { $0.range.upperBound - 1 } ?? -1
    let new = found.filter { $0 > last }  // occurrences of one text end in the order they begin
    for position in new { sequences[sequence].append(position) }
    return new.first
  }
}
