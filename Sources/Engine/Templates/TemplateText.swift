/// Where a stretch of text came from: bytes `source` of the content of message `message`. `range` is where it stands.
/// The two have one length unless the text was transformed (upper case, JSON escapes) on the way.
struct ContentMark: Sendable, Equatable {
  var range: Range<Int>
  var message: Int
  var source: Range<Int>

  var isExact: Bool { range.count == source.count }
}

/// A string of a template: any bytes, read as UTF-8 (a byte that is no part of a valid character counts as a character
/// of its own), with the memory of which stretches are contents of messages. Cutting and joining keep that memory, so
/// that what is finally printed says where each content stands.
struct TemplateText: Sendable {
  private(set) var bytes: [UInt8]
  /// In order, without overlap.
  private(set) var marks: [ContentMark] = []
  /// Then bytes are characters.
  private(set) var isASCII: Bool
  /// Marked as safe for a web page: joined to it, other text is escaped.
  var isMarkup = false

  init(bytes: [UInt8] = []) {
    self.bytes = bytes
    isASCII = bytes.allSatisfy { $0 < 0x80 }
  }

  init(_ text: String) { self.init(bytes: Array(text.utf8)) }

  init(_ bytes: ArraySlice<UInt8>) { self.init(bytes: Array(bytes)) }

  /// Bytes from `start` of the content of a message.
  init(content: [UInt8], of message: Int, from start: Int = 0) {
    self.init(bytes: content)
    marks = [ContentMark(range: 0..<content.count, message: message, source: start..<start + content.count)]
  }

  /// For names and messages.
  var string: String { String(decoding: bytes, as: UTF8.self) }
  var isEmpty: Bool { bytes.isEmpty }

  // MARK: Joining

  mutating func append(_ other: TemplateText) {
    let offset = bytes.count
    bytes += other.bytes
    isASCII = isASCII && other.isASCII
    for mark in other.marks {
      append(
        ContentMark(
          range: mark.range.lowerBound + offset..<mark.range.upperBound + offset, message: mark.message,
          source: mark.source))
    }
  }

  mutating func append(_ literal: String) { append(bytes: Array(literal.utf8)) }

  mutating func append(bytes more: [UInt8]) {
    bytes += more
    isASCII = isASCII && more.allSatisfy { $0 < 0x80 }
  }

  /// Appends a mark, or lengthens the last one where text and source go on without a gap.
  private mutating func append(_ mark: ContentMark) {
    if let last = marks.last, last.message == mark.message, last.range.upperBound == mark.range.lowerBound,
      last.source.upperBound == mark.source.lowerBound, last.isExact, mark.isExact
    {
      marks[marks.count - 1].range = last.range.lowerBound..<mark.range.upperBound
      marks[marks.count - 1].source = last.source.lowerBound..<mark.source.upperBound
    } else {
      marks.append(mark)
    }
  }

  // MARK: Cutting

  /// The bytes of `range`, which lies within the text.
  func slice(_ range: Range<Int>) -> TemplateText {
    if range.lowerBound == 0, range.upperBound == bytes.count { return self }
    var part = TemplateText(bytes[range])
    var place = firstMark(endingAfter: range.lowerBound)
    while place < marks.count, marks[place].range.lowerBound <= range.upperBound {
      let mark = marks[place]
      place += 1
      let kept = mark.range.clamped(to: range)
      // An empty rest says something only where the text itself is empty: content that was all white space.
      guard !kept.isEmpty || range.isEmpty || mark.range.isEmpty else { continue }
      let start = kept.lowerBound - mark.range.lowerBound
      let source =
        mark.isExact
        ? mark.source.lowerBound + start..<mark.source.lowerBound + start + kept.count : mark.source
      part.append(
        ContentMark(
          range: kept.lowerBound - range.lowerBound..<kept.upperBound - range.lowerBound, message: mark.message,
          source: source))
    }
    return part
  }

  private func firstMark(endingAfter offset: Int) -> Int {
    var low = 0
    var high = marks.count
    while low < high {
      let middle = (low + high) / 2
      if marks[middle].range.upperBound < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Each stretch of one origin rewritten by itself, in order; the results keep their origin.
  func mapped(_ transform: (ArraySlice<UInt8>, inout [UInt8]) -> Void) -> TemplateText {
    var result = TemplateText()
    var done = 0
    func rewritten(_ range: Range<Int>) -> [UInt8] {
      var output: [UInt8] = []
      output.reserveCapacity(range.count)
      transform(bytes[range], &output)
      return output
    }
    for mark in marks {
      if done < mark.range.lowerBound { result.append(bytes: rewritten(done..<mark.range.lowerBound)) }
      let start = result.bytes.count
      result.append(bytes: rewritten(mark.range))
      result.append(ContentMark(range: start..<result.bytes.count, message: mark.message, source: mark.source))
      done = mark.range.upperBound
    }
    if done < bytes.count { result.append(bytes: rewritten(done..<bytes.count)) }
    return result
  }

  // MARK: Characters

  /// The character at byte `offset`: its scalar, or 0x110000 + the byte where that is no UTF-8; and its length.
  func character(at offset: Int) -> (code: UInt32, length: Int) {
    bytes.withUnsafeBufferPointer { readCharacter($0, at: offset) }
  }

  /// Characters.
  var count: Int {
    if isASCII { return bytes.count }
    return bytes.withUnsafeBufferPointer { bytes in
      var count = 0
      var offset = 0
      while offset < bytes.count {
        offset += readCharacter(bytes, at: offset).length
        count += 1
      }
      return count
    }
  }

  /// The byte where each character starts, then the length of the text.
  var characterOffsets: [Int] {
    if isASCII { return Array(0...bytes.count) }
    return bytes.withUnsafeBufferPointer { bytes in
      var offsets: [Int] = []
      var offset = 0
      offsets.reserveCapacity(bytes.count / 2)
      while offset < bytes.count {
        offsets.append(offset)
        offset += readCharacter(bytes, at: offset).length
      }
      return offsets + [offset]
    }
  }

  /// Scalars, as `character(at:)` gives them.
  var codes: [UInt32] {
    bytes.withUnsafeBufferPointer { bytes in
      var codes: [UInt32] = []
      var offset = 0
      codes.reserveCapacity(bytes.count)
      while offset < bytes.count {
        let next = readCharacter(bytes, at: offset)
        codes.append(next.code)
        offset += next.length
      }
      return codes
    }
  }

  /// The range of what is left when `isCut` characters are taken from the ends.
  func trimmedRange(left: Bool = true, right: Bool = true, where isCut: (UInt32) -> Bool = isWhiteSpace) -> Range<Int> {
    bytes.withUnsafeBufferPointer { bytes in
      var start = 0
      var end = bytes.count
      while left, start < end {
        let next = readCharacter(bytes, at: start)
        guard isCut(next.code) else { break }
        start += next.length
      }
      while right, start < end {
        let length = lastCharacterLength(bytes, start..<end)
        guard isCut(readCharacter(bytes, at: end - length).code) else { break }
        end -= length
      }
      return start..<end
    }
  }
}

/// See `TemplateText.character(at:)`.
@inline(__always)
func readCharacter(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> (code: UInt32, length: Int) {
  let first = bytes[offset]
  if first < 0x80 { return (UInt32(first), 1) }
  guard let base = bytes.baseAddress else { return (0, 1) }
  let length = utf8Length(base + offset, bytes.count - offset)
  return length == 0 ? (0x110000 + UInt32(first), 1) : (utf8Scalar(base + offset, length), length)
}

/// Bytes of the last character of a range that starts at a character.
private func lastCharacterLength(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int {
  for length in 1...4 where length <= range.count {
    let start = range.upperBound - length
    if readCharacter(bytes, at: start).length == length, length > 1 || bytes[start] < 0x80 { return length }
  }
  return 1
}

/// White space as Python's `str.isspace` and `str.strip` have it.
func isWhiteSpace(_ code: UInt32) -> Bool {
  switch code {
  case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
  default: false
  }
}

extension [UInt8] {
  /// Appends a character as `TemplateText.character(at:)` gives it.
  mutating func append(code: UInt32) {
    if code < 0x80 {
      append(UInt8(code))
    } else if let scalar = Unicode.Scalar(code) {
      append(contentsOf: Unicode.UTF8.encode(scalar).map(Array.init) ?? [])
    } else {
      append(UInt8(truncatingIfNeeded: code))
    }
  }
}
