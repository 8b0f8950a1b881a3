import OrderedCollections

extension JSONValue {
  /// Parses a whole document (RFC 8259; `NaN`, `Infinity` and `-Infinity` too, which Python writes). Foundation's
  /// parser would drop the order of keys, accept duplicates and read large integers as doubles.
  ///
  /// `source` names the file in errors. Nesting beyond 64 and more than 8 million values are refused.
  public init(parsing bytes: UnsafeRawBufferPointer, source: String) throws {
    var parser = JSONParser(bytes: bytes, source: source)
    self = try parser.document()
  }

  /// Parses the file at `path`, refused beyond `limit` bytes.
  public init(path: String, limit: Int = 256 << 20) throws {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= limit else {
      throw EngineError(.file, "\(path) is \(byteText(file.bytes.count)); at most \(byteText(limit)) of JSON are read")
    }
    self = try withExtendedLifetime(file) { try JSONValue(parsing: file.bytes, source: path) }
  }

  public init(parsing text: String, source: String = "JSON text") throws {
    self = try Array(text.utf8).withUnsafeBytes { try JSONValue(parsing: $0, source: source) }
  }
}

private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let source: String
  var place = 0
  var values = 0

  mutating func document() throws -> JSONValue {
    let value = try self.value(depth: 0)
    skipSpace()
    guard place == bytes.count else { throw error("text after the end of the document") }
    return value
  }

  func error(_ message: String) -> EngineError {
    EngineError(.file, "\(source): bad JSON at byte \(place): \(message)")
  }

  var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { place += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard next == byte else { return false }
    place += 1
    return true
  }

  mutating func value(depth: Int) throws -> JSONValue {
    guard depth <= 64 else { throw error("nested more than 64 deep") }
    values += 1
    guard values <= 8_000_000 else { throw error("more than 8 million values") }
    skipSpace()
    switch next {
    case nil: throw error("unexpected end")
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "N"): return try word("NaN", .number(.nan))
    case UInt8(ascii: "I"): return try word("Infinity", .number(.infinity))
    default: return try number()
    }
  }

  mutating func word(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
    let length = text.utf8CodeUnitCount
    let wanted = UnsafeBufferPointer(start: text.utf8Start, count: length)
    guard place + length <= bytes.count, bytes[place..<place + length].elementsEqual(wanted) else {
      throw error("expected \(text)")
    }
    place += length
    return value
  }

  mutating func object(depth: Int) throws -> JSONValue {
    place += 1
    var members = OrderedDictionary<String, JSONValue>()
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw error("expected a quoted key") }
      let key = try string()
      guard take(UInt8(ascii: ":")) else { throw error("expected ':' after key \(jsonQuoted(key))") }
      let value = try value(depth: depth + 1)
      guard members.updateValue(value, forKey: key) == nil else { throw error("key \(jsonQuoted(key)) appears twice") }
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
    return .object(members)
  }

  mutating func array(depth: Int) throws -> JSONValue {
    place += 1
    var list: [JSONValue] = []
    if take(UInt8(ascii: "]")) { return .array(list) }
    repeat { list.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
    return .array(list)
  }

  mutating func number() throws -> JSONValue {
    let start = place
    if next == UInt8(ascii: "-") { place += 1 }
    if next == UInt8(ascii: "I") { return try word("Infinity", .number(-.infinity)) }
    var isInteger = true
    while let byte = next {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): break
      case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
        isInteger = false
      default: return try finish(start, isInteger)
      }
      place += 1
    }
    return try finish(start, isInteger)
  }

  private func finish(_ start: Int, _ isInteger: Bool) throws -> JSONValue {
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    guard place > start, place - start <= 400, let last = text.utf8.last, (0x30...0x39).contains(last) else {
      throw error("expected a value")
    }
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text) else { throw error("\(text.prefix(40)) is not a number") }
    return .number(value)
  }

  mutating func string() throws -> String {
    place += 1
    let start = place
    while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { place += 1 }
    if next == UInt8(ascii: "\"") {  // the usual case: no escapes
      defer { place += 1 }
      return try text(bytes[start..<place])
    }
    var decoded = Array(bytes[start..<place])
    while let byte = next {
      guard byte >= 0x20 else { throw error("a control character inside a string") }
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return try decoded.withUnsafeBytes { try text($0[...]) }
      case UInt8(ascii: "\\"): try escape(into: &decoded)
      default: decoded.append(byte)
      }
    }
    throw error("a string without an end")
  }

  private func text(_ bytes: Slice<UnsafeRawBufferPointer>) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw error("a string is not UTF-8") }
    return text
  }

  private mutating func escape(into decoded: inout [UInt8]) throws {
    guard let byte = next else { throw error("a string without an end") }
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
    case UInt8(ascii: "b"): decoded.append(8)
    case UInt8(ascii: "f"): decoded.append(12)
    case UInt8(ascii: "n"): decoded.append(10)
    case UInt8(ascii: "r"): decoded.append(13)
    case UInt8(ascii: "t"): decoded.append(9)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if (0xd800..<0xdc00).contains(code), place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\\"),
        bytes[place + 1] == UInt8(ascii: "u")
      {
        let before = place
        place += 2
        let low = try hexadecimal()
        if (0xdc00..<0xe000).contains(low) {
          code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        } else {
          place = before
        }
      }
      let scalar = Unicode.Scalar(code) ?? "\u{fffd}"  // half a surrogate pair
      decoded.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw error("unknown escape in a string")
    }
  }

  private mutating func hexadecimal() throws -> UInt32 {
    guard place + 4 <= bytes.count else { throw error("a string without an end") }
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[place])).hexDigitValue, bytes[place] < 0x80 else {
        throw error("four hexadecimal digits must follow \\u")
      }
      code = code << 4 | UInt32(digit)
      place += 1
    }
    return code
  }
}
