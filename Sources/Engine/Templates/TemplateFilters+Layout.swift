/// Filters that lay text out in lines: `wordwrap` (Python's `textwrap`) and `pprint`.
extension TemplateRun {
  static let layoutFilters: [String: Filter] = [
    "wordwrap": { run, value, arguments in
      let bound = try arguments.bound(
        "wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"])
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard case .text(let source) = value else {
        throw TemplateFailure("'\(value.typeName)' object has no attribute 'splitlines'")
      }
      var wrap = TextWrap(width: try run.integer(bound[0], "wordwrap", fallback: 79))
      guard wrap.width > 0 else { throw TemplateFailure("invalid width \(wrap.width) (must be > 0)") }
      wrap.breaksLongWords = try bound[1].map(run.isTrue) ?? true
      wrap.breaksOnHyphens = try bound[3].map(run.isTrue) ?? true
      var separator = TemplateText("\n")
      if let given = bound[2], !given.isNone { separator = try run.string(given) }
      try run.step(source.bytes.count / 2)
      var lines: [TemplateText] = []
      for line in source.lines() {
        let wrapped = wrap.lines(of: line)
        lines += wrapped.isEmpty ? [TemplateText()] : wrapped
        try run.step(wrapped.count)
      }
      return try run.joined(lines, separator)
    },
    "pprint": { run, value, arguments in
      _ = try arguments.bound("pprint", [])
      var printer = TemplatePrinter(run: run)
      try printer.format(value, indent: 0, allowance: 0, level: 0)
      return try run.text(printer.output)
    },
  ]
}

/// Paragraphs in lines of at most `width` characters, by the rules of Python's `textwrap`.
private struct TextWrap {
  let width: Int
  var breaksLongWords = true
  var breaksOnHyphens = true

  /// A word, a part of one that ends in a hyphen, a dash between words, or white space.
  private struct Chunk {
    var text: TemplateText
    var count: Int
    var isSpace: Bool

    init(_ text: TemplateText) {
      (self.text, count) = (text, text.count)
      isSpace = text.trimmedRange().isEmpty
    }
  }

  func lines(of line: TemplateText) -> [TemplateText] {
    var rest = chunks(of: line)[...]
    var lines: [TemplateText] = []
    while !rest.isEmpty {
      var parts: [Chunk] = [], length = 0
      if rest[rest.startIndex].isSpace, !lines.isEmpty { rest.removeFirst() }
      while let next = rest.first, length + next.count <= width {
        parts.append(rest.removeFirst())
        length += next.count
      }
      if let long = rest.first, long.count > width { take(from: &rest, long, into: &parts, space: width - length) }
      if parts.last?.isSpace == true { parts.removeLast() }
      guard !parts.isEmpty else { continue }
      var whole = TemplateText()
      for part in parts { whole.append(part.text) }
      lines.append(whole)
    }
    return lines
  }

  /// Puts as much of a word that fits no line where there is `space`, or all of it on a line of its own.
  private func take(from rest: inout ArraySlice<Chunk>, _ long: Chunk, into parts: inout [Chunk], space: Int) {
    guard breaksLongWords else {
      if parts.isEmpty { parts.append(rest.removeFirst()) }
      return
    }
    let offsets = long.text.characterOffsets
    var end = space
    if breaksOnHyphens, long.count > space {
      let bytes = long.text.bytes
      let hyphen = (0..<space).last { bytes[offsets[$0]] == 0x2D }
      if let hyphen, hyphen > 0, (0..<hyphen).contains(where: { bytes[offsets[$0]] != 0x2D }) { end = hyphen + 1 }
    }
    parts.append(Chunk(long.text.slice(0..<offsets[end])))
    rest[rest.startIndex] = Chunk(long.text.slice(offsets[end]..<long.text.bytes.count))
  }

  private func chunks(of line: TemplateText) -> [Chunk] {
    let codes = line.codes, offsets = line.characterOffsets
    var chunks: [Chunk] = [], start = 0
    while start < codes.count {
      let end = breaksOnHyphens ? chunkEnd(codes, start) : runEnd(codes, start)
      chunks.append(Chunk(line.slice(offsets[start]..<offsets[end])))
      start = end
    }
    return chunks
  }

  private func isBlank(_ code: UInt32) -> Bool { (0x09...0x0D).contains(code) || code == 0x20 }
  private func isWord(_ code: UInt32) -> Bool {
    code == 0x5F || Unicode.Scalar(code)?.properties.isAlphanumeric ?? false
  }
  private func isLetter(_ code: UInt32) -> Bool {
    isWord(code) && Unicode.Scalar(code)?.properties.isDecimal != true
  }
  /// What may stand in front of a dash between words.
  private func isPunctuated(_ code: UInt32) -> Bool {
    isWord(code) || [0x21, 0x22, 0x27, 0x26, 0x2E, 0x2C, 0x3F].contains(code)
  }

  private func runEnd(_ codes: [UInt32], _ start: Int) -> Int {
    var end = start + 1
    while end < codes.count, isBlank(codes[end]) == isBlank(codes[start]) { end += 1 }
    return end
  }

  /// Whether two hyphens or more stand at `place` with a word behind them.
  private func dashEnd(_ codes: [UInt32], _ place: Int) -> Int? {
    var end = place
    while end < codes.count, codes[end] == 0x2D { end += 1 }
    return end - place >= 2 && end < codes.count && isWord(codes[end]) ? end : nil
  }

  private func chunkEnd(_ codes: [UInt32], _ start: Int) -> Int {
    if isBlank(codes[start]) { return runEnd(codes, start) }
    if start > 0, isPunctuated(codes[start - 1]), let end = dashEnd(codes, start) { return end }
    var end = start + 1
    while end < codes.count, !isBlank(codes[end]) {
      if codes[end] == 0x2D, isHyphen(codes, end) { return end + 1 }
      if codes[end] == 0x2D, isPunctuated(codes[end - 1]), dashEnd(codes, end) != nil { return end }
      end += 1
    }
    return end
  }

  /// Whether a word may be cut behind the hyphen at `place`: between letters, two of them in front.
  private func isHyphen(_ codes: [UInt32], _ place: Int) -> Bool {
    let isBehindLetters = place >= 2 && isLetter(codes[place - 1]) && isLetter(codes[place - 2])
    let isBehindPart =
      place >= 3 && isLetter(codes[place - 1]) && codes[place - 2] == 0x2D && isLetter(codes[place - 3])
    guard isBehindLetters || isBehindPart, place + 1 < codes.count, isLetter(codes[place + 1]) else { return false }
    var next = place + 2
    if next < codes.count, codes[next] == 0x2D { next += 1 }
    return next < codes.count && isLetter(codes[next])
  }
}

/// Python's `pprint.pformat` with its usual settings: lines of 80, keys sorted.
private struct TemplatePrinter {
  let run: TemplateRun
  var output = TemplateText()
  private let width = 80

  init(run: TemplateRun) { self.run = run }

  mutating func format(_ value: TemplateValue, indent: Int, allowance: Int, level: Int) throws {
    try run.step()
    let whole = try representation(value, level: level)
    guard whole.count > width - indent - allowance else { return output.append(whole) }
    switch value {
    case .mapping(let mapping) where mapping.count > 0:
      output.append("{")
      let entries = try sorted(mapping)
      for (place, entry) in entries.enumerated() {
        if place > 0 { newLine(indent + 1, after: ",") }
        let key = try representation(entry.key, level: level + 1)
        output.append(key)
        output.append(": ")
        let isLast = place == entries.count - 1
        try format(
          entry.value, indent: indent + 1 + key.count + 2, allowance: isLast ? allowance + 1 : 1, level: level + 1)
      }
      output.append("}")
    case .list(let list):
      try items(list.items, "[", "]", indent: indent, allowance: allowance, level: level)
    case .tuple(let list):
      try items(list.items, "(", list.items.count == 1 ? ",)" : ")", indent: indent, allowance: allowance, level: level)
    case .text(let text) where !text.isEmpty:
      try string(text, indent: indent, allowance: allowance, isOutermost: level == 0)
    default: output.append(whole)
    }
    try run.checkLength(output.bytes.count)
  }

  private mutating func newLine(_ indent: Int, after text: String = "") {
    output.append(text + "\n" + String(repeating: " ", count: indent))
  }

  private mutating func items(
    _ items: [TemplateValue], _ open: String, _ close: String, indent: Int, allowance: Int, level: Int
  ) throws {
    output.append(open)
    for (place, item) in items.enumerated() {
      if place > 0 { newLine(indent + 1, after: ",") }
      let isLast = place == items.count - 1
      try format(item, indent: indent + 1, allowance: isLast ? allowance + close.utf8.count : 1, level: level + 1)
    }
    output.append(close)
  }

  /// A long string as several short ones: its lines, and within a line runs of words.
  private mutating func string(_ text: TemplateText, indent: Int, allowance: Int, isOutermost: Bool) throws {
    let indent = indent + (isOutermost ? 1 : 0), allowance = allowance + (isOutermost ? 1 : 0)
    let lines = text.lines(keepingEnds: true), room = width - indent
    var chunks: [TemplateText] = []
    for (place, line) in lines.enumerated() {
      let isLast = place == lines.count - 1
      let whole = try run.representation(.text(line))
      guard whole.count > room - (isLast ? allowance : 0) else {
        chunks.append(whole)
        continue
      }
      let words = words(of: line)
      var current = TemplateText()
      for (index, word) in words.enumerated() {
        var candidate = current
        candidate.append(word)
        let isEnd = isLast && index == words.count - 1
        if try run.representation(.text(candidate)).count > room - (isEnd ? allowance : 0) {
          if !current.isEmpty { chunks.append(try run.representation(.text(current))) }
          current = word
        } else {
          current = candidate
        }
      }
      if !current.isEmpty { chunks.append(try run.representation(.text(current))) }
    }
    if chunks.count == 1 { return output.append(try run.representation(.text(lines[lines.count - 1]))) }
    if isOutermost { output.append("(") }
    for (place, chunk) in chunks.enumerated() {
      if place > 0 { newLine(indent) }
      output.append(chunk)
    }
    if isOutermost { output.append(")") }
  }

  /// Words with the white space behind each.
  private func words(of line: TemplateText) -> [TemplateText] {
    var words: [TemplateText] = [], start = 0, offset = 0, isInSpace = false
    while offset < line.bytes.count {
      let next = line.character(at: offset), isSpace = isWhiteSpace(next.code)
      if isInSpace, !isSpace {
        words.append(line.slice(start..<offset))
        start = offset
      }
      isInSpace = isSpace
      offset += next.length
    }
    return start < offset ? words + [line.slice(start..<offset)] : words
  }

  /// On one line, with the keys of dictionaries in order.
  private func representation(_ value: TemplateValue, level: Int) throws -> TemplateText {
    guard level < 120 else { throw TemplateFailure("a value is nested too deeply to print") }
    var result = TemplateText()
    func list(_ items: [TemplateValue], _ open: String, _ close: String) throws -> TemplateText {
      result.append(open)
      for (place, item) in items.enumerated() {
        if place > 0 { result.append(", ") }
        result.append(try representation(item, level: level + 1))
        try run.checkLength(result.bytes.count)
      }
      result.append(close)
      try run.charge(result.bytes.count)
      return result
    }
    switch value {
    case .list(let items): return try list(items.items, "[", "]")
    case .tuple(let items): return try list(items.items, "(", items.items.count == 1 ? ",)" : ")")
    case .mapping(let mapping):
      result.append("{")
      for (place, entry) in try sorted(mapping).enumerated() {
        if place > 0 { result.append(", ") }
        result.append(try representation(entry.key, level: level + 1))
        result.append(": ")
        result.append(try representation(entry.value, level: level + 1))
        try run.checkLength(result.bytes.count)
      }
      result.append("}")
      try run.charge(result.bytes.count)
      return result
    default: return try run.representation(value)
    }
  }

  /// Keys that cannot be compared go by their types' names.
  private func sorted(_ mapping: TemplateMapping) throws -> [TemplateMapping.Entry] {
    let entries = Array(mapping.entries.values)
    let places = try entries.indices.sorted { left, right in
      let (a, b) = (entries[left].key, entries[right].key)
      let order: Int
      do { order = try run.order(a, b) ?? 0 } catch is TemplateFailure {
        order = a.typeName == b.typeName ? 0 : a.typeName < b.typeName ? -1 : 1
      }
      return order == 0 ? left < right : order < 0
    }
    return places.map { entries[$0] }
  }
}
