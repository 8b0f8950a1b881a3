/// How `tojson` lays a document out (Python's `json.dumps`, called as chat templates expect it).
struct TemplateJSONStyle {
  /// White space of one level; nil writes one line.
  var indent: String?
  var itemSeparator = ", "
  var keySeparator = ": "
  var escapesNonASCII = false
  var sortsKeys = false
}

extension TemplateRun {
  func json(_ value: TemplateValue, _ style: TemplateJSONStyle) throws -> TemplateText {
    var output = TemplateText()
    try write(value, style, level: 0, to: &output)
    try charge(output.bytes.count)
    return output
  }

  private func write(
    _ value: TemplateValue, _ style: TemplateJSONStyle, level: Int, to output: inout TemplateText
  ) throws {
    try step()
    try checkLength(output.bytes.count)
    switch value {
    case .none: output.append("null")
    case .bool(let value): output.append(value ? "true" : "false")
    case .integer(let value): output.append(String(value))
    case .float(let value): output.append(jsonNumber(value))
    case .text(let text):
      try stepOver(text)
      output.append(jsonString(text, style))
    case .list(let list), .tuple(let list):
      try writeItems(list.items, "[", "]", style, level, to: &output) {
        try write($0, style, level: level + 1, to: &$1)
      }
    case .mapping(let mapping):
      var entries = Array(mapping.entries.values)
      if style.sortsKeys { entries = try sorted(entries, key: \.key) }
      try writeItems(entries, "{", "}", style, level, to: &output) { entry, output in
        output.append(jsonString(try key(entry.key), style))
        output.append(style.keySeparator)
        try write(entry.value, style, level: level + 1, to: &output)
      }
    default: throw TemplateFailure("Object of type \(value.typeName) is not JSON serializable")
    }
  }

  private func writeItems<Item>(
    _ items: [Item], _ open: String, _ close: String, _ style: TemplateJSONStyle, _ level: Int,
    to output: inout TemplateText, _ write: (Item, inout TemplateText) throws -> Void
  ) throws {
    output.append(open)
    for (place, item) in items.enumerated() {
      if place > 0 { output.append(style.itemSeparator) }
      try lineBreak(style, level + 1, &output)
      try write(item, &output)
    }
    if !items.isEmpty { try lineBreak(style, level, &output) }
    output.append(close)
  }

  private func lineBreak(_ style: TemplateJSONStyle, _ level: Int, _ output: inout TemplateText) throws {
    guard let indent = style.indent else { return }
    try checkLength(output.bytes.count + indent.utf8.count * level)
    output.append("\n" + String(repeating: indent, count: level))
  }

  private func key(_ value: TemplateValue) throws -> TemplateText {
    switch value {
    case .text(let text): return text
    case .none: return TemplateText("null")
    case .bool(let value): return TemplateText(value ? "true" : "false")
    case .integer(let value): return TemplateText(String(value))
    case .float(let value): return TemplateText(jsonNumber(value))
    default: throw TemplateFailure("keys must be str, int, float, bool or None, not \(value.typeName)")
    }
  }

  private func jsonNumber(_ value: Double) -> String {
    value.isFinite ? pythonText(value) : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  private func jsonString(_ text: TemplateText, _ style: TemplateJSONStyle) -> TemplateText {
    var result = TemplateText("\"")
    result.append(
      text.mapped { bytes, output in
        for code in TemplateText(bytes).codes {
          switch code {
          case 0x22: output += Array("\\\"".utf8)
          case 0x5C: output += Array("\\\\".utf8)
          case 0x0A: output += Array("\\n".utf8)
          case 0x0D: output += Array("\\r".utf8)
          case 0x09: output += Array("\\t".utf8)
          case 0x08: output += Array("\\b".utf8)
          case 0x0C: output += Array("\\f".utf8)
          case ..<0x20: output += unicodeEscape(UInt16(code))
          case 0x7F... where style.escapesNonASCII && code > 0x7F:
            guard let scalar = Unicode.Scalar(code) else { return output.append(code: code) }
            for unit in UTF16.encode(scalar).map(Array.init) ?? [] { output += unicodeEscape(unit) }
          default: output.append(code: code)
          }
        }
      })
    result.append("\"")
    return result
  }

  private func unicodeEscape(_ unit: UInt16) -> [UInt8] {
    let digits = String(unit, radix: 16)
    return Array("\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
  }

  /// In Python's order by what `key` gives, equal ones as they were.
  func sorted<Item>(
    _ items: [Item], reversed: Bool = false, key: (Item) throws -> TemplateValue
  ) throws -> [Item] {
    let keys = try items.map(key)
    let places = try items.indices.sorted { left, right in
      let order = try order(keys[left], keys[right]) ?? 0
      return order == 0 ? left < right : (order < 0) != reversed
    }
    return places.map { items[$0] }
  }
}
