/// The spelling `<0x0A>` of tokens that stand for one byte.
enum ByteFallback {
  /// The byte that a spelling stands for.
  static func value(_ spelling: ArraySlice<UInt8>) -> UInt8? {
    guard spelling.count == 6, spelling.starts(with: "<0x".utf8), spelling.last == UInt8(ascii: ">") else { return nil }
    let digits = spelling.dropFirst(3).dropLast().map { Character(UnicodeScalar($0)).hexDigitValue }
    guard let high = digits[0], let low = digits[1] else { return nil }
    return UInt8(high * 16 + low)
  }
}

/// U+2581, which spells a space in SentencePiece vocabularies.
enum SpaceMark {
  static let spelling: [UInt8] = [0xE2, 0x96, 0x81]

  /// Appends a token's spelling with its marks as spaces.
  static func decode(_ token: ArraySlice<UInt8>, into output: inout [UInt8]) {
    var rest = token
    while let byte = rest.first {
      let isMark = byte == spelling[0] && rest.starts(with: spelling)
      output.append(isMark ? 0x20 : byte)
      rest = rest.dropFirst(isMark ? spelling.count : 1)
    }
  }
}
