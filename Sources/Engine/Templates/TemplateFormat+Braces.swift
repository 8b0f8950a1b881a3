extension TemplateRun {
  /// Python's `format.format(arguments)`: `{}`, `{0}`, `{name.member[key]!r:>8}`.
  func braceFormat(_ format: TemplateText, _ arguments: TemplateArguments) throws -> TemplateValue {
    var counter: Int? = 0
    return try text(braceFormat(format, arguments, &counter, level: 0))
  }

  /// `counter`: the next argument of `{}`; nil once `{0}` was used.
  private func braceFormat(
    _ format: TemplateText, _ arguments: TemplateArguments, _ counter: inout Int?, level: Int
  ) throws -> TemplateText {
    guard level < 3 else { throw TemplateFailure("Max string recursion exceeded") }
    let bytes = format.bytes
    let open = UInt8(ascii: "{")
    let close = UInt8(ascii: "}")
    var result = TemplateText()
    var place = 0
    while place < bytes.count {
      try step()
      try checkLength(result.bytes.count)
      let start = place
      while place < bytes.count, bytes[place] != open, bytes[place] != close { place += 1 }
      result.append(format.slice(start..<place))
      guard place < bytes.count else { break }
      if place + 1 < bytes.count, bytes[place + 1] == bytes[place] {
        result.append(format.slice(place..<place + 1))
        place += 2
        continue
      }
      guard bytes[place] == open else { throw TemplateFailure("Single '}' encountered in format string") }
      var depth = 1
      var end = place + 1
      while end < bytes.count {
        if bytes[end] == open { depth += 1 }
        if bytes[end] == close { depth -= 1 }
        if depth == 0 { break }
        end += 1
      }
      guard depth == 0 else {
        throw TemplateFailure(
          place + 1 == bytes.count ? "Single '{' encountered in format string" : "expected '}' before end of string")
      }
      result.append(try field(format.slice(place + 1..<end), arguments, &counter, level: level))
      place = end + 1
    }
    return result
  }

  private func field(
    _ field: TemplateText, _ arguments: TemplateArguments, _ counter: inout Int?, level: Int
  ) throws -> TemplateText {
    let bytes = field.bytes
    var depth = 0
    let nameEnd =
      bytes.firstIndex { byte in
        if byte == UInt8(ascii: "[") { depth += 1 }
        if byte == UInt8(ascii: "]") { depth -= 1 }
        return depth == 0 && (byte == UInt8(ascii: "!") || byte == UInt8(ascii: ":"))
      } ?? bytes.count
    var rest = nameEnd
    var conversion: UInt8?
    if rest < bytes.count, bytes[rest] == UInt8(ascii: "!") {
      guard rest + 1 < bytes.count else {
        throw TemplateFailure("end of string while looking for conversion specifier")
      }
      conversion = bytes[rest + 1]
      rest += 2
      guard rest == bytes.count || bytes[rest] == UInt8(ascii: ":") else {
        throw TemplateFailure("expected ':' after conversion specifier")
      }
    }
    var value = try fieldValue(field.slice(0..<nameEnd).string, arguments, &counter)
    switch conversion {
    case nil: break
    case UInt8(ascii: "s"): value = .text(try string(value))
    case UInt8(ascii: "r"), UInt8(ascii: "a"): value = .text(try representation(value))
    default: throw TemplateFailure("Unknown conversion specifier")
    }
    let specification = rest < bytes.count ? field.slice(rest + 1..<bytes.count) : TemplateText()
    return try formatted(value, braceFormat(specification, arguments, &counter, level: level + 1).string)
  }

  private func fieldValue(
    _ name: String, _ arguments: TemplateArguments, _ counter: inout Int?
  ) throws -> TemplateValue {
    let first = name.prefix { $0 != "." && $0 != "[" }
    var value: TemplateValue
    if first.isEmpty || first.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      let place: Int
      if first.isEmpty {
        guard let next = counter else {
          throw TemplateFailure("cannot switch from manual field specification to automatic field numbering")
        }
        place = next
        counter = next + 1
      } else {
        guard counter ?? 0 == 0 else {
          throw TemplateFailure("cannot switch from manual field specification to automatic field numbering")
        }
        place = Int(first) ?? Int.max
        counter = nil
      }
      guard place < arguments.positional.count else {
        throw TemplateFailure("Replacement index \(place) out of range for positional args tuple")
      }
      value = arguments.positional[place]
    } else {
      guard let given = arguments.named.first(where: { $0.name == first }) else { throw TemplateFailure("'\(first)'") }
      value = given.value
    }
    var path = name.dropFirst(first.count)
    while let mark = path.first {
      try step()
      path.removeFirst()
      if mark == "." {
        let member = path.prefix { $0 != "." && $0 != "[" }
        value = try attribute(String(member), of: value)
        path = path.dropFirst(member.count)
      } else {
        let key = path.prefix { $0 != "]" }
        guard mark == "[", key.count < path.count else { throw TemplateFailure("Missing ']' in format string") }
        value = try item(Int(key).map { .integer($0) } ?? .text(String(key)), of: value)
        path = path.dropFirst(key.count + 1)
      }
    }
    return value
  }

  /// Python's `format(value, specification)`.
  private func formatted(_ value: TemplateValue, _ specification: String) throws -> TemplateText {
    guard !specification.isEmpty else { return try string(value) }
    let format = try readSpecification(specification)
    switch value {
    case .text(let text):
      guard format.kind == nil || format.kind == "s", format.alignment != "=" else {
        throw TemplateFailure("Unknown format code '\(format.kind ?? "=")' for object of type 'str'")
      }
      return try laidOut(cut(text, format.precision), format, isNumber: false)
    case .bool where format.kind == nil:
      return try laidOut(string(value), format, isNumber: false)
    case .integer, .float, .bool:
      return try laidOut(TemplateText(digits(value, format)), format, isNumber: true)
    case .undefined(let message): throw TemplateFailure(message)
    default: throw TemplateFailure("unsupported format string passed to \(value.typeName).__format__")
    }
  }

  /// `[[fill]align][sign][#][0][width][,][.precision][kind]`.
  private func readSpecification(_ text: String) throws -> TemplateFormat {
    var format = TemplateFormat()
    var rest = Array(text.unicodeScalars.map(Character.init))[...]
    if rest.count > 1, "<>^=".contains(rest[rest.startIndex + 1]) {
      format.fill = TemplateText(String(rest.removeFirst()))
      format.alignment = rest.removeFirst()
    } else if let first = rest.first, "<>^=".contains(first) {
      format.alignment = rest.removeFirst()
    }
    if let first = rest.first, "+- ".contains(first) { format.sign = rest.removeFirst() }
    if rest.first == "#" {
      format.isAlternate = true
      rest.removeFirst()
    }
    if rest.first == "0" {
      rest.removeFirst()
      if format.alignment == nil { (format.fill, format.alignment) = (TemplateText("0"), "=") }
    }
    func number() throws -> Int? {
      var value: Int?
      while let digit = rest.first?.wholeNumberValue {
        value = (value ?? 0) * 10 + digit
        guard value ?? 0 <= TemplateFormat.widest else {
          throw TemplateFailure("Too many decimal digits in format string")
        }
        rest.removeFirst()
      }
      return value
    }
    format.width = try number() ?? 0
    if let first = rest.first, ",_".contains(first) { format.groupsThousands = rest.removeFirst() }
    if rest.first == "." {
      rest.removeFirst()
      guard let precision = try number() else { throw TemplateFailure("Format specifier missing precision") }
      format.precision = precision
    }
    format.kind = rest.popFirst()
    guard rest.isEmpty, format.kind.map({ "bcdeEfFgGnosxX%".contains($0) }) ?? true else {
      throw TemplateFailure("Invalid format specifier")
    }
    return format
  }
}
