extension TemplateRun {
  /// A method of a string.
  func call(_ name: String, of text: TemplateText, _ arguments: TemplateArguments) throws -> TemplateValue {
    try step(text.bytes.count / 64)
    switch name {
    case "format": return try braceFormat(text, arguments)
    case "split", "rsplit":
      let bound = try arguments.bound(name, ["sep", "maxsplit"])
      return try split(text, bound[0] ?? .none, bound[1], fromRight: name == "rsplit")
    case "splitlines":
      try stepOver(text)
      let keepsEnds = try flag(arguments.bound(name, ["keepends"])[0])
      return try list(pieces(text.lines(keepingEnds: keepsEnds)))
    case "expandtabs":
      let size = try integer(arguments.bound(name, ["tabsize"])[0], name, fallback: 8)
      return try expandedTabs(text, size)
    default: break
    }
    guard arguments.named.isEmpty else { throw TemplateFailure("str.\(name)() takes no keyword arguments") }
    let values = arguments.positional
    switch name {
    case "strip", "lstrip", "rstrip":
      let bound = try arguments.bound(name, ["chars"])
      return try stripped(text, bound[0] ?? .none, left: name != "rstrip", right: name != "lstrip")
    case "startswith", "endswith": return .bool(try hasEnd(text, name, arguments))
    case "find", "rfind", "index", "rindex", "count": return try search(text, name, arguments)
    case "replace":
      let bound = try arguments.bound(name, ["old", "new", "count"], required: 2)
      let count = try integer(bound[2], name, fallback: -1)
      return try replaced(text, argument(bound[0], name), argument(bound[1], name), count: count)
    case "removeprefix", "removesuffix":
      let part = try argument(arguments.bound(name, ["part"], required: 1)[0], name).bytes
      if name == "removeprefix" {
        return try self.text(text.bytes.starts(with: part) ? text.slice(part.count..<text.bytes.count) : text)
      }
      let isThere = text.bytes.count >= part.count && text.bytes.suffix(part.count).elementsEqual(part)
      return try self.text(isThere ? text.slice(0..<text.bytes.count - part.count) : text)
    case "join":
      let parts = try items(of: try arguments.bound(name, ["iterable"], required: 1)[0] ?? .none)
      return try joined(
        parts.enumerated().map { place, part in
          guard case .text(let part) = part else {
            throw TemplateFailure("sequence item \(place): expected str instance, \(part.typeName) found")
          }
          return part
        }, text)
    case "partition", "rpartition":
      let separator = try argument(arguments.bound(name, ["sep"], required: 1)[0], name)
      return try partitioned(text, separator, fromRight: name == "rpartition")
    case "center", "ljust", "rjust":
      let bound = try arguments.bound(name, ["width", "fillchar"], required: 1)
      return try padded(
        text, integer(bound[0], name, fallback: 0),
        fill: try bound[1].map { try argument($0, name) } ?? TemplateText(" "),
        name == "center" ? .center : name == "ljust" ? .left : .right)
    case "zfill":
      let width = try integer(arguments.bound(name, ["width"], required: 1)[0], name, fallback: 0)
      let signs: [UInt8] = [UInt8(ascii: "-"), UInt8(ascii: "+")]
      let sign = text.bytes.first.map(signs.contains) ?? false ? 1 : 0
      let digits = text.slice(sign..<text.bytes.count)
      var result = text.slice(0..<sign)
      guard
        case .text(let filled) = try padded(digits, width > sign ? width - sign : 0, fill: TemplateText("0"), .right)
      else { return .none }
      result.append(filled)
      return try self.text(result)
    default:
      guard values.isEmpty else { throw TemplateFailure("str.\(name)() takes no arguments (\(values.count) given)") }
      return try plain(name, of: text)
    }
  }

  /// Methods without arguments.
  private func plain(_ name: String, of text: TemplateText) throws -> TemplateValue {
    // Properties of characters are slow to look up.
    try step(name.hasPrefix("is") ? text.bytes.count / 2 : text.bytes.count / 8)
    switch name {
    case "upper": return try self.text(text.uppercased)
    case "lower", "casefold": return try self.text(text.lowercased)
    case "title": return try self.text(text.titled)
    case "capitalize": return try self.text(text.capitalized)
    case "swapcase": return try self.text(text.swappedCase)
    case "isalpha": return .bool(text.allCharacters(\.isLetter))
    case "isalnum": return .bool(text.allCharacters(\.isAlphanumeric))
    case "isdigit": return .bool(text.allCharacters(\.isDigit))
    case "isdecimal": return .bool(text.allCharacters(\.isDecimal))
    case "isnumeric": return .bool(text.allCharacters(\.isNumeric))
    case "isspace": return .bool(text.isSpace)
    case "isupper": return .bool(text.isAll(upper: true))
    case "islower": return .bool(text.isAll(upper: false))
    case "istitle": return .bool(text.isTitle)
    case "isascii": return .bool(text.isASCII)
    default: throw TemplateFailure("the string method '\(name)' is not known")
    }
  }

  /// An argument that must be a string.
  private func argument(_ value: TemplateValue?, _ name: String) throws -> TemplateText {
    switch value {
    case .text(let text)?: return text
    case .undefined(let message)?: throw TemplateFailure(message)
    default: throw TemplateFailure("\(name)() argument must be str, not \(value?.typeName ?? "NoneType")")
    }
  }

  private func pieces(_ pieces: [TemplateText]) throws -> [TemplateValue] {
    try step(pieces.count)
    return try pieces.map { try text($0) }
  }

  private func split(
    _ text: TemplateText, _ separator: TemplateValue, _ limit: TemplateValue?, fromRight: Bool
  ) throws -> TemplateValue {
    let limit = try integer(limit, "split", fallback: -1)
    if separator.isNone {
      try stepOver(text)
      return try list(pieces(text.splitAtWhiteSpace(limit: limit, fromRight: fromRight)))
    }
    let separator = try argument(separator, "split")
    guard !separator.isEmpty else { throw TemplateFailure("empty separator") }
    return try list(pieces(text.split(separator, limit: limit, fromRight: fromRight)))
  }

  private func partitioned(_ text: TemplateText, _ separator: TemplateText, fromRight: Bool) throws -> TemplateValue {
    guard !separator.isEmpty else { throw TemplateFailure("empty separator") }
    let search = TextSearch(separator.bytes)
    let whole = 0..<text.bytes.count
    guard let start = fromRight ? search.last(in: text.bytes, whole) : search.first(in: text.bytes, whole) else {
      let empty = TemplateText()
      return .tuple(try items(pieces(fromRight ? [empty, empty, text] : [text, empty, empty])))
    }
    let end = start + separator.bytes.count
    return .tuple(
      try items(pieces([text.slice(0..<start), text.slice(start..<end), text.slice(end..<text.bytes.count)])))
  }

  /// Bounds in characters, as byte offsets; nil where the first is beyond the text or the second.
  private func byteRange(
    _ text: TemplateText, _ start: TemplateValue?, _ stop: TemplateValue?
  ) throws -> Range<Int>? {
    if start == nil, stop == nil { return 0..<text.bytes.count }
    let offsets = text.characterOffsets
    let count = offsets.count - 1
    if let start, let index = start.index, index > count { return nil }
    let first = try clamped(start, count, fallback: 0)
    let last = try clamped(stop, count, fallback: count)
    return first <= last ? offsets[first]..<offsets[last] : nil
  }

  private func hasEnd(_ text: TemplateText, _ name: String, _ arguments: TemplateArguments) throws -> Bool {
    let bound = try arguments.bound(name, ["part", "start", "end"], required: 1)
    guard let range = try byteRange(text, bound[1], bound[2]) else { return false }
    let bytes = text.bytes[range]
    func matches(_ part: TemplateValue) throws -> Bool {
      guard case .text(let part) = part else {
        if case .undefined(let message) = part { throw TemplateFailure(message) }
        throw TemplateFailure("\(name) first arg must be str or a tuple of str, not \(part.typeName)")
      }
      try step(part.bytes.count / 64)
      if name == "startswith" { return bytes.starts(with: part.bytes) }
      return bytes.count >= part.bytes.count && bytes.suffix(part.bytes.count).elementsEqual(part.bytes)
    }
    if case .tuple(let parts)? = bound[0] { return try parts.items.contains(where: matches) }
    return try matches(bound[0] ?? .none)
  }

  private func search(_ text: TemplateText, _ name: String, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound(name, ["sub", "start", "end"], required: 1)
    let part = try argument(bound[0], name)
    let range = try byteRange(text, bound[1], bound[2])
    if name == "count" {
      guard let range else { return .integer(0) }
      if part.isEmpty { return .integer(text.slice(range).count + 1) }
      return .integer(TextSearch(part.bytes).all(in: text.bytes, range).count)
    }
    var found: Int?
    if let range {
      if part.isEmpty {
        found = name.hasPrefix("r") ? range.upperBound : range.lowerBound
      } else {
        let search = TextSearch(part.bytes)
        found = name.hasPrefix("r") ? search.last(in: text.bytes, range) : search.first(in: text.bytes, range)
      }
    }
    if let found { return .integer(text.isASCII ? found : text.slice(0..<found).count) }
    guard name.hasSuffix("find") else { throw TemplateFailure("substring not found") }
    return .integer(-1)
  }

  private func expandedTabs(_ text: TemplateText, _ size: Int) throws -> TemplateValue {
    try checkLength(size)
    try stepOver(text)
    let tabs = text.bytes.count { $0 == 0x09 }
    try checkLength(text.bytes.count + max(0, size) * tabs)
    try charge(max(0, size) * tabs)
    var column = 0
    return try self.text(
      text.mapped { bytes, output in
        for code in TemplateText(bytes).codes {
          guard code == 0x09 else {
            output.append(code: code)
            column = code == 0x0A || code == 0x0D ? 0 : column + 1
            continue
          }
          let width = size > 0 ? size - column % size : 0
          output += [UInt8](repeating: 0x20, count: width)
          column += width
        }
      })
  }
}
