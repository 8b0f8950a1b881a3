/// A text, and the bytes of it that control tokens cover: where one turn of a conversation ends and another begins.
public struct MarkedText {
  public let bytes: [UInt8]
  /// Rising, apart from each other.
  public let marks: [Range<Int>]

  public init(_ bytes: [UInt8], marks: [Range<Int>] = []) {
    self.bytes = bytes
    self.marks = marks
  }

  /// What stands between marks, without white space at its ends and without the name of a role that opens it.
  var segments: [Range<Int>] {
    var segments: [Range<Int>] = [], start = 0
    for mark in marks + [bytes.count..<bytes.count] {
      let range = content(of: start..<max(start, mark.lowerBound), isMarked: start > 0)
      if !range.isEmpty { segments.append(range) }
      start = max(start, mark.upperBound)
    }
    return segments
  }

  fileprivate static let roles: Set<String> = [
    "system", "user", "assistant", "model", "tool", "human", "bot", "developer", "ipython", "environment",
  ]

  private func content(of range: Range<Int>, isMarked: Bool) -> Range<Int> {
    let inside = trimmed(range, bytes)
    guard isMarked else { return inside }
    let line = bytes[inside].prefix { $0 != 0x0A }
    let word = line.prefix { $0 != 0x20 && $0 != 0x3A }
    guard word.count == line.count, MarkedText.roles.contains(String(decoding: word, as: UTF8.self)) else {
      return inside
    }
    return trimmed(line.endIndex..<inside.upperBound, bytes)
  }
}

/// What two texts share, in order: the contents of one conversation as two templates print it.
public struct SharedContent: Equatable {
  /// The same bytes in both, in order.
  public private(set) var source: [Range<Int>] = [], target: [Range<Int>] = []
  /// Places after which the two texts differ within a turn, so that nothing corresponds there.
  public private(set) var unpairedAfter: Set<Int> = []

  /// Turns that are equal pair as wholes (the common subsequence of most bytes); between them, and where a text has no
  /// marks, the longest runs of bytes that both share do. A run shorter than 3 letters and digits, or the name of a role, counts for
  /// nothing.
  /// Time is n log n in the bytes, for turns quadratic in their number.
  public init(_ source: MarkedText, _ target: MarkedText) {
    let symbols = (SharedContent.symbols(source, mark: -1), SharedContent.symbols(target, mark: -2))
    var start = (0, 0)
    for turn in SharedContent.equalTurns(source, target) {
      appendRuns(source.bytes, symbols.0[start.0..<turn.0.lowerBound], symbols.1[start.1..<turn.1.lowerBound])
      append(turn.0, turn.1)
      start = (turn.0.upperBound, turn.1.upperBound)
    }
    appendRuns(source.bytes, symbols.0[start.0...], symbols.1[start.1...])
    // Between two contents lies a template only if one of the sides has a control token there.
    for place in self.source.indices.dropLast() {
      let a = self.source[place].upperBound..<self.source[place + 1].lowerBound
      let b = self.target[place].upperBound..<self.target[place + 1].lowerBound
      if !source.marks.contains(where: a.overlaps) && !target.marks.contains(where: b.overlaps) {
        unpairedAfter.insert(place)
      }
    }
  }

  private mutating func append(_ a: Range<Int>, _ b: Range<Int>) {
    source.append(a)
    target.append(b)
  }

  /// Segments of both texts that are equal, in order, as many bytes of them as possible.
  private static func equalTurns(_ source: MarkedText, _ target: MarkedText) -> [(Range<Int>, Range<Int>)] {
    guard !source.marks.isEmpty, !target.marks.isEmpty else { return [] }
    let a = source.segments, b = target.segments
    guard a.count * b.count <= 1 << 22 else { return [] }
    var known: [ArraySlice<UInt8>: Int] = [:]
    func number(_ slice: ArraySlice<UInt8>) -> Int {
      if let number = known[slice] { return number }
      known[slice] = known.count
      return known.count - 1
    }
    let left = a.map { number(source.bytes[$0]) }, right = b.map { number(target.bytes[$0]) }
    // best[i][j]: bytes shared by the segments from i and from j on.
    let width = b.count + 1
    var best = Array(repeating: 0, count: (a.count + 1) * width)
    for i in a.indices.reversed() {
      for j in b.indices.reversed() {
        let skip = max(best[(i + 1) * width + j], best[i * width + j + 1])
        let take = left[i] == right[j] ? best[(i + 1) * width + j + 1] + a[i].count : 0
        best[i * width + j] = max(skip, take)
      }
    }
    var turns: [(Range<Int>, Range<Int>)] = [], i = 0, j = 0
    while i < a.count, j < b.count {
      let here = best[i * width + j]
      if left[i] == right[j], here == best[(i + 1) * width + j + 1] + a[i].count {
        turns.append((a[i], b[j]))
        (i, j) = (i + 1, j + 1)
      } else if here == best[(i + 1) * width + j] {
        i += 1
      } else {
        j += 1
      }
    }
    return turns
  }

  /// The longest run that two stretches share, and those on either side of it, in order.
  private mutating func appendRuns(_ bytes: [UInt8], _ left: ArraySlice<Int32>, _ right: ArraySlice<Int32>) {
    var found: [(Range<Int>, Range<Int>)] = []
    var open = [(left, right)]
    while let (a, b) = open.popLast() {
      // Where the longest run is too short, nothing longer is left.
      guard min(a.count, b.count) >= SharedContent.shortest, let run = longestCommonRun(a, b),
        run.count >= SharedContent.shortest
      else { continue }
      let x = run.first..<run.first + run.count, y = run.second..<run.second + run.count
      let inside = trimmed(x, bytes), shift = y.lowerBound - x.lowerBound
      if bytes[inside].count(where: SharedContent.isWord) >= SharedContent.shortest,
        !MarkedText.roles.contains(String(decoding: bytes[inside], as: UTF8.self))
      {
        found.append((inside, inside.lowerBound + shift..<inside.upperBound + shift))
      }
      open.append((a[..<x.lowerBound], b[..<y.lowerBound]))
      open.append((a[x.upperBound...], b[y.upperBound...]))
    }
    for run in found.sorted(by: { $0.0.lowerBound < $1.0.lowerBound }) { append(run.0, run.1) }
  }

  private static let shortest = 3

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x80...: true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
  }

  /// Bytes, marks as numbers that equal nothing on the other side.
  private static func symbols(_ text: MarkedText, mark: Int32) -> [Int32] {
    var symbols = text.bytes.map { Int32($0) }
    for range in text.marks { for place in range { symbols[place] = mark } }
    return symbols
  }
}

/// `range` without white space at either end, which some templates cut off.
func trimmed(_ range: Range<Int>, _ text: [UInt8]) -> Range<Int> {
  var range = range.clamped(to: 0..<text.count)
  func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (9...13).contains(byte) }
  while let first = range.first, isSpace(text[first]) { range = range.lowerBound + 1..<range.upperBound }
  while let last = range.last, isSpace(text[last]) { range = range.lowerBound..<range.upperBound - 1 }
  return range
}
