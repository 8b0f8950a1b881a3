/// What two neighbouring tokens become, and how early: a low rank merges first.
struct Merge {
  var rank: UInt32
  var id: Int32

  static let none = Merge(rank: .max, id: -1)
}

/// From a pair of ids to a `Merge`: open addressing keyed by both ids in one word, seeded.
struct PairTable: Sendable {
  private struct Slot {
    var key: UInt64
    var merge: Merge
  }

  private var slots: [Slot]
  private var shift: UInt64
  private let factor = UInt64.random(in: .min ... .max) | 1
  private(set) var count = 0

  /// Room for `capacity` pairs; more may be inserted.
  init(capacity: Int) {
    var bits: UInt64 = 4
    while 1 << bits < capacity * 2 { bits += 1 }
    shift = 64 - bits
    slots = [Slot](repeating: Slot(key: .max, merge: .none), count: 1 << bits)
  }

  /// `Merge.none` where the pair is unknown or an id is negative.
  @inline(__always)
  func find(_ left: Int32, _ right: Int32) -> Merge {
    let key = Self.key(left, right)
    var index = Int(truncatingIfNeeded: (key &* factor) >> shift)
    while true {
      let slot = slots[index]
      if slot.key == key { return slot.merge }
      if slot.key == .max { return .none }
      index = (index + 1) & (slots.count - 1)
    }
  }

  /// Keeps the first merge of a pair.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
    if count * 2 >= slots.count { grow() }
    let key = Self.key(left, right)
    var index = Int(truncatingIfNeeded: (key &* factor) >> shift)
    while slots[index].key != .max {
      if slots[index].key == key { return }
      index = (index + 1) & (slots.count - 1)
    }
    slots[index] = Slot(key: key, merge: merge)
    count += 1
  }

  private mutating func grow() {
    let old = slots
    shift -= 1
    slots = [Slot](repeating: Slot(key: .max, merge: .none), count: old.count * 2)
    count = 0
    for slot in old where slot.key != .max {
      insert(Int32(truncatingIfNeeded: slot.key >> 32), Int32(truncatingIfNeeded: slot.key), slot.merge)
    }
  }

  /// The pair (-1, -1), the key of an empty slot, is never inserted and its merge is `none`.
  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
