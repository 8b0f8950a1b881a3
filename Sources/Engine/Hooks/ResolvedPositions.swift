/// The positions of one sequence that a selector means, 0-based and in its order: a list that names a position twice has
/// it twice. The last part of an open selector reaches to the sequence's limit.
struct ResolvedPositions: Equatable {
  /// Consecutive positions.
  struct Part: Equatable {
    var range: Range<Int>
    /// Selected positions before the first of these: its row in values that go with the selector.
    var slot: Int

    var count: Int { range.count }
    var slots: Range<Int> { slot..<slot + range.count }
  }

  private(set) var parts: [Part] = []
  /// Whether a position is selected more than once.
  private(set) var hasRepeats = false
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  init(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    parts = [Part(range: range, slot: 0)]
    count = range.count
  }

  init(_ positions: [Int]) {
    for position in positions { append(position) }
    hasRepeats = Set(positions).count < positions.count
  }

  /// One more, after those there are; it is none of them.
  mutating func append(_ position: Int) {
    defer { count += 1 }
    if let last = parts.last, last.range.upperBound == position {
      parts[parts.count - 1].range = last.range.lowerBound..<position + 1
    } else {
      parts.append(Part(range: position..<position + 1, slot: count))
    }
  }

  /// The selected positions within `span`, in the selector's order.
  func intersection(_ span: Range<Int>) -> [Part] {
    parts.compactMap { part in
      let range = part.range.clamped(to: span)
      return range.isEmpty ? nil : Part(range: range, slot: part.slot + range.lowerBound - part.range.lowerBound)
    }
  }

  func count(in span: Range<Int>) -> Int { parts.reduce(0) { $0 + $1.range.clamped(to: span).count } }

  /// Slots of positions that are selected several times, in pairs: the first one's and a later one's.
  func repeatedSlots() -> [(position: Int, first: Int, second: Int)] {
    guard hasRepeats else { return [] }
    var first: [Int: Int] = [:], pairs: [(position: Int, first: Int, second: Int)] = []
    for part in parts {
      for (position, slot) in zip(part.range, part.slots) {
        if let before = first[position] {
          pairs.append((position, before, slot))
        } else {
          first[position] = slot
        }
      }
    }
    return pairs
  }
}
