/// Bytes on their way to tokens, and where each comes from: a piece of the text itself, or what a normalizer made of
/// it.
struct SourceText {
  let bytes: UnsafeBufferPointer<UInt8>
  /// Where the source of each byte ends in the original text, ascending; nil: byte i is byte `origin + i` of it.
  private let ends: UnsafePointer<UInt32>?
  /// Where the first byte comes from.
  private let origin: Int
  /// How many bytes all steps together may still make of this text.
  let room: Int

  /// A text as it was given, or bytes `ends` of it made by steps that left `room`.
  init(_ bytes: UnsafeBufferPointer<UInt8>, ends: UnsafePointer<UInt32>? = nil, origin: Int, room: Int? = nil) {
    (self.bytes, self.ends, self.origin) = (bytes, ends, origin)
    self.room = room ?? bytes.count * AlignedBuffer.growth + 65_536
  }

  /// How much of the original text the first `offset` bytes, 0 to all, stand for: an offset in that text.
  @inline(__always)
  func end(_ offset: Int) -> Int {
    guard let ends else { return origin + offset }
    return offset == 0 ? origin : Int(ends[offset - 1])
  }

  subscript(_ range: Range<Int>) -> SourceText {
    SourceText(
      UnsafeBufferPointer(rebasing: bytes[range]), ends: ends.map { $0 + range.lowerBound },
      origin: end(range.lowerBound), room: min(room, range.count * AlignedBuffer.growth + 4096))
  }

  /// Runs of valid UTF-8 and runs of bytes that are none, in order.
  func forEachRun(_ body: (_ range: Range<Int>, _ isValid: Bool) throws -> Void) rethrows {
    guard let base = bytes.baseAddress else { return }
    var position = 0
    while position < bytes.count {
      let valid = validUTF8Prefix(base + position, bytes.count - position)
      if valid > 0 { try body(position..<position + valid, true) }
      position += valid
      let invalid = invalidUTF8Prefix(base + position, bytes.count - position)
      if invalid > 0 { try body(position..<position + invalid, false) }
      position += invalid
    }
  }
}

/// A changed copy of a `SourceText` in the making.
struct AlignedBuffer {
  private(set) var bytes: [UInt8] = []
  private var ends: [UInt32] = []
  private let source: SourceText
  private let origin: Int
  private let limit: Int

  /// Each byte of a text may become this many in all steps together, a copy by each of at most 64 steps among them: no
  /// real tokenizer comes near.
  static let growth = 64

  init(of source: SourceText) {
    self.source = source
    origin = source.end(0)
    limit = source.room
    bytes.reserveCapacity(source.bytes.count + source.bytes.count / 2 + 16)
    ends.reserveCapacity(source.bytes.count + source.bytes.count / 2 + 16)
  }

  /// Appends bytes `range` of the source as they are.
  mutating func copy(_ range: Range<Int>) {
    bytes.append(contentsOf: UnsafeBufferPointer(rebasing: source.bytes[range]))
    for offset in range { ends.append(UInt32(truncatingIfNeeded: source.end(offset + 1))) }
  }

  /// Appends what stands for bytes `range` of the source: one byte for each, all the rest for the last one. Throws
  /// `.token` where the result is far larger than its source.
  mutating func append(_ replacement: some Collection<UInt8>, for range: Range<Int>) throws {
    guard bytes.count + replacement.count <= limit else {
      throw EngineError(
        .token,
        "the steps of the tokenizer make more than \(Self.growth) bytes of each byte of the text; its normalizer or "
          + "pre-tokenizer is damaged")
    }
    bytes.append(contentsOf: replacement)
    var offset = range.lowerBound
    for index in 0..<replacement.count {
      offset = index + 1 == replacement.count ? range.upperBound : min(offset + 1, range.upperBound)
      ends.append(UInt32(truncatingIfNeeded: source.end(offset)))
    }
  }

  /// What stands here as a text, whose source need not be there any more.
  func withText<Result>(_ body: (SourceText) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBufferPointer { bytes in
      try ends.withUnsafeBufferPointer { ends in
        try body(SourceText(bytes, ends: ends.baseAddress, origin: origin, room: max(0, limit - bytes.count)))
      }
    }
  }
}
