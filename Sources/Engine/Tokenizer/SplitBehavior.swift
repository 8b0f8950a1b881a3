/// What becomes of a delimiter that a pre-tokenizer found: the `behavior` of `tokenizer.json`.
enum SplitBehavior: String, Sendable, CaseIterable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

extension PatternMatcher {
  /// Cuts valid UTF-8 at the pattern's matches, or with `inverted` at what stands between them, and calls `body` with
  /// each piece that is not empty, in order. Throws as `forEachPart`.
  func split(
    _ text: UnsafeBufferPointer<UInt8>, _ behavior: SplitBehavior = .isolated, inverted: Bool = false,
    _ body: (Range<Int>) throws -> Void
  ) throws {
    var pending: (range: Range<Int>, isDelimiter: Bool)?
    func emit(_ range: Range<Int>) throws { if !range.isEmpty { try body(range) } }
    try forEachPart(text) { range, isMatch in
      let isDelimiter = isMatch != inverted
      switch behavior {
      case .isolated: try emit(range)
      case .removed: if !isDelimiter { try emit(range) }
      case .contiguous:
        if let held = pending, held.isDelimiter == isDelimiter {
          pending = (held.range.lowerBound..<range.upperBound, isDelimiter)
        } else {
          if let held = pending { try emit(held.range) }
          pending = (range, isDelimiter)
        }
      case .mergedWithPrevious:
        if let held = pending, isDelimiter, !held.isDelimiter {
          pending = (held.range.lowerBound..<range.upperBound, true)
        } else {
          if let held = pending { try emit(held.range) }
          pending = (range, isDelimiter)
        }
      case .mergedWithNext:
        if let held = pending, !isDelimiter {
          try emit(held.range.lowerBound..<range.upperBound)
          pending = nil
        } else {
          if let held = pending { try emit(held.range) }
          pending = isDelimiter ? (range, true) : nil
          if !isDelimiter { try emit(range) }
        }
      }
    }
    if let held = pending { try emit(held.range) }
  }
}
