/// Cuts template source into text, tags and the tokens inside them, with the white space rules of Jinja 3.1 under
/// `trim_blocks`, `lstrip_blocks` and without `keep_trailing_newline`: the settings chat templates are written for.
struct TemplateLexer {
  let source: [UInt8]
  var place = 0
  var line = 1
  var tokens: [TemplateToken] = []
  /// Whether what was read last ended in a line break.
  private var isLineStart = true

  static func tokens(of source: String) throws -> [TemplateToken] {
    guard source.utf8.count <= 1 << 22 else {
      throw templateSyntaxError(
        "a template of \(byteText(source.utf8.count)) is too long; at most 4 MiB are read", line: 1)
    }
    var lexer = TemplateLexer(source)
    try lexer.readAll()
    return lexer.tokens
  }

  private init(_ text: String) {
    var bytes = normalizedLineBreaks(Array(text.utf8))
    if bytes.last == 0x0A { bytes.removeLast() }
    source = bytes
  }

  func peek(_ offset: Int = 0) -> UInt8? { place + offset < source.count ? source[place + offset] : nil }

  func starts(with text: StaticString, at offset: Int) -> Bool {
    let bytes = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    return offset + bytes.count <= source.count && source[offset..<offset + bytes.count].elementsEqual(bytes)
  }

  func character(at offset: Int) -> (code: UInt32, length: Int) {
    source.withUnsafeBufferPointer { readCharacter($0, at: offset) }
  }

  func failure(_ message: String) -> EngineError { templateSyntaxError(message, line: line) }

  mutating func add(_ kind: TemplateToken.Kind) { tokens.append(TemplateToken(kind: kind, line: line)) }

  /// Moves to `end`, counting lines.
  mutating func advance(to end: Int) {
    for byte in source[place..<end] where byte == 0x0A { line += 1 }
    if end > place { isLineStart = source[end - 1] == 0x0A }
    place = end
  }

  // MARK: Outside tags

  private mutating func readAll() throws {
    while place < source.count {
      var tag = place
      while tag < source.count, !isTag(tag) { tag += 1 }
      guard tag < source.count else {
        addData(to: source.count)
        break
      }
      let sign = self.sign(at: tag + 2)
      let kind = source[tag + 1]
      addData(to: tag, sign: sign, lstrips: kind != UInt8(ascii: "{"))
      if kind == UInt8(ascii: "%"), let body = rawStart(tag) {
        advance(to: body)
        try readRaw()
        continue
      }
      let start = tag + 2 + (sign == nil ? 0 : 1)
      if kind == UInt8(ascii: "#") {
        advance(to: start)
        try skipComment()
      } else {
        let isBlock = kind == UInt8(ascii: "%")
        add(isBlock ? .blockBegin : .variableBegin)
        advance(to: start)
        try readTag(isBlock: isBlock)
      }
    }
    add(.end)
  }

  private func isTag(_ offset: Int) -> Bool {
    guard source[offset] == UInt8(ascii: "{"), offset + 1 < source.count else { return false }
    return [UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#")].contains(source[offset + 1])
  }

  private func sign(at offset: Int) -> UInt8? {
    guard offset < source.count, [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(source[offset]) else { return nil }
    return source[offset]
  }

  /// The text before a tag at `end`. `-` cuts its white space; without `+`, blanks between the start of a line and a
  /// block or comment go.
  private mutating func addData(to end: Int, sign: UInt8? = nil, lstrips: Bool = false) {
    let text = source[place..<end]
    var kept = end
    if sign == UInt8(ascii: "-") {
      kept = place + TemplateText(text).trimmedRange(left: false).upperBound
    } else if sign == nil, lstrips {
      let lineStart = text.lastIndex(of: 0x0A).map { $0 + 1 } ?? (isLineStart ? place : nil)
      if let lineStart, TemplateText(source[lineStart..<end]).trimmedRange().isEmpty { kept = lineStart }
    }
    if kept > place { add(.data(Array(source[place..<kept]))) }
    advance(to: end)
  }

  private func afterWhiteSpace(_ offset: Int) -> Int {
    var offset = offset
    while offset < source.count, case let next = character(at: offset), isWhiteSpace(next.code) {
      offset += next.length
    }
    return offset
  }

  /// The end of a closing mark (`%}`, `#}`) at `offset`, with its sign and the white space it takes.
  private func closingEnd(_ mark: StaticString, at offset: Int) -> Int? {
    let sign = self.sign(at: offset)
    let start = offset + (sign == nil ? 0 : 1)
    guard starts(with: mark, at: start) else { return nil }
    let end = start + 2
    if sign == UInt8(ascii: "-") { return afterWhiteSpace(end) }
    return sign == nil && end < source.count && source[end] == 0x0A ? end + 1 : end
  }

  private mutating func skipComment() throws {
    var offset = place
    while offset < source.count {
      if let end = closingEnd("#}", at: offset) { return advance(to: end) }
      offset += 1
    }
    throw failure("a comment has no end: '#}' is missing")
  }

  // MARK: Raw blocks

  /// Where the text of a `raw` block that opens at `tag` begins; nil for another block.
  private func rawStart(_ tag: Int) -> Int? {
    let name = afterWhiteSpace(tag + 2 + (sign(at: tag + 2) == nil ? 0 : 1))
    guard starts(with: "raw", at: name) else { return nil }
    let end = afterWhiteSpace(name + 3)
    if starts(with: "-%}", at: end) { return afterWhiteSpace(end + 3) }
    return starts(with: "%}", at: end) ? end + 2 : nil
  }

  private mutating func readRaw() throws {
    var tag = place
    while tag < source.count {
      defer { tag += 1 }
      guard starts(with: "{%", at: tag) else { continue }
      let sign = self.sign(at: tag + 2)
      let name = afterWhiteSpace(tag + 2 + (sign == nil ? 0 : 1))
      guard starts(with: "endraw", at: name), let end = closingEnd("%}", at: afterWhiteSpace(name + 6)) else {
        continue
      }
      addData(to: tag, sign: sign, lstrips: true)
      return advance(to: end)
    }
    throw failure("a raw block has no end: 'endraw' is missing")
  }

  // MARK: Inside tags

  /// Tokens up to the end of a tag, which counts only where brackets are balanced.
  private mutating func readTag(isBlock: Bool) throws {
    var closers: [UInt8] = []
    while true {
      advance(to: afterWhiteSpace(place))
      guard let byte = peek() else {
        throw failure("\(isBlock ? "a block" : "an expression") has no end: '\(isBlock ? "%}" : "}}")' is missing")
      }
      if closers.isEmpty {
        if isBlock, let end = closingEnd("%}", at: place) {
          add(.blockEnd)
          return advance(to: end)
        }
        let hasMinus = starts(with: "-}}", at: place)
        if !isBlock, hasMinus || starts(with: "}}", at: place) {
          add(.variableEnd)
          return advance(to: hasMinus ? afterWhiteSpace(place + 3) : place + 2)
        }
      }
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): try readNumber()
      case UInt8(ascii: "'"), UInt8(ascii: "\""): try readString(quote: byte)
      default: try isNameStart(place) ? readName() : readSymbol(&closers)
      }
    }
  }

  private mutating func readSymbol(_ closers: inout [UInt8]) throws {
    let pairs: [StaticString] = ["//", "**", "==", "!=", ">=", "<="]
    let singles = Array("+-/*%~[](){}><=.:|,;".utf8)
    let byte = source[place]
    if pairs.contains(where: { starts(with: $0, at: place) }) {
      add(.symbol(String(decoding: source[place..<place + 2], as: UTF8.self)))
      return advance(to: place + 2)
    }
    guard singles.contains(byte) else {
      let next = character(at: place)
      throw failure("unexpected character '\(String(decoding: source[place..<place + next.length], as: UTF8.self))'")
    }
    switch byte {
    case UInt8(ascii: "("): closers.append(UInt8(ascii: ")"))
    case UInt8(ascii: "["): closers.append(UInt8(ascii: "]"))
    case UInt8(ascii: "{"): closers.append(UInt8(ascii: "}"))
    case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
      let symbol = Character(Unicode.Scalar(byte))
      guard let expected = closers.popLast() else { throw failure("unexpected '\(symbol)'") }
      guard expected == byte else {
        throw failure("unexpected '\(symbol)', expected '\(Character(Unicode.Scalar(expected)))'")
      }
    default: break
    }
    add(.symbol(String(decoding: [byte], as: UTF8.self)))
    advance(to: place + 1)
  }
}

/// `\r\n` and `\r` as `\n`.
func normalizedLineBreaks(_ bytes: [UInt8]) -> [UInt8] {
  guard bytes.contains(0x0D) else { return bytes }
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  for (place, byte) in bytes.enumerated() where !(byte == 0x0A && place > 0 && bytes[place - 1] == 0x0D) {
    result.append(byte == 0x0D ? 0x0A : byte)
  }
  return result
}
