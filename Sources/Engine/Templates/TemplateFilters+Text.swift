extension TemplateRun {
  /// Filters that make strings of what they are given.
  static let textFilters: [String: Filter] = {
    @Sendable func simple(_ transform: @escaping @Sendable (TemplateText) -> TemplateText) -> Filter {
      { run, value, _ in
        let text = try run.string(value)
        try run.stepOver(text)
        return try run.text(transform(text))
      }
    }
    func marked(_ transform: @escaping @Sendable (TemplateText) -> TemplateText) -> Filter {
      { run, value, arguments in
        guard case .text(var text) = try simple(transform)(run, value, arguments) else { return .none }
        text.isMarkup = true
        return .text(text)
      }
    }
    // What is marked as safe is not escaped again.
    let escape: Filter = marked { $0.isMarkup ? $0 : $0.escapedForHTML }
    return [
      "upper": simple(\.uppercased), "lower": simple(\.lowercased), "title": simple(\.wordsTitled),
      "capitalize": simple(\.capitalized),
      "safe": marked { $0 }, "escape": escape, "e": escape, "forceescape": marked(\.escapedForHTML),
      "trim": { run, value, arguments in
        let chars = try arguments.bound("trim", ["chars"])[0] ?? .none
        return try run.stripped(run.string(value), chars)
      },
      "replace": { run, value, arguments in
        let bound = try arguments.bound("replace", ["old", "new", "count"], required: 2)
        var count = -1
        if let limit = bound[2], !limit.isNone { count = try run.integer(limit, "replace", fallback: -1) }
        return try run.replaced(
          run.string(value), run.string(bound[0] ?? .none), run.string(bound[1] ?? .none), count: count)
      },
      "indent": { run, value, arguments in try run.indented(value, arguments) },
      "wordcount": { run, value, _ in
        let text = try run.string(value)
        try run.step(text.bytes.count / 2)
        return .integer(text.wordCount)
      },
      "format": { run, value, arguments in
        let format = try run.string(value)
        if arguments.named.isEmpty { return try run.percentFormat(format, .tuple(run.items(arguments.positional))) }
        guard arguments.positional.isEmpty else {
          throw TemplateFailure("can't handle positional and keyword arguments at the same time")
        }
        var mapping = TemplateMapping()
        for (name, value) in arguments.named { mapping.set(name, value) }
        return try run.percentFormat(format, .mapping(mapping))
      },
      "truncate": { run, value, arguments in try run.truncated(value, arguments) },
      "center": { run, value, arguments in
        let width = try run.integer(arguments.bound("center", ["width"])[0], "center", fallback: 80)
        return try run.padded(run.string(value), width, fill: TemplateText(" "), .center)
      },
    ]
  }()

  /// Python's `strip` with the characters of `chars`, or white space.
  func stripped(
    _ text: TemplateText, _ chars: TemplateValue, left: Bool = true, right: Bool = true
  ) throws -> TemplateValue {
    try step(text.bytes.count / 64)
    switch chars {
    case .none: return try self.text(text.slice(text.trimmedRange(left: left, right: right)))
    case .text(let chars):
      let cut = Set(chars.codes)
      return try self.text(text.slice(text.trimmedRange(left: left, right: right) { cut.contains($0) }))
    default: throw TemplateFailure("strip arg must be None or str")
    }
  }

  /// Python's `replace`; `count` below zero replaces all.
  func replaced(_ text: TemplateText, _ old: TemplateText, _ new: TemplateText, count: Int) throws -> TemplateValue {
    try step((text.bytes.count + old.bytes.count) / 64)
    let limit = count < 0 ? Int.max : count
    guard limit > 0 else { return .text(text) }
    let gaps: [Range<Int>]
    if old.isEmpty {
      gaps = text.characterOffsets.prefix(limit).map { $0..<$0 }
    } else {
      gaps = TextSearch(old.bytes).all(in: text.bytes, 0..<text.bytes.count, limit: limit)
        .map { $0..<$0 + old.bytes.count }
    }
    guard !gaps.isEmpty else { return .text(text) }
    return try joined(text.pieces(between: gaps), new)
  }

  func joined(_ parts: [TemplateText], _ separator: TemplateText) throws -> TemplateValue {
    let (gaps, overflow) = separator.bytes.count.multipliedReportingOverflow(by: max(0, parts.count - 1))
    try checkLength(overflow ? .max : parts.reduce(gaps) { $0 &+ $1.bytes.count })
    try step(parts.count)
    var result = TemplateText()
    for (place, part) in parts.enumerated() {
      if place > 0 { result.append(separator) }
      result.append(part)
    }
    return try text(result)
  }

  private func indented(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("indent", ["width", "first", "blank"])
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    guard case .text(var source) = value else {
      throw TemplateFailure("unsupported operand type(s) for +=: '\(value.typeName)' and 'str'")
    }
    var indent = TemplateText("    ")
    if case .text(let text)? = bound[0] {
      indent = text
    } else if let width = bound[0] {
      let width = max(0, try integer(width, "indent", fallback: 4))
      try checkLength(width)
      indent = TemplateText(String(repeating: " ", count: width))
    }
    source.append("\n")
    try stepOver(source)
    let lines = source.lines()
    try checkLength((indent.bytes.count + 1) * lines.count + source.bytes.count)
    try charge(indent.bytes.count * lines.count)
    let indentsBlank = try flag(bound[2])
    var result = try flag(bound[1]) ? indent : TemplateText()
    for (place, line) in lines.enumerated() {
      if place > 0 {
        result.append("\n")
        if indentsBlank || !line.isEmpty { result.append(indent) }
      }
      result.append(line)
    }
    return try text(result)
  }

  private func truncated(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("truncate", ["length", "killwords", "end", "leeway"])
    let end = try bound[2].map(string) ?? TemplateText("...")
    let length = try integer(bound[0], "truncate", fallback: 255)
    let leeway = try integer(bound[3], "truncate", fallback: 5)
    guard length >= end.count, leeway >= 0 else { throw TemplateFailure("truncate: expected length >= \(end.count)") }
    guard try self.length(of: value) - leeway > length else { return value }
    let source = try string(value)
    var kept = source.slice(0..<source.characterOffsets[length - end.count])
    if try !flag(bound[1]), let space = kept.bytes.lastIndex(of: 0x20) { kept = kept.slice(0..<space) }
    kept.append(end)
    return try text(kept)
  }

  enum Alignment {
    case left, right, center
  }

  /// `text` filled up to `width` characters.
  func padded(
    _ text: TemplateText, _ width: Int, fill: TemplateText, _ alignment: Alignment
  ) throws -> TemplateValue {
    guard fill.count == 1 else { throw TemplateFailure("The fill character must be exactly one character long") }
    let missing = width - min(width, text.count)
    try checkLength(missing)
    try charge(missing * fill.bytes.count)
    guard missing > 0 else { return .text(text) }
    // Python's `center` puts the odd one left where the width is odd.
    let before = alignment == .left ? 0 : alignment == .right ? missing : missing / 2 + (missing & width & 1)
    var result = TemplateText(bytes: (0..<before).flatMap { _ in fill.bytes })
    result.append(text)
    result.append(bytes: (before..<missing).flatMap { _ in fill.bytes })
    return try self.text(result)
  }
}

extension TemplateText {
  /// Runs of letters, digits and underscores.
  fileprivate var wordCount: Int {
    var count = 0
    var isInWord = false
    for code in codes {
      let isPart = code == 0x5F || Unicode.Scalar(code)?.properties.isAlphanumeric ?? false
      if isPart, !isInWord { count += 1 }
      isInWord = isPart
    }
    return count
  }

  var escapedForHTML: TemplateText {
    mapped { bytes, output in
      for byte in bytes {
        switch byte {
        case UInt8(ascii: "&"): output += Array("&amp;".utf8)
        case UInt8(ascii: "<"): output += Array("&lt;".utf8)
        case UInt8(ascii: ">"): output += Array("&gt;".utf8)
        case UInt8(ascii: "'"): output += Array("&#39;".utf8)
        case UInt8(ascii: "\""): output += Array("&#34;".utf8)
        default: output.append(byte)
        }
      }
    }
  }
}
