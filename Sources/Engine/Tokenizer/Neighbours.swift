/// Which characters stand side by side within any token. Between two that never do, no merge can reach across, so text
/// can be cut there. A pair may be reported that is not there (a Bloom filter with one hash), never the other way
/// round.
struct Neighbours: Sendable {
  /// In front of the first character: joins nothing and is joined by nothing.
  static let none = UInt32.max

  private static let wideBits: UInt64 = 21
  /// Pairs of ASCII characters, exactly.
  private var ascii = [UInt64](repeating: 0, count: 128 * 128 / 64)
  private var wide = [UInt64](repeating: 0, count: 1 << (wideBits - 6))

  init(_ tokens: ByteStringList, isMember: (Int) -> Bool) {
    tokens.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for index in 0..<tokens.count where isMember(index) {
        let range = tokens.range(index)
        var before = Self.none
        var position = range.lowerBound
        while position < range.upperBound {
          let length = utf8Length(base + position, range.upperBound - position)
          guard length > 0 else { break }  // such a token cannot come from text
          let scalar = utf8Scalar(base + position, length)
          if before != Self.none { insert(before, scalar) }
          before = scalar
          position += length
        }
      }
    }
  }

  @inline(__always)
  func mayJoin(_ left: UInt32, _ right: UInt32) -> Bool {
    if left | right < 0x80 {
      let bit = Int(left << 7 | right)
      return ascii[bit >> 6] >> UInt64(bit & 63) & 1 != 0
    }
    if left == Self.none { return true }
    let bit = Self.wideBit(left, right)
    return wide[bit >> 6] >> UInt64(bit & 63) & 1 != 0
  }

  @inline(__always)
  private mutating func insert(_ left: UInt32, _ right: UInt32) {
    if left | right < 0x80 {
      let bit = Int(left << 7 | right)
      ascii[bit >> 6] |= 1 << UInt64(bit & 63)
    } else {
      let bit = Self.wideBit(left, right)
      wide[bit >> 6] |= 1 << UInt64(bit & 63)
    }
  }

  @inline(__always)
  private static func wideBit(_ left: UInt32, _ right: UInt32) -> Int {
    Int(((UInt64(left) << 32 | UInt64(right)) &* 0x9E37_79B9_7F4A_7C15) >> (64 - wideBits))
  }
}
