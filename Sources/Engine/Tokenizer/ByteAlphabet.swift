/// GPT-2's spelling of bytes as printable characters: printable Latin-1 stands for itself, the others are U+0100
/// onwards in order (Radford et al. 2019; `bytes_to_unicode` of its encoder).
enum ByteAlphabet {
  /// The byte each character below U+0144 stands for, or -1.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    var next = 0x100
    for byte in 0..<256 {
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      table[isPrintable ? byte : next] = Int16(byte)
      if !isPrintable { next += 1 }
    }
    return table
  }()

  /// Appends the bytes that a spelling stands for; false, and nothing appended, where a character is outside the
  /// alphabet.
  static func decode(_ spelling: ArraySlice<UInt8>, into output: inout [UInt8]) -> Bool {
    let before = output.count
    var index = spelling.startIndex
    while index < spelling.endIndex {
      let first = spelling[index]
      var scalar = Int(first)
      if first >= 0x80 {
        guard (0xC2...0xC5).contains(first), index + 1 < spelling.endIndex, spelling[index + 1] & 0xC0 == 0x80 else {
          output.removeSubrange(before...)
          return false
        }
        scalar = Int(first & 0x1F) << 6 | Int(spelling[index + 1] & 0x3F)
        index += 1
      }
      guard scalar < bytes.count, bytes[scalar] >= 0 else {
        output.removeSubrange(before...)
        return false
      }
      output.append(UInt8(bytes[scalar]))
      index += 1
    }
    return true
  }
}
