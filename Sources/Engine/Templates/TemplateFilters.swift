extension TemplateRun {
  typealias Filter = @Sendable (TemplateRun, TemplateValue, TemplateArguments) throws -> TemplateValue

  static let filters: [String: Filter] = [
    textFilters, sequenceFilters, valueFilters, layoutFilters, webFilters,
  ].reduce(into: [:]) { $0.merge($1) { $1 } }

  /// Filters of Jinja's that are refused, and why.
  static let refusedFilters = [
    "random": "it gives something else each time, and a prompt must stay the same",
    "urlize": "it makes links of a web page",
  ]

  /// `value | name(arguments)`.
  func filter(_ name: String, of value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    guard let filter = Self.filters[name] else {
      if let reason = Self.refusedFilters[name] {
        throw TemplateFailure("the filter '\(name)' is not supported: \(reason)")
      }
      throw TemplateFailure(
        "No filter named '\(name.prefix(60))'\(suggestion(for: name, in: Self.filters.keys.sorted()))")
    }
    try step()
    return try deeper { try filter(self, value, arguments) }
  }

  /// Filters of single values: numbers, defaults, JSON.
  private static let valueFilters: [String: Filter] = {
    let fallback: Filter = { run, value, arguments in
      let bound = try arguments.bound("default", ["default_value", "boolean"])
      let replaces = try value.isUndefined || (run.flag(bound[1]) && !run.isTrue(value))
      return replaces ? bound[0] ?? .text("") : value
    }
    return [
      "default": fallback, "d": fallback,
      "string": { run, value, _ in .text(try run.string(value)) },
      "tojson": { run, value, arguments in try run.tojson(value, arguments) },
      "int": { run, value, arguments in try run.integer(value, arguments) },
      "float": { run, value, arguments in
        let bound = try arguments.bound("float", ["default"])
        if case .undefined(let message) = value { throw TemplateFailure(message) }
        return try run.parsedFloat(value).map { .float($0) } ?? bound[0] ?? .float(0)
      },
      "abs": { run, value, _ in
        if case .float(let number) = value { return .float(number.magnitude) }
        if case .undefined(let message) = value { throw TemplateFailure(message) }
        guard let number = value.index else { throw TemplateFailure("bad operand type for abs(): '\(value.typeName)'") }
        return number < 0 ? try run.signed(.minus, .integer(number)) : .integer(number)
      },
      "round": { run, value, arguments in try run.rounded(value, arguments) },
      "attr": { run, value, arguments in
        let name = try arguments.bound("attr", ["name"], required: 1)[0] ?? .none
        let member = try run.attribute(try run.string(name).string, of: value)
        if case .mapping(let mapping) = value, mapping[try run.string(name).string] != nil, !member.isMethod {
          return .undefined("'dict object' has no attribute '\(try run.string(name).string)'")
        }
        return member
      },
    ]
  }()

  /// An argument that switches something on; not given is off.
  func flag(_ value: TemplateValue?) throws -> Bool { try value.map(isTrue) ?? false }

  /// An argument that is an integer.
  func integer(_ value: TemplateValue?, _ name: String, fallback: Int) throws -> Int {
    guard let value else { return fallback }
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    guard let number = value.index else {
      throw TemplateFailure("\(name): '\(value.typeName)' object cannot be interpreted as an integer")
    }
    return number
  }

  // MARK: JSON

  private func tojson(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
    var style = TemplateJSONStyle()
    style.escapesNonASCII = try flag(bound[0])
    style.sortsKeys = try flag(bound[3])
    switch bound[1] ?? .none {
    case .none: break
    case .text(let indent):
      style.indent = indent.string
    case let indent:
      let width = try integer(indent, "indent", fallback: 0)
      try checkLength(width)
      style.indent = String(repeating: " ", count: max(0, width))
    }
    if style.indent != nil { style.itemSeparator = "," }
    if let separators = bound[2], !separators.isNone {
      let parts = try items(of: separators).map { try string($0).string }
      guard parts.count == 2 else { throw TemplateFailure("separators are two: between items, and after keys") }
      (style.itemSeparator, style.keySeparator) = (parts[0], parts[1])
    }
    return try text(json(value, style))
  }

  // MARK: Numbers

  private func integer(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("int", ["default", "base"])
    let base = try integer(bound[1], "int", fallback: 10)
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    if let index = value.index { return .integer(index) }
    if case .text(let text) = value, let number = parsedInteger(text, base: base) { return .integer(number) }
    guard let number = try parsedFloat(value), number.isFinite else { return bound[0] ?? .integer(0) }
    guard let whole = Int(exactly: number.rounded(.towardZero)) else {
      throw TemplateFailure("an integer is beyond 64 bits")
    }
    return .integer(whole)
  }

  private func parsedInteger(_ text: TemplateText, base: Int) -> Int? {
    guard text.bytes.count <= 400 else { return nil }
    var digits = text.slice(text.trimmedRange()).string.lowercased()
    let sign = digits.hasPrefix("-") ? "-" : ""
    if digits.hasPrefix("-") || digits.hasPrefix("+") { digits.removeFirst() }
    for (mark, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where base == radix && digits.hasPrefix(mark) {
      digits.removeFirst(2)
    }
    guard (2...36).contains(base), let first = digits.utf8.first, first != 0x5F, first != 0x2B, first != 0x2D,
      digits.utf8.last != 0x5F, !digits.contains("__")
    else { return nil }
    return Int(sign + digits.filter { $0 != "_" }, radix: base)
  }

  /// What Python's `float` makes of a value; nil where it refuses.
  func parsedFloat(_ value: TemplateValue) throws -> Double? {
    guard case .text(let text) = value else { return value.number }
    guard text.bytes.count <= 400 else { return nil }
    let digits = text.slice(text.trimmedRange()).string.lowercased()
    let bare = digits.hasPrefix("-") || digits.hasPrefix("+") ? digits.dropFirst() : digits[...]
    if ["inf", "infinity"].contains(bare) { return digits.hasPrefix("-") ? -.infinity : .infinity }
    if bare == "nan" { return .nan }
    guard let first = bare.utf8.first, (0x30...0x39).contains(first) || first == 0x2E, !bare.contains("x"),
      !bare.contains("p"), !bare.contains("__"), bare.utf8.last != 0x5F
    else { return nil }
    return Double(digits.filter { $0 != "_" })
  }

  private func rounded(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("round", ["precision", "method"])
    let precision = try integer(bound[0], "round", fallback: 0)
    let method = try bound[1].map { try string($0).string } ?? "common"
    guard ["common", "ceil", "floor"].contains(method) else {
      throw TemplateFailure("method must be common, ceil or floor")
    }
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    guard let number = value.number else {
      throw TemplateFailure("type \(value.typeName) doesn't define __round__ method")
    }
    guard (-300...300).contains(precision) else {
      throw TemplateFailure("round: precision \(precision) is out of range")
    }
    if method == "common" {
      if let index = value.index, precision >= 0 { return .integer(index) }
      let digits = numberText(number, "f", precision: max(0, precision))
      let scale = powerOfTen(-precision)
      let result = precision >= 0 ? Double(digits) ?? number : (number / scale).rounded(.toNearestOrEven) * scale
      if value.index != nil, let whole = Int(exactly: result) { return .integer(whole) }
      return .float(result)
    }
    let scale = powerOfTen(precision)
    return .float((number * scale).rounded(method == "ceil" ? .up : .down) / scale)
  }

  private func powerOfTen(_ exponent: Int) -> Double { Double("1e\(exponent)") ?? 1 }
}

extension TemplateValue {
  fileprivate var isMethod: Bool { if case .method = self { true } else { false } }
}
