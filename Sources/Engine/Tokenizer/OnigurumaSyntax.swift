/// Regular expressions as `tokenizer.json` has them, in the syntax of Oniguruma (Ruby's), put into PCRE2's.
///
/// Their Unicode classes differ (`\s` of PCRE2 holds U+180E, `\w` lacks marks), Ruby's `(?m)` is `(?s)`, and a class
/// may hold another (`[a[bc]]`). What has no counterpart is refused: intersections `[a&&b]` and negated inner classes.
struct OnigurumaSyntax {
  private static let space = #"\p{Z}\t-\r\x{85}"#
  /// Letters, marks, digits, connectors: the Alphabetic property and the rest of UTS 18's `\w`.
  private static let word =
    #"\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}"#
  private static let hexadecimal = "0-9A-Fa-f"

  private let source: [UInt8]
  private var place = 0
  private var result: [UInt8] = []

  /// The bytes of an equal PCRE2 expression. Throws `.token`.
  static func pcre(_ source: String) throws -> [UInt8] {
    var syntax = OnigurumaSyntax(source: Array(source.utf8))
    try syntax.translate()
    return syntax.result
  }

  private init(source: [UInt8]) {
    self.source = source
    result.reserveCapacity(source.count * 2)
  }

  private func byte(_ offset: Int) -> Character? {
    place + offset < source.count ? Character(UnicodeScalar(source[place + offset])) : nil
  }

  private mutating func copy(_ count: Int) {
    result += source[place..<min(source.count, place + count)]
    place = min(source.count, place + count)
  }

  private mutating func replace(_ count: Int, _ text: String) {
    result += text.utf8
    place += count
  }

  private mutating func translate() throws {
    while let next = byte(0) {
      switch next {
      case "\\": translateEscape(inClass: false)
      case "[": try translateClass()
      case "(" where byte(1) == "?": translateFlags()
      case "{" where byte(1) == ",": replace(2, "{0,")
      default: copy(1)
      }
    }
  }

  private mutating func translateEscape(inClass: Bool) {
    func members(_ list: String, negated: Bool = false) -> String {
      inClass ? list : (negated ? "[^" : "[") + list + "]"
    }
    switch byte(1) {
    case "s": replace(2, members(Self.space))
    case "w": replace(2, members(Self.word))
    case "h": replace(2, members(Self.hexadecimal))
    case "S" where !inClass: replace(2, members(Self.space, negated: true))
    case "W" where !inClass: replace(2, members(Self.word, negated: true))
    case "H" where !inClass: replace(2, members(Self.hexadecimal, negated: true))
    case "u":
      let digits = source[place...].dropFirst(2).prefix(4)
      replace(2 + digits.count, "\\x{" + String(decoding: digits, as: UTF8.self) + "}")
    default: copy(2)
    }
  }

  /// `(?im-x:` with Ruby's letters.
  private mutating func translateFlags() {
    copy(2)
    var end = place
    while end < source.count, "imx-".utf8.contains(source[end]) { end += 1 }
    guard end > place, end < source.count, source[end] == UInt8(ascii: ":") || source[end] == UInt8(ascii: ")") else {
      return
    }
    result += source[place..<end].map { $0 == UInt8(ascii: "m") ? UInt8(ascii: "s") : $0 }
    place = end
  }

  private mutating func translateClass() throws {
    copy(1)
    if byte(0) == "^" { copy(1) }
    if byte(0) == "]" { replace(1, #"\]"#) }
    var depth = 1
    while depth > 0 {
      switch byte(0) {
      case nil: throw EngineError(.token, "splitting pattern: a character class has no end")
      case "\\": translateEscape(inClass: true)
      case "[" where byte(1) == ":":
        while let next = byte(0), next != "]" { copy(1) }
        copy(1)
      case "[" where byte(1) == "^":
        throw EngineError(.token, "splitting pattern: a negated class inside a character class is not supported")
      case "[":
        depth += 1
        place += 1
      case "&" where byte(1) == "&":
        throw EngineError(.token, "splitting pattern: an intersection of character classes (&&) is not supported")
      case "]":
        depth -= 1
        if depth == 0 { copy(1) } else { place += 1 }
      default: copy(1)
      }
    }
  }
}
