/// From byte string to index, over the strings of a `ByteStringList`: open addressing with linear probing, no copies of
/// the keys. Seeded, so that a hostile vocabulary cannot be made to collide.
struct ByteStringTable: Sendable {
  private struct Slot {
    /// Upper half of the hash.
    var tag: UInt32 = 0
    /// Index + 1; zero: empty.
    var place: UInt32 = 0
    /// Where the string stands in `bytes`.
    var start: UInt32 = 0
    var count: UInt32 = 0
  }

  private let bytes: [UInt8]
  private var slots: [Slot]
  private let mask: Int
  private let seed = UInt64.random(in: .min ... .max)
  /// Bytes of the longest member.
  private let longest: Int

  /// Holds the members for which `isMember` is true. Throws `.token` where two members are equal.
  init(_ strings: ByteStringList, isMember: (Int) -> Bool) throws {
    let members = (0..<strings.count).filter(isMember)
    guard strings.bytes.count <= UInt32.max, members.count < 1 << 30 else {
      throw TokenizerVocabulary.damaged("it has \(members.count) tokens in \(byteText(strings.bytes.count))")
    }
    var capacity = 16
    while capacity < members.count + members.count / 2 { capacity *= 2 }
    bytes = strings.bytes
    longest = members.reduce(0) { max($0, strings.range($1).count) }
    slots = [Slot](repeating: Slot(), count: capacity)
    mask = capacity - 1
    var duplicate: (Int, Int)?
    bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for index in members {
        let range = strings.range(index)
        let (slot, tag, existing) = locate(base + range.lowerBound, range.count)
        guard existing < 0 else {
          duplicate = (Int(existing), index)
          return
        }
        slots[slot] = Slot(
          tag: tag, place: UInt32(index + 1), start: UInt32(range.lowerBound), count: UInt32(range.count))
      }
    }
    if let (first, second) = duplicate {
      throw EngineError(
        .token, "the vocabulary is damaged: tokens \(first) and \(second) are both \(strings.quoted(first))")
    }
  }

  /// The index of a string, or -1.
  @inline(__always)
  func find(_ string: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    count <= longest ? locate(string, count).found : -1
  }

  func find(_ string: some Collection<UInt8>) -> Int? {
    let found = [UInt8](string).withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { find($0, bytes.count) } ?? -1
    }
    return found < 0 ? nil : Int(found)
  }

  @inline(__always)
  private func locate(_ string: UnsafePointer<UInt8>, _ count: Int) -> (slot: Int, tag: UInt32, found: Int32) {
    let hash = byteHash(string, count, seed: seed)
    let tag = UInt32(truncatingIfNeeded: hash >> 32)
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let slot = slots[index]
      if slot.place == 0 { return (index, tag, -1) }
      if slot.tag == tag, Int(slot.count) == count, equal(string, Int(slot.start), count) {
        return (index, tag, Int32(slot.place) - 1)
      }
      index = (index + 1) & mask
    }
  }

  @inline(__always)
  private func equal(_ string: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return true }
      for offset in 0..<count where base[start + offset] != string[offset] { return false }
      return true
    }
  }
}

/// Folded multiplications over 8-byte words.
@inline(__always)
func byteHash(_ string: UnsafePointer<UInt8>, _ count: Int, seed: UInt64) -> UInt64 {
  let bytes = UnsafeRawPointer(string)
  var hash = fold(seed ^ UInt64(truncatingIfNeeded: count), 0x9E37_79B9_7F4A_7C15)
  var offset = 0
  while offset + 8 <= count {
    hash = fold(hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self), 0xD6E8_FEB8_6659_FD93)
    offset += 8
  }
  var rest: UInt64 = 0
  if count - offset >= 4 {
    rest = UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    offset += 4
  }
  while offset < count {
    rest = rest << 8 | UInt64(string[offset])
    offset += 1
  }
  return fold(hash ^ rest, 0xA076_1D64_78BD_642F)
}

@inline(__always)
private func fold(_ value: UInt64, _ factor: UInt64) -> UInt64 {
  let product = value.multipliedFullWidth(by: factor)
  return product.high ^ product.low
}
