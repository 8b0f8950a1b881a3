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

  /// The merges as pairs of tokens. `table`: the tokens they are made of, as `isByteLevel` says, by bytes or by spelling.
  /// Throws `.token` for a merge whose parts, or whose result, are no tokens.
  func pairs(in table: ByteStringTable, isByteLevel: Bool) throws -> PairTable {
    var pairs = PairTable(capacity: count)
    var word: [UInt8] = []
    for rank in 0..<count {
      func damaged(_ what: String) -> EngineError {
        TokenizerVocabulary.damaged(
          "merge \(rank), \(ByteStringList.quoted(parts[rank * 2] + [0x20] + parts[rank * 2 + 1])), \(what)")
      }
      word.removeAll(keepingCapacity: true)
      guard Self.append(parts[rank * 2], isByteLevel, to: &word) else { throw damaged("has a left part that is no token") }
      let split = word.count
      guard Self.append(parts[rank * 2 + 1], isByteLevel, to: &word) else {
        throw damaged("has a right part that is no token")
      }
      let (left, right, joined) = word.withUnsafeBufferPointer { word -> (Int32, Int32, Int32) in
        guard let base = word.baseAddress else { return (-1, -1, -1) }
        return (
          table.find(base, split), table.find(base + split, word.count - split), table.find(base, word.count)
        )
      }
      guard left >= 0 else { throw damaged("has a left part that is no token") }
      guard right >= 0 else { throw damaged("has a right part that is no token") }
      guard joined >= 0 else { throw damaged("gives something that is no token") }
      pairs.insert(left, right, Merge(rank: UInt32(rank), id: joined))
    }
    return pairs
  }

  private static func append(_ part: ArraySlice<UInt8>, _ isByteLevel: Bool, to word: inout [UInt8]) -> Bool {
    if isByteLevel { return ByteAlphabet.decode(part, into: &word) }
    word += part
    return true
  }
}
