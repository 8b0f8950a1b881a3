/// The tokens of words met before. Words of up to 24 bytes and 4 tokens, one place for each hash, the newer word wins:
/// 0.8 MB, whatever the text.
final class WordCache {
  static let longestWord = 24
  private static let places = 1 << 14

  struct Entry {
    fileprivate var key: (UInt64, UInt64, UInt64) = (0, 0, 0)
    var tokens: SIMD4<Int32> = .zero
    /// Bytes of the text each token stands for.
    var lengths: SIMD4<UInt8> = .zero
    fileprivate var wordBytes: UInt8 = 0
    var count: UInt8 = 0

    /// Sets token `index`, 0 to 3, and makes it the last.
    mutating func set(_ index: Int, _ token: Int32, length: Int) {
      tokens[index] = token
      lengths[index] = UInt8(truncatingIfNeeded: length)
      count = UInt8(truncatingIfNeeded: index + 1)
    }
  }

  private let entries: UnsafeMutablePointer<Entry>
  private let seed = UInt64.random(in: .min ... .max)

  init() {
    entries = .allocate(capacity: Self.places)
    entries.initialize(repeating: Entry(), count: Self.places)
  }

  deinit { entries.deallocate() }

  /// The place of a word of 1 to 24 bytes, and whether it holds that word. Empty places hold none.
  @inline(__always)
  func find(_ word: UnsafePointer<UInt8>, _ count: Int) -> (entry: UnsafeMutablePointer<Entry>, isHit: Bool) {
    let key = Self.key(word, count)
    let mixed = (key.0 ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ key.1)
    let hash = (mixed.high ^ mixed.low ^ key.2 &* 0xD6E8_FEB8_6659_FD93) &* 0xA076_1D64_78BD_642F
    let entry = entries + Int(truncatingIfNeeded: hash >> (64 - 14))
    let isHit =
      entry.pointee.wordBytes == UInt8(truncatingIfNeeded: count) && entry.pointee.key.0 == key.0
      && entry.pointee.key.1 == key.1 && entry.pointee.key.2 == key.2
    return (entry, isHit)
  }

  /// Puts a word into its place, without tokens yet.
  static func claim(_ entry: UnsafeMutablePointer<Entry>, _ word: UnsafePointer<UInt8>, _ count: Int) {
    entry.pointee = Entry(key: key(word, count), wordBytes: UInt8(count))
  }

  /// Empties a place, for a word of too many tokens.
  static func release(_ entry: UnsafeMutablePointer<Entry>) { entry.pointee = Entry() }

  @inline(__always)
  private static func key(_ word: UnsafePointer<UInt8>, _ count: Int) -> (UInt64, UInt64, UInt64) {
    let bytes = UnsafeRawPointer(word)
    var key: (UInt64, UInt64, UInt64) = (0, 0, 0)
    if count <= 8 {
      key.0 = word64(bytes, count)
    } else if count <= 16 {
      key.0 = bytes.loadUnaligned(as: UInt64.self)
      key.1 = word64(bytes + 8, count - 8)
    } else {
      key.0 = bytes.loadUnaligned(as: UInt64.self)
      key.1 = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      key.2 = word64(bytes + 16, count - 16)
    }
    return key
  }

  /// The first `count` bytes, 0 to 8, as one number.
  @inline(__always)
  private static func word64(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
    if count == 8 { return bytes.loadUnaligned(as: UInt64.self) }
    if count >= 4 {
      let low = UInt64(bytes.loadUnaligned(as: UInt32.self))
      let high = UInt64(bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
      return low | high << (UInt64(count - 4) * 8)
    }
    var value: UInt64 = 0
    for offset in 0..<count {
      value |= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) << UInt64(offset * 8)
    }
    return value
  }
}
