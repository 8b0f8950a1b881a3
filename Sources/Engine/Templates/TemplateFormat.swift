import Foundation

/// How a number or string is laid out: what `%05.2f` and `{:>8}` say.
struct TemplateFormat {
  /// More is refused: it would be white space.
  static let widest = 1 << 20

  var fill = TemplateText(" ")
  /// `<`, `>`, `^`, `=`; nil takes the kind's own.
  var alignment: Character?
  var sign: Character = "-"
  var isAlternate = false
  var groupsThousands: Character?
  var width = 0
  var precision: Int?
  var kind: Character?
}

/// `value` in C's notation `f`, `e` or `g`, without width.
func numberText(_ value: Double, _ kind: Character, precision: Int, isAlternate: Bool = false) -> String {
  guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
  let text = String(format: "%\(isAlternate ? "#" : "").\(min(precision, 400))\(kind)", value)
  return text
}

extension TemplateRun {
  /// `text` laid out by `format`; `isNumber` puts it to the right.
  func laidOut(_ text: TemplateText, _ format: TemplateFormat, isNumber: Bool) throws -> TemplateText {
    let missing = format.width - min(format.width, text.count)
    guard missing > 0 else { return text }
    try charge(missing * format.fill.bytes.count)
    func filling(_ count: Int) -> [UInt8] { (0..<count).flatMap { _ in format.fill.bytes } }
    let alignment = format.alignment ?? (isNumber ? ">" : "<")
    var result = TemplateText()
    var text = text
    var before = alignment == "<" ? 0 : alignment == "^" ? missing / 2 : missing
    if alignment == "=", let first = text.bytes.first, [0x2B, 0x2D, 0x20].contains(first) {
      result = text.slice(0..<1)
      text = text.slice(1..<text.bytes.count)
    }
    if alignment == "=" { before = missing }
    result.append(bytes: filling(before))
    result.append(text)
    result.append(bytes: filling(missing - before))
    return result
  }

  /// Digits of a number with its sign, as `format` asks.
  func digits(_ value: TemplateValue, _ format: TemplateFormat) throws -> String {
    let kind = format.kind ?? (value.index == nil ? "r" : "d")
    var text: String
    switch kind {
    case "d", "i", "u", "x", "X", "o", "b", "n":
      guard let whole = value.index else {
        throw TemplateFailure("Unknown format code '\(kind)' for object of type '\(value.typeName)'")
      }
      let radix = kind == "x" || kind == "X" ? 16 : kind == "o" ? 8 : kind == "b" ? 2 : 10
      let body = String(whole.magnitude, radix: radix, uppercase: kind == "X")
      let mark = format.isAlternate && radix != 10 ? "0\(kind)" : ""
      text = (whole < 0 ? "-" : "") + mark + body
    case "e", "E", "f", "F", "g", "G", "%":
      guard let number = value.number else { throw TemplateFailure("a number is needed, not \(value.typeName)") }
      let isPercent = kind == "%"
      text = numberText(
        isPercent ? number * 100 : number, isPercent ? "f" : kind, precision: format.precision ?? 6,
        isAlternate: format.isAlternate)
      if isPercent { text += "%" }
    default:
      guard let number = value.number else { throw TemplateFailure("a number is needed, not \(value.typeName)") }
      guard let precision = format.precision else {
        text = pythonText(number)
        break
      }
      text = numberText(number, "g", precision: max(1, precision))
      if !text.contains(where: { ".en".contains($0) }) { text += ".0" }
    }
    if let separator = format.groupsThousands { text = grouped(text, separator) }
    if format.sign != "-", !text.hasPrefix("-") { text = "\(format.sign)" + text }
    return text
  }

  /// `1234567.5` as `1,234,567.5`.
  private func grouped(_ text: String, _ separator: Character) -> String {
    let sign = text.hasPrefix("-") ? "-" : ""
    let whole = text.dropFirst(sign.count).prefix(while: \.isNumber)
    let rest = text.dropFirst(sign.count + whole.count)
    var result = ""
    for (place, digit) in whole.enumerated() {
      if place > 0, (whole.count - place) % 3 == 0 { result.append(separator) }
      result.append(digit)
    }
    return sign + result + rest
  }

  // MARK: printf

  /// Python's `format % values`.
  func percentFormat(_ format: TemplateText, _ values: TemplateValue) throws -> TemplateValue {
    var arguments: [TemplateValue] = [values]
    var mapping: TemplateMapping?
    if case .tuple(let list) = values { arguments = list.items }
    if case .mapping(let named) = values { mapping = named }
    var result = TemplateText()
    var place = 0
    var used = 0
    var usedNames = false
    func take() throws -> TemplateValue {
      guard used < arguments.count else { throw TemplateFailure("not enough arguments for format string") }
      used += 1
      return arguments[used - 1]
    }
    let bytes = format.bytes
    while place < bytes.count {
      try step()
      try checkLength(result.bytes.count)
      let start = place
      while place < bytes.count, bytes[place] != UInt8(ascii: "%") { place += 1 }
      result.append(format.slice(start..<place))
      guard place < bytes.count else { break }
      place += 1
      var directive = TemplateFormat()
      var value: TemplateValue?
      if place < bytes.count, bytes[place] == UInt8(ascii: "(") {
        let end = bytes[place...].firstIndex(of: UInt8(ascii: ")")) ?? bytes.count
        guard end < bytes.count else { throw TemplateFailure("incomplete format key") }
        guard let mapping else { throw TemplateFailure("format requires a mapping") }
        let name = String(decoding: bytes[place + 1..<end], as: UTF8.self)
        guard let item = mapping[name] else { throw TemplateFailure("'\(name)'") }
        (value, usedNames, place) = (item, true, end + 1)
      }
      let letter = try readDirective(bytes, &place, &directive, take)
      if letter == "%" {
        result.append("%")
      } else {
        result.append(try converted(value ?? take(), letter, directive))
      }
    }
    guard used == arguments.count || mapping != nil || usedNames || (arguments.count == 1 && isLenient(values)) else {
      throw TemplateFailure("not all arguments converted during string formatting")
    }
    return try text(result)
  }

  /// Values with subscripts may stay unused, as in Python.
  private func isLenient(_ value: TemplateValue) -> Bool {
    switch value {
    case .list, .range, .undefined: true
    default: false
    }
  }

  /// Flags, width, precision and the letter of a directive.
  private func readDirective(
    _ bytes: [UInt8], _ place: inout Int, _ format: inout TemplateFormat, _ take: () throws -> TemplateValue
  ) throws -> Character {
    var isZeroFilled = false
    func peek() -> Character? { place < bytes.count ? Character(Unicode.Scalar(bytes[place])) : nil }
    while let flag = peek(), "-+ #0".contains(flag) {
      switch flag {
      case "-": format.alignment = "<"
      case "+": format.sign = "+"
      case " ": if format.sign != "+" { format.sign = " " }
      case "#": format.isAlternate = true
      default: isZeroFilled = true
      }
      place += 1
    }
    func number() throws -> Int {
      if peek() == "*" {
        place += 1
        let width = try integer(take(), "width", fallback: 0)
        guard abs(width.clamped) <= TemplateFormat.widest else { throw TemplateFailure("width too big") }
        return width
      }
      var value = 0
      while let digit = peek()?.wholeNumberValue {
        value = value * 10 + digit
        guard value <= TemplateFormat.widest else { throw TemplateFailure("width too big") }
        place += 1
      }
      return value
    }
    format.width = try number()
    if format.width < 0 { (format.alignment, format.width) = ("<", -format.width) }
    if peek() == "." {
      place += 1
      format.precision = max(0, try number())
    }
    while let letter = peek(), "hlL".contains(letter) { place += 1 }
    guard let letter = peek() else { throw TemplateFailure("incomplete format") }
    place += 1
    if isZeroFilled, format.alignment == nil, "diuoxXeEfFgG".contains(letter) {
      (format.fill, format.alignment) = (TemplateText("0"), "=")
    }
    return letter
  }

  private func converted(_ value: TemplateValue, _ letter: Character, _ format: TemplateFormat) throws -> TemplateText {
    var format = format
    switch letter {
    case "s", "r", "a":
      format.alignment = format.alignment ?? ">"
      let text = try letter == "s" ? string(value) : representation(value)
      return try laidOut(cut(text, format.precision), format, isNumber: false)
    case "c":
      if case .text(let text) = value, text.count == 1 { return try laidOut(text, format, isNumber: true) }
      guard let code = value.index.flatMap({ UInt32(exactly: $0) }), let scalar = Unicode.Scalar(code) else {
        throw TemplateFailure("%c requires int or char")
      }
      return try laidOut(TemplateText(String(Character(scalar))), format, isNumber: true)
    case "d", "i", "u", "x", "X", "o", "e", "E", "f", "F", "g", "G":
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard let number = value.number else {
        throw TemplateFailure("%\(letter) format: a real number is required, not \(value.typeName)")
      }
      var value = value
      if "diu".contains(letter), value.index == nil {
        guard let whole = Int(exactly: number.rounded(.towardZero)) else {
          throw TemplateFailure("an integer is beyond 64 bits")
        }
        value = .integer(whole)
      }
      format.kind = letter
      var text = try digits(value, format)
      if value.index != nil, "diuxXo".contains(letter), let precision = format.precision {
        let sign = text.prefix { "+- ".contains($0) }
        let body = text.dropFirst(sign.count)
        text = sign + String(repeating: "0", count: max(0, precision - body.count)) + body
      }
      return try laidOut(TemplateText(text), format, isNumber: true)
    default: throw TemplateFailure("unsupported format character '\(letter)'")
    }
  }

  /// The first `precision` characters.
  func cut(_ text: TemplateText, _ precision: Int?) -> TemplateText {
    guard let precision, precision < text.count else { return text }
    return text.slice(0..<text.characterOffsets[precision])
  }
}

extension Int {
  /// Without the one number whose magnitude is no `Int`.
  fileprivate var clamped: Int { Swift.max(self, -Int.max) }
}
