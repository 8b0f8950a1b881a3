/// Bytes of the UTF-8 character at the start of `bytes`, 1 to 4; 0 where no valid one starts there (Unicode 15, table
/// 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
@inline(__always)
func utf8Length(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
  guard count > 0 else { return 0 }
  let first = bytes[0]
  if first < 0x80 { return 1 }
  return first < 0xC2 ? 0 : longUTF8Length(bytes, count)
}

private func longUTF8Length(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
  let first = bytes[0]
  let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0
  guard length > 0, length <= count else { return 0 }
  let low: UInt8 = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80
  let high: UInt8 = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF
  guard low <= bytes[1], bytes[1] <= high else { return 0 }
  for offset in 2..<max(2, length) where bytes[offset] & 0xC0 != 0x80 { return 0 }
  return length
}

/// The scalar of a valid UTF-8 character of `length` bytes.
@inline(__always)
func utf8Scalar(_ bytes: UnsafePointer<UInt8>, _ length: Int) -> UInt32 {
  switch length {
  case 1: UInt32(bytes[0])
  case 2: UInt32(bytes[0] & 0x1F) << 6 | UInt32(bytes[1] & 0x3F)
  case 3: UInt32(bytes[0] & 0x0F) << 12 | UInt32(bytes[1] & 0x3F) << 6 | UInt32(bytes[2] & 0x3F)
  default:
    UInt32(bytes[0] & 0x07) << 18 | UInt32(bytes[1] & 0x3F) << 12 | UInt32(bytes[2] & 0x3F) << 6
      | UInt32(bytes[3] & 0x3F)
  }
}

/// Bytes of the longest valid UTF-8 prefix.
func validUTF8Prefix(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
  var offset = 0
  while offset < count {
    while offset + 8 <= count {
      let word = UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      guard word & 0x8080_8080_8080_8080 == 0 else { break }
      offset += 8
    }
    guard offset < count else { break }
    let length = utf8Length(bytes + offset, count - offset)
    guard length > 0 else { break }
    offset += length
  }
  return offset
}

/// Bytes until the next valid character starts: the length of a run that is no UTF-8.
func invalidUTF8Prefix(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
  var offset = 0
  while offset < count, utf8Length(bytes + offset, count - offset) == 0 { offset += 1 }
  return offset
}
