extension TemplateRun {
  static let testNames = [
    "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
    "sequence", "iterable", "callable", "sameas", "escaped", "odd", "even", "divisibleby", "lower", "upper", "in", "eq",
    "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">", "ge", ">=", "filter",
    "test",
  ]

  /// `value is name(arguments)`.
  func test(_ name: String, of value: TemplateValue, _ arguments: TemplateArguments) throws -> Bool {
    try step()
    if let comparison = Self.comparisons[name] {
      return try holds(comparison, value, operand(name, arguments))
    }
    let isPlain = name != "divisibleby" && name != "sameas"
    guard !isPlain || (arguments.positional.isEmpty && arguments.named.isEmpty) else {
      throw TemplateFailure("the test '\(name)' takes no arguments")
    }
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none": return value.isNone
    case "boolean": if case .bool = value { return true } else { return false }
    case "true": if case .bool(true) = value { return true } else { return false }
    case "false": if case .bool(false) = value { return true } else { return false }
    case "integer": if case .integer = value { return true } else { return false }
    case "float": if case .float = value { return true } else { return false }
    case "number": return value.number != nil
    case "string": return value.isText
    case "mapping": if case .mapping = value { return true } else { return false }
    case "sequence": return isSequence(value)
    case "iterable": return isIterable(value)
    case "callable": return isCallable(value)
    case "sameas": return try isSame(value, operand(name, arguments))
    case "escaped": if case .text(let text) = value { return text.isMarkup } else { return false }
    case "odd", "even", "divisibleby":
      let divisor = name == "divisibleby" ? try operand(name, arguments) : .integer(2)
      let rest = try apply(.remainder, value, divisor)
      return try equal(rest, .integer(name == "odd" ? 1 : 0))
    case "lower", "upper":
      let text = try string(value)
      try step(text.bytes.count / 2)
      return text.isAll(upper: name == "upper")
    case "filter": return try Self.filters[string(value).string] != nil
    case "test": return try Self.testNames.contains(string(value).string)
    default: throw TemplateFailure("No test named '\(name.prefix(60))'\(suggestion(for: name, in: Self.testNames))")
    }
  }

  private static let comparisons: [String: TemplateExpression.Comparison] = [
    "in": .contained, "eq": .equal, "equalto": .equal, "==": .equal, "ne": .unequal, "!=": .unequal, "lt": .less,
    "lessthan": .less, "<": .less, "le": .lessOrEqual, "<=": .lessOrEqual, "gt": .greater, "greaterthan": .greater,
    ">": .greater, "ge": .greaterOrEqual, ">=": .greaterOrEqual,
  ]

  private func operand(_ name: String, _ arguments: TemplateArguments) throws -> TemplateValue {
    guard arguments.named.isEmpty, arguments.positional.count == 1 else {
      throw TemplateFailure("the test '\(name)' takes one argument, found \(arguments.positional.count)")
    }
    return arguments.positional[0]
  }

  private func isSequence(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .text, .list, .tuple, .mapping, .range: true
    default: false
    }
  }

  private func isIterable(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .text, .list, .tuple, .mapping, .view, .range, .iterator, .loop: true
    default: false
    }
  }

  private func isCallable(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .macro, .function, .method, .joiner, .block, .loop: true
    default: false
    }
  }

  /// Identity, which templates can tell for none, booleans and small values.
  private func isSame(_ left: TemplateValue, _ right: TemplateValue) throws -> Bool {
    try left.typeName == right.typeName && equal(left, right)
  }
}
