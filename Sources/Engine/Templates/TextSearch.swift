/// Finds a text in others in time linear in both (Knuth, Morris and Pratt 1977), however repetitive they are.
struct TextSearch {
  private let needle: [UInt8]
  /// For each prefix of the needle the length of its longest proper prefix that is a suffix of it as well.
  private let borders: [Int]

  /// `needle` is not empty.
  init(_ needle: [UInt8]) {
    self.needle = needle
    var borders = [Int](repeating: 0, count: needle.count)
    var length = 0
    for place in needle.indices.dropFirst() {
      while length > 0, needle[place] != needle[length] { length = borders[length - 1] }
      if needle[place] == needle[length] { length += 1 }
      borders[place] = length
    }
    self.borders = borders
  }

  /// The first occurrence within `range` of `text`, as byte offset of its start.
  func first(in text: [UInt8], _ range: Range<Int>) -> Int? {
    var matched = 0
    return text.withUnsafeBufferPointer { text in
      for place in range {
        while matched > 0, text[place] != needle[matched] { matched = borders[matched - 1] }
        if text[place] == needle[matched] { matched += 1 }
        if matched == needle.count { return place + 1 - matched }
      }
      return nil
    }
  }

  /// Starts of the occurrences, from the left and without overlap, `limit` at most.
  func all(in text: [UInt8], _ range: Range<Int>, limit: Int = .max) -> [Int] {
    var found: [Int] = []
    var start = range.lowerBound
    while found.count < limit, let next = first(in: text, start..<range.upperBound) {
      found.append(next)
      start = next + needle.count
    }
    return found
  }

  /// The last occurrence within `range`.
  func last(in text: [UInt8], _ range: Range<Int>) -> Int? {
    let reversed = TextSearch(needle.reversed())
    let mirrored = Array(text[range].reversed())
    return reversed.first(in: mirrored, 0..<mirrored.count).map { range.upperBound - $0 - needle.count }
  }

  /// The same from the right: the last `limit` occurrences without overlap, in order.
  func lastOnes(in text: [UInt8], limit: Int) -> [Int] {
    let mirrored = Array(text.reversed())
    return TextSearch(needle.reversed()).all(in: mirrored, 0..<mirrored.count, limit: limit)
      .map { text.count - $0 - needle.count }.reversed()
  }
}

extension TemplateText {
  /// The pieces between byte ranges that are left out. Ranges are in order.
  func pieces(between gaps: [Range<Int>]) -> [TemplateText] {
    var pieces: [TemplateText] = []
    var start = 0
    for gap in gaps {
      pieces.append(slice(start..<gap.lowerBound))
      start = gap.upperBound
    }
    return pieces + [slice(start..<bytes.count)]
  }

  /// Python's `split(separator, limit)`; `limit` below zero means none.
  func split(_ separator: TemplateText, limit: Int, fromRight: Bool = false) -> [TemplateText] {
    let search = TextSearch(separator.bytes)
    let limit = limit < 0 ? Int.max : limit
    let starts =
      fromRight ? search.lastOnes(in: bytes, limit: limit) : search.all(in: bytes, 0..<bytes.count, limit: limit)
    return pieces(between: starts.map { $0..<$0 + separator.bytes.count })
  }

  /// Python's `split()` at runs of white space, none of which are left at either end.
  func splitAtWhiteSpace(limit: Int, fromRight: Bool = false) -> [TemplateText] {
    let whole = trimmedRange()
    let limit = limit < 0 ? Int.max : limit
    guard !whole.isEmpty else { return [] }
    var gaps: [Range<Int>] = []
    var offset = whole.lowerBound
    while offset < whole.upperBound {
      let start = offset
      while offset < whole.upperBound, case let next = character(at: offset), isWhiteSpace(next.code) {
        offset += next.length
      }
      if offset > start { gaps.append(start..<offset) } else { offset += character(at: offset).length }
    }
    if gaps.count < limit { return slice(whole).shifted(gaps, by: whole.lowerBound) }
    // What lies beyond the last split keeps its white space at the far end.
    let chosen = Array(fromRight ? gaps.suffix(limit) : gaps.prefix(limit))
    let rest = fromRight ? 0..<whole.upperBound : whole.lowerBound..<bytes.count
    return slice(rest).shifted(chosen, by: rest.lowerBound)
  }

  private func shifted(_ gaps: [Range<Int>], by offset: Int) -> [TemplateText] {
    pieces(between: gaps.map { $0.lowerBound - offset..<$0.upperBound - offset })
  }

  /// Python's `splitlines`: at every kind of line end, without an empty line at the end.
  func lines(keepingEnds: Bool = false) -> [TemplateText] {
    var lines: [TemplateText] = []
    var start = 0
    var offset = 0
    while offset < bytes.count {
      let next = character(at: offset)
      let end = offset + next.length
      guard isLineEnd(next.code) else {
        offset = end
        continue
      }
      let after = next.code == 0x0D && end < bytes.count && bytes[end] == 0x0A ? end + 1 : end
      lines.append(slice(start..<(keepingEnds ? after : offset)))
      start = after
      offset = after
    }
    return start < bytes.count ? lines + [slice(start..<bytes.count)] : lines
  }

  private func isLineEnd(_ code: UInt32) -> Bool {
    switch code {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }
}
