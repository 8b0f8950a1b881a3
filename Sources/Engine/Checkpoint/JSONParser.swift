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

/// Reads a document piece by piece, for files too large to hold as `JSONValue`s.
struct JSONParser {
  private let bytes: UnsafeRawBufferPointer
  private let source: String
  private var place = 0
  private var values = 0

  init(bytes: UnsafeRawBufferPointer, source: String) { (self.bytes, self.source) = (bytes, source) }

  mutating func document() throws -> JSONValue {
    let value = try self.value()
    try end()
    return value
  }

  /// Throws where anything but white space follows.
  mutating func end() throws {
    skipSpace()
    guard place == bytes.count else { throw error("text after the end of the document") }
  }

  func error(_ message: String) -> EngineError {
    EngineError(.file, "\(source): bad JSON at byte \(place): \(message)")
  }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  /// The first character of the next value, such as `{`, `[` or `"`.
  mutating func peek() -> UInt8? {
    skipSpace()
    return next
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { place += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard next == byte else { return false }
    place += 1
    return true
  }

  mutating func value(depth: Int = 0) throws -> JSONValue {
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

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
    let length = text.utf8CodeUnitCount
    let wanted = UnsafeBufferPointer(start: text.utf8Start, count: length)
    guard place + length <= bytes.count, bytes[place..<place + length].elementsEqual(wanted) else {
      throw error("expected \(text)")
    }
    place += length
    return value
  }

  private mutating func object(depth: Int) throws -> JSONValue {
    var members = OrderedDictionary<String, JSONValue>()
    try forEachMember { parser, key in
      let value = try parser.value(depth: depth + 1)
      guard members.updateValue(value, forKey: key) == nil else {
        throw parser.error("key \(jsonQuoted(key)) appears twice")
      }
    }
    return .object(members)
  }

  private mutating func array(depth: Int) throws -> JSONValue {
    var list: [JSONValue] = []
    try forEachElement { list.append(try $0.value(depth: depth + 1)) }
    return .array(list)
  }

  /// Reads an object, whose values `body` reads.
  mutating func forEachMember(_ body: (_ parser: inout JSONParser, _ key: String) throws -> Void) throws {
    try forEachMember(key: { try $0.string() }, body)
  }

  /// Reads an object, whose keys and values the closures read.
  mutating func forEachMember<Key>(
    key: (_ parser: inout JSONParser) throws -> Key, _ body: (_ parser: inout JSONParser, _ key: Key) throws -> Void
  ) throws {
    guard take(UInt8(ascii: "{")) else { throw error("expected an object") }
    if take(UInt8(ascii: "}")) { return }
    repeat {
      guard peek() == UInt8(ascii: "\"") else { throw error("expected a quoted key") }
      let key = try key(&self)
      guard take(UInt8(ascii: ":")) else { throw error("expected ':' after a key") }
      try body(&self, key)
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
  }

  /// Reads an array, whose elements `body` reads.
  mutating func forEachElement(_ body: (_ parser: inout JSONParser) throws -> Void) throws {
    guard take(UInt8(ascii: "[")) else { throw error("expected an array") }
    if take(UInt8(ascii: "]")) { return }
    repeat { try body(&self) } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
  }

  private mutating func number() throws -> JSONValue {
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
    var decoded: [UInt8] = []
    try string(into: &decoded)
    return String(decoding: decoded, as: UTF8.self)
  }

  /// Appends what a string stands for, as UTF-8.
  mutating func string(into decoded: inout [UInt8]) throws {
    guard peek() == UInt8(ascii: "\"") else { throw error("expected text in quotes") }
    place += 1
    while true {
      let start = place
      while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { place += 1 }
      let plain = UnsafeRawBufferPointer(rebasing: bytes[start..<place]).assumingMemoryBound(to: UInt8.self)
      if let base = plain.baseAddress, validUTF8Prefix(base, plain.count) < plain.count {
        throw error("a string is not UTF-8")
      }
      decoded.append(contentsOf: plain)
      guard let byte = next else { throw error("a string without an end") }
      guard byte >= 0x20 else { throw error("a control character inside a string") }
      place += 1
      if byte == UInt8(ascii: "\"") { return }
      try escape(into: &decoded)
    }
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
