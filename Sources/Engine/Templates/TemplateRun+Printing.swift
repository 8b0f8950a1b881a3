extension TemplateRun {
  /// What printing a value gives (Python's `str`).
  func string(_ value: TemplateValue) throws -> TemplateText {
    switch value {
    case .undefined: return TemplateText()
    case .text(let text): return text
    default: return try representation(value)
    }
  }

  /// A value as it stands in a printed list (Python's `repr`).
  func representation(_ value: TemplateValue) throws -> TemplateText {
    var output = TemplateText()
    try write(value, to: &output, level: 0)
    try charge(output.bytes.count)
    return output
  }

  private func write(_ value: TemplateValue, to output: inout TemplateText, level: Int) throws {
    try step()
    try checkLength(output.bytes.count)
    guard level < 120 else { throw TemplateFailure("a value is nested too deeply to print") }
    switch value {
    case .undefined: output.append("Undefined")
    case .none: output.append("None")
    case .bool(let value): output.append(value ? "True" : "False")
    case .integer(let value): output.append(String(value))
    case .float(let value): output.append(pythonText(value))
    case .text(let text):
      try stepOver(text)
      if text.isMarkup { output.append("Markup(") }
      output.append(quoted(text))
      if text.isMarkup { output.append(")") }
    case .list(let list): try write(list.items, "[", "]", to: &output, level: level)
    case .tuple(let list): try write(list.items, "(", list.items.count == 1 ? ",)" : ")", to: &output, level: level)
    case .mapping(let mapping): try write(mapping, to: &output, level: level)
    case .view(let mapping, let view):
      try write(view.items(of: mapping), "\(view.typeName)([", "])", to: &output, level: level)
    case .range(let range):
      output.append("range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))")
    case .namespace(let number):
      output.append("<Namespace ")
      try write(namespaces[number], to: &output, level: level)
      output.append(">")
    case .macro(let number): output.append("<Macro '\(closures[number].macro.name)'>")
    case .loop(let number): output.append("<LoopContext \(loops[number].place + 1)/\(loops[number].items.count)>")
    case .iterator: output.append("<generator object>")
    case .cycler, .joiner: output.append("<\(value.objectName)>")
    case .blocks: output.append("<TemplateReference>")
    case .block(let name): output.append("<BlockReference '\(name)'>")
    case .function(let function): output.append("<function \(function.rawValue)>")
    case .method(let method): output.append("<built-in method \(method.name) of \(method.receiver.typeName) object>")
    }
  }

  private func write(
    _ items: [TemplateValue], _ open: String, _ close: String, to output: inout TemplateText, level: Int
  ) throws {
    output.append(open)
    for (place, item) in items.enumerated() {
      if place > 0 { output.append(", ") }
      try write(item, to: &output, level: level + 1)
    }
    output.append(close)
  }

  private func write(_ mapping: TemplateMapping, to output: inout TemplateText, level: Int) throws {
    output.append("{")
    for (place, entry) in mapping.entries.values.enumerated() {
      if place > 0 { output.append(", ") }
      try write(entry.key, to: &output, level: level + 1)
      output.append(": ")
      try write(entry.value, to: &output, level: level + 1)
    }
    output.append("}")
  }

  /// A string as Python's `repr` quotes it.
  private func quoted(_ text: TemplateText) -> TemplateText {
    let usesDouble = text.bytes.contains(UInt8(ascii: "'")) && !text.bytes.contains(UInt8(ascii: "\""))
    let quote = usesDouble ? "\"" : "'"
    var result = TemplateText(quote)
    result.append(
      text.mapped { bytes, output in
        for code in TemplateText(bytes).codes {
          switch code {
          case 0x5C: output += Array("\\\\".utf8)
          case 0x27 where !usesDouble: output += Array("\\'".utf8)
          case 0x0A: output += Array("\\n".utf8)
          case 0x0D: output += Array("\\r".utf8)
          case 0x09: output += Array("\\t".utf8)
          case _ where isPrintable(code): output.append(code: code)
          default: output += Array(escape(code).utf8)
          }
        }
      })
    result.append(quote)
    return result
  }

  private func escape(_ code: UInt32) -> String {
    let digits = String(code, radix: 16)
    let width = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8
    let letter = width == 2 ? "x" : width == 4 ? "u" : "U"
    return "\\\(letter)\(String(repeating: "0", count: max(0, width - digits.count)))\(digits)"
  }

  /// Python's `str.isprintable` for one character; bytes that are no UTF-8 stay as they are.
  private func isPrintable(_ code: UInt32) -> Bool {
    if code < 0x7F { return code >= 0x20 }
    guard let scalar = Unicode.Scalar(code) else { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }
}

/// A number as Python's `repr(float)` writes it: the shortest digits that read back as the same number.
func pythonText(_ value: Double) -> String {
  guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
  // Swift's digits are the shortest as well; only where the exponent begins differs.
  let text = "\(value.magnitude)"
  let parts = text.split(separator: "e")
  let mantissa = parts[0].split(separator: ".")
  var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
  let fraction = mantissa.count > 1 && mantissa[1] != "0" ? String(mantissa[1]) : ""
  var digits = String(mantissa[0]) + fraction
  exponent += mantissa[0].count - 1
  let leading = digits.prefix { $0 == "0" }.count
  if leading > 0, leading < digits.count {
    digits.removeFirst(leading)
    exponent -= leading
  }
  while digits.count > 1, digits.last == "0" { digits.removeLast() }
  let sign = value.sign == .minus ? "-" : ""
  if value == 0 { return sign + "0.0" }
  if exponent < -4 || exponent >= 16 {
    let rest = digits.dropFirst()
    let size = String(abs(exponent))
    return sign + digits.prefix(1) + (rest.isEmpty ? "" : "." + rest) + "e" + (exponent < 0 ? "-" : "+")
      + (size.count < 2 ? "0" : "") + size
  }
  if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
  let whole = digits.prefix(exponent + 1)
  let padded = whole + String(repeating: "0", count: exponent + 1 - whole.count)
  let rest = digits.dropFirst(exponent + 1)
  return sign + padded + "." + (rest.isEmpty ? "0" : rest)
}
