extension TemplateLexer {
  func isNameStart(_ offset: Int) -> Bool {
    let code = character(at: offset).code
    if code < 0x80 { return code == 0x5F || (0x41...0x5A).contains(code) || (0x61...0x7A).contains(code) }
    return Unicode.Scalar(code)?.properties.isXIDStart ?? false
  }

  mutating func readName() {
    var end = place
    while end < source.count {
      let next = character(at: end)
      let isPart =
        next.code < 0x80
        ? isNameStart(end) || (0x30...0x39).contains(next.code)
        : Unicode.Scalar(next.code)?.properties.isXIDContinue ?? false
      guard isPart else { break }
      end += next.length
    }
    add(.name(String(decoding: source[place..<end], as: UTF8.self)))
    advance(to: end)
  }

  // MARK: Numbers

  /// `12`, `1_000`, `0x1F`, `0b1`, `0o7`, `1.5`, `2e-3`.
  mutating func readNumber() throws {
    let radixes: [(mark: UInt8, radix: Int)] = [(0x78, 16), (0x6F, 8), (0x62, 2)]
    if source[place] == 0x30, let mark = peek(1), let radix = radixes.first(where: { $0.mark == mark | 0x20 })?.radix,
      case let end = digitsEnd(place + 2, radix: radix), end > place + 2
    {
      return try addInteger(place + 2..<end, radix: radix)
    }
    let isAfterDot = tokens.last?.kind == .symbol(".")
    let whole = digitsEnd(place, radix: 10)
    var end = whole
    if !isAfterDot {
      if end + 1 < source.count, source[end] == 0x2E, case let fraction = digitsEnd(end + 1, radix: 10),
        fraction > end + 1
      {
        end = fraction
      }
      if end < source.count, source[end] | 0x20 == 0x65 {
        let sign = end + 1 < source.count && [0x2B, 0x2D].contains(source[end + 1]) ? 1 : 0
        let exponent = digitsEnd(end + 1 + sign, radix: 10)
        if exponent > end + 1 + sign { end = exponent }
      }
    }
    guard end == whole else {
      let digits = String(decoding: source[place..<end].filter { $0 != 0x5F }, as: UTF8.self)
      guard let value = Double(digits) else { throw failure("\(digits.prefix(40)) is not a number") }
      add(.float(value))
      return advance(to: end)
    }
    if source[place] == 0x30 {  // zeros only: 07 is no number
      var zeros = place + 1
      while zeros < whole, source[zeros] == 0x30 || (source[zeros] == 0x5F && source[zeros + 1] == 0x30) { zeros += 1 }
      return try addInteger(place..<zeros, radix: 10)
    }
    try addInteger(place..<whole, radix: 10)
  }

  /// The end of digits from `start`, which single underscores may separate.
  private func digitsEnd(_ start: Int, radix: Int) -> Int {
    func isDigit(_ offset: Int) -> Bool {
      guard offset < source.count, source[offset] < 0x80 else { return false }
      return Character(Unicode.Scalar(source[offset])).hexDigitValue.map { $0 < radix } ?? false
    }
    var end = start
    while isDigit(end)
      || (end < source.count && source[end] == 0x5F && isDigit(end + 1) && (end > start || radix != 10))
    {
      end += 1
    }
    return end
  }

  private mutating func addInteger(_ range: Range<Int>, radix: Int) throws {
    let digits = String(decoding: source[range].filter { $0 != 0x5F }, as: UTF8.self)
    guard let value = Int(digits, radix: radix) else {
      throw failure("the integer \(digits.prefix(40)) is beyond 64 bits")
    }
    add(.integer(value))
    advance(to: range.upperBound)
  }

  // MARK: Strings

  mutating func readString(quote: UInt8) throws {
    var end = place + 1
    while end < source.count, source[end] != quote { end += source[end] == UInt8(ascii: "\\") ? 2 : 1 }
    guard end < source.count else { throw failure("a string has no end") }
    let bytes = try unescaped(normalizedLineBreaks(Array(source[place + 1..<end])))
    add(.string(bytes))
    advance(to: end + 1)
  }

  /// Python's escapes in strings; unknown ones stay as they are.
  private func unescaped(_ text: [UInt8]) throws -> [UInt8] {
    guard text.contains(UInt8(ascii: "\\")) else { return text }
    let simple: [UInt8: UInt8] = [
      0x5C: 0x5C, 0x27: 0x27, 0x22: 0x22, 0x61: 7, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9, 0x76: 11,
    ]
    var result: [UInt8] = []
    var place = 0
    result.reserveCapacity(text.count)
    while place < text.count {
      guard text[place] == UInt8(ascii: "\\"), place + 1 < text.count else {
        result.append(text[place])
        place += 1
        continue
      }
      let next = text[place + 1]
      place += 2
      switch next {
      case 0x0A: break  // a line break that is not there
      case 0x30...0x37:
        let digits = text[(place - 1)...].prefix(3).prefix { (0x30...0x37).contains($0) }
        result.append(code: digits.reduce(0) { $0 * 8 + UInt32($1 - 0x30) })
        place += digits.count - 1
      case UInt8(ascii: "x"), UInt8(ascii: "u"), UInt8(ascii: "U"):
        let length = next == UInt8(ascii: "x") ? 2 : next == UInt8(ascii: "u") ? 4 : 8
        let digits = text[place...].prefix(length)
        guard digits.count == length, let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
          throw failure("\(length) hexadecimal digits must follow \\\(Character(Unicode.Scalar(next))) in a string")
        }
        guard code <= 0x10FFFF else { throw failure("there is no character U+\(String(code, radix: 16))") }
        result.append(contentsOf: Array(String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8))
        place += length
      default:
        if let byte = simple[next] { result.append(byte) } else { result += [UInt8(ascii: "\\"), next] }
      }
    }
    return result
  }
}
