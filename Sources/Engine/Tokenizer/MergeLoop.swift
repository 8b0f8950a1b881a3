import HeapModule

/// One symbol of a word that is being merged, linked to its neighbours. A merge grows the left symbol over the right
/// one.
struct Symbol {
  /// Offset in the word.
  var start: UInt32
  var previous: Int32 = -1
  var next: Int32 = -1
  /// Token id, or -1.
  var id: Int32
  /// Rank of the merge with the next symbol; `.max` where there is none.
  var rank: UInt32 = .max
  /// What that merge gives.
  var merged: Int32 = -1

  init(start: Int, id: Int32) {
    self.start = UInt32(truncatingIfNeeded: start)
    self.id = id
  }
}

/// Which neighbours may merge. `start ..< end` is the stretch of `word` that both cover together.
protocol MergeRule: Sendable {
  func merge(_ left: Int32, _ right: Int32, word: UnsafePointer<UInt8>, start: Int, end: Int) -> Merge
}

/// Throws `.token` for a word that would take more than 3 GB to merge.
func checkWordLength(_ bytes: Int) throws {
  guard bytes > 1 << 26 else { return }
  throw EngineError(.token, "\(byteText(bytes)) of text without a place to split it are too long to encode; split it")
}

/// Byte pair encoding: the neighbours with the lowest rank merge first, of equal ranks the leftmost, until none is left
/// (Sennrich et al. 2016, algorithm 1). Words of up to `heapThreshold` symbols are scanned for the lowest rank; in
/// longer ones a heap finds it, so that a word of a million letters takes n log n steps.
struct MergeLoop<Rule: MergeRule> {
  static var heapThreshold: Int { 48 }

  let symbols: UnsafeMutableBufferPointer<Symbol>
  let word: UnsafePointer<UInt8>
  /// Where the last symbol ends.
  let end: Int
  let rule: Rule

  /// Throws `.interrupted`. The symbols that remain hang on symbol 0 by `next`.
  func run() throws {
    let count = symbols.count
    for index in 0..<count {
      symbols[index].previous = Int32(index - 1)
      symbols[index].next = index + 1 < count ? Int32(index + 1) : -1
    }
    for index in 0..<count { rescore(index) }
    if count <= Self.heapThreshold { scan() } else { try drain() }
  }

  private func scan() {
    while true {
      var best = UInt32.max
      var place = -1
      var index = 0
      while index >= 0 {
        if symbols[index].rank < best {
          best = symbols[index].rank
          place = index
        }
        index = Int(symbols[index].next)
      }
      guard place >= 0 else { return }
      join(place)
    }
  }

  /// A heap entry is the rank above the place. An entry is out of date when its rank is no longer that of the place;
  /// one that is right again by chance is as good as a new one.
  private func drain() throws {
    var heap = Heap(symbols.indices.lazy.filter { symbols[$0].rank != .max }.map { entry($0) })
    var steps = 0
    while let next = heap.popMin() {
      steps += 1
      if steps & 0xFFFF == 0 { try Interrupt.check() }
      let place = Int(next & 0xFFFF_FFFF)
      guard UInt64(symbols[place].rank) == next >> 32 else { continue }
      join(place)
      if symbols[place].rank != .max { heap.insert(entry(place)) }
      let previous = Int(symbols[place].previous)
      if previous >= 0, symbols[previous].rank != .max { heap.insert(entry(previous)) }
    }
  }

  private func entry(_ place: Int) -> UInt64 { UInt64(symbols[place].rank) << 32 | UInt64(place) }

  @inline(__always)
  private func join(_ place: Int) {
    let right = Int(symbols[place].next)
    let next = symbols[right].next
    symbols[place].id = symbols[place].merged
    symbols[place].next = next
    symbols[right].rank = .max
    if next >= 0 { symbols[Int(next)].previous = Int32(truncatingIfNeeded: place) }
    rescore(place)
    let previous = Int(symbols[place].previous)
    if previous >= 0 { rescore(previous) }
  }

  @inline(__always)
  private func rescore(_ place: Int) {
    let next = Int(symbols[place].next)
    guard next >= 0 else {
      symbols[place].rank = .max
      return
    }
    let merge = rule.merge(
      symbols[place].id, symbols[next].id, word: word, start: Int(symbols[place].start), end: stop(next))
    symbols[place].rank = merge.rank
    symbols[place].merged = merge.id
  }

  /// Where a symbol ends.
  @inline(__always)
  func stop(_ place: Int) -> Int {
    let next = Int(symbols[place].next)
    return next >= 0 ? Int(symbols[next].start) : end
  }
}
