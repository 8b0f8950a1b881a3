/// The tokens that are found in a text before it is split: control and unknown tokens (`<|im_start|>`), matched where
/// special tokens are read, and user-defined ones (Gemma's runs of newlines and spaces), matched always. A trie: the
/// leftmost match wins, at one place the longest, as in SentencePiece and Hugging Face tokenizers.
struct SpecialTokens: Sendable {
  /// Longer ones are refused at load: matching takes their length at every byte of the text.
  static let longestAllowed = 1024

  struct Entry: Sendable {
    var token: Int
    /// Matches also where special tokens are not read.
    var isUserDefined: Bool
    /// Takes white space in front, or behind, with it.
    var takesSpaceBefore = false
    var takesSpaceAfter = false
    /// Matches only where no letter, digit or underscore is beside it.
    var isSingleWord = false
  }

  private var entries: [Entry] = []
  /// The entry that ends at each node, or -1.
  private var ends: [Int32] = [-1]
  private var edges = PairTable(capacity: 1024)
  /// The child of the root for each first byte, or -1.
  private var roots = [Int32](repeating: -1, count: 256)

  var isEmpty: Bool { entries.isEmpty }

  /// Control and unknown tokens: what a template writes between the turns of a conversation.
  var controls: Set<Int> { Set(entries.lazy.filter { !$0.isUserDefined }.map(\.token)) }

  /// Throws `.token` where two special tokens are equal or one is too long or empty.
  mutating func insert(_ text: ArraySlice<UInt8>, _ entry: Entry) throws {
    guard (1...Self.longestAllowed).contains(text.count) else {
      throw TokenizerVocabulary.damaged(
        "special token \(entry.token) has \(text.count) bytes (1 to \(Self.longestAllowed) are allowed)")
    }
    var node: Int32 = 0
    for byte in text {
      var child = node == 0 ? roots[Int(byte)] : edges.find(node, Int32(byte)).id
      if child < 0 {
        child = Int32(ends.count)
        ends.append(-1)
        if node == 0 { roots[Int(byte)] = child } else { edges.insert(node, Int32(byte), Merge(rank: 0, id: child)) }
      }
      node = child
    }
    guard ends[Int(node)] < 0 else {
      throw TokenizerVocabulary.damaged(
        "tokens \(entries[Int(ends[Int(node)])].token) and \(entry.token) are both \(ByteStringList.quoted(text))")
    }
    ends[Int(node)] = Int32(entries.count)
    entries.append(entry)
  }

  /// Calls `body` with each special token and each stretch between them, in order. `controls`: control and unknown
  /// tokens count too, but for those of which `isPlain` holds.
  @inline(__always)
  func forEachPart(
    _ text: UnsafeBufferPointer<UInt8>, controls: Bool, isPlain: (Range<Int>) -> Bool,
    _ body: (_ range: Range<Int>, _ token: Int?) throws -> Void
  ) rethrows {
    var plain = 0
    var position = 0
    while position < text.count {
      let root = roots[Int(text[position])]
      guard root >= 0,
        let match = match(text, from: root, at: position, controls: controls, isPlain: isPlain)
      else {
        position += 1
        continue
      }
      let entry = entries[match.entry]
      let found = position..<match.end
      position = match.end
      if entry.isSingleWord,
        text.hasWordCharacter(before: found.lowerBound) || text.hasWordCharacter(at: found.upperBound)
      {
        continue
      }
      let start = entry.takesSpaceBefore ? text.spaceStart(before: found.lowerBound, from: plain) : found.lowerBound
      if entry.takesSpaceAfter { position = text.spaceEnd(from: found.upperBound) }
      if plain < start { try body(plain..<start, nil) }
      try body(start..<position, entry.token)
      plain = position
    }
    if plain < text.count { try body(plain..<text.count, nil) }
  }

  private func match(
    _ text: UnsafeBufferPointer<UInt8>, from root: Int32, at offset: Int, controls: Bool,
    isPlain: (Range<Int>) -> Bool = { _ in false }
  ) -> (entry: Int, end: Int)? {
    var node = root
    var end = offset + 1
    var best: (entry: Int, end: Int)?
    while true {
      let here = Int(ends[Int(node)])
      if here >= 0, entries[here].isUserDefined || (controls && !isPlain(offset..<end)) { best = (here, end) }
      guard end < text.count else { return best }
      node = edges.find(node, Int32(text[end])).id
      guard node >= 0 else { return best }
      end += 1
    }
  }

  /// The token that a text begins with.
  func first(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    guard !text.isEmpty, roots[Int(text[0])] >= 0 else { return nil }
    return match(text, from: roots[Int(text[0])], at: 0, controls: true).map { entries[$0.entry].token }
  }

  /// The token that is spelt exactly so.
  func find(_ text: [UInt8]) -> Int? {
    guard let byte = text.first, roots[Int(byte)] >= 0 else { return nil }
    return text.withUnsafeBufferPointer { text in
      match(text, from: roots[Int(byte)], at: 0, controls: true).flatMap {
        $0.end == text.count ? entries[$0.entry].token : nil
      }
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  fileprivate func scalar(at offset: Int) -> (scalar: Unicode.Scalar, length: Int)? {
    guard let baseAddress, offset < count else { return nil }
    let length = utf8Length(baseAddress + offset, count - offset)
    return length > 0 ? Unicode.Scalar(utf8Scalar(baseAddress + offset, length)).map { ($0, length) } : nil
  }

  fileprivate func scalar(before offset: Int) -> (scalar: Unicode.Scalar, length: Int)? {
    for length in 1...4 where length <= offset {
      if let found = scalar(at: offset - length), found.length == length { return found }
    }
    return nil
  }

  fileprivate func hasWordCharacter(at offset: Int) -> Bool { scalar(at: offset).map { isWord($0.scalar) } ?? false }
  fileprivate func hasWordCharacter(before offset: Int) -> Bool {
    scalar(before: offset).map { isWord($0.scalar) } ?? false
  }

  /// UTS 18's `\w`.
  private func isWord(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark: return true
    default: return properties.isAlphabetic || properties.isJoinControl
    }
  }

  fileprivate func spaceStart(before offset: Int, from lowest: Int) -> Int {
    var start = offset
    while start > lowest, let found = scalar(before: start), found.scalar.properties.isWhitespace {
      start -= found.length
    }
    return Swift.max(start, lowest)
  }

  fileprivate func spaceEnd(from offset: Int) -> Int {
    var end = offset
    while let found = scalar(at: end), found.scalar.properties.isWhitespace { end += found.length }
    return end
  }
}
