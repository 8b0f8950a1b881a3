/// The merges of a vocabulary, the most important first, as a file spells them.
struct MergeList: Sendable {
  /// Left and right part of each merge in turn.
  private var parts = ByteStringList()

  var count: Int { parts.count / 2 }

  init() {}

  /// Merges written as "left right". Throws `.token` for others.
  init(_ lines: ByteStringList) throws {
    for index in 0..<lines.count { try append(lines[index]) }
  }

  mutating func reserve(count: Int, bytes: Int) { parts.reserve(count: count * 2, bytes: bytes) }

  mutating func append(_ line: ArraySlice<UInt8>) throws {
    guard let space = line.firstIndex(of: 0x20), space > line.startIndex, space + 1 < line.endIndex else {
      throw TokenizerVocabulary.damaged(
        "merge \(count), \(ByteStringList.quoted(line)), is not two tokens with a space between them")
    }
    parts.append(line[..<space])
    parts.append(line[(space + 1)...])
  }

  /// Appends one part of a merge, first the left one, then the right one.
  mutating func appendPart(_ write: (inout [UInt8]) throws -> Void) rethrows { try parts.appendBytes(write) }

  /// The merges as pairs of tokens. `table`: the tokens they are made of, as `isByteLevel` says, by bytes or by
  /// spelling.
  /// Throws `.token` for a merge whose parts, or whose result, are no tokens.
  func pairs(in table: ByteStringTable, isByteLevel: Bool) throws -> PairTable {
    // Looking up half a million merges waits for memory most of the time: all threads do it.
    var found = [SIMD4<Int32>](repeating: .zero, count: count)
    found.withUnsafeMutableBufferPointer { found in
      nonisolated(unsafe) let target = found
      parallelRanges(count, minimum: 4096) { ranks in
        var word: [UInt8] = []
        for rank in ranks { target[rank] = tokens(of: rank, in: table, isByteLevel, &word) }
      }
    }
    var pairs = PairTable(capacity: count)
    for rank in 0..<count {
      let (left, right, joined) = (found[rank][0], found[rank][1], found[rank][2])
      guard left >= 0, right >= 0, joined >= 0 else {
        let what =
          left < 0
          ? "has a left part that is no token"
          : right < 0 ? "has a right part that is no token" : "gives something that is no token"
        let spelling = parts[rank * 2] + [0x20] + parts[rank * 2 + 1]
        throw TokenizerVocabulary.damaged("merge \(rank), \(ByteStringList.quoted(spelling)), \(what)")
      }
      pairs.insert(left, right, Merge(rank: UInt32(rank), id: joined))
    }
    return pairs
  }

  /// Left part, right part and both together, -1 where that is no token; the fourth number means nothing.
  private func tokens(
    of rank: Int, in table: ByteStringTable, _ isByteLevel: Bool, _ word: inout [UInt8]
  ) -> SIMD4<Int32> {
    func find(_ word: UnsafePointer<UInt8>, _ split: Int, _ count: Int) -> SIMD4<Int32> {
      SIMD4(table.find(word, split), table.find(word + split, count - split), table.find(word, count), 0)
    }
    let left = parts.range(rank * 2)
    let right = parts.range(rank * 2 + 1)
    guard isByteLevel else {  // both parts stand one behind the other
      return parts.bytes.withUnsafeBufferPointer { bytes in
        bytes.baseAddress.map { find($0 + left.lowerBound, left.count, left.count + right.count) }
          ?? SIMD4(repeating: -1)
      }
    }
    word.removeAll(keepingCapacity: true)
    guard ByteAlphabet.decode(parts.bytes[left], into: &word) else { return SIMD4(repeating: -1) }
    let split = word.count
    guard ByteAlphabet.decode(parts.bytes[right], into: &word) else { return SIMD4(0, -1, -1, 0) }
    return word.withUnsafeBufferPointer { word in
      word.baseAddress.map { find($0, split, word.count) } ?? SIMD4(repeating: -1)
    }
  }
}
