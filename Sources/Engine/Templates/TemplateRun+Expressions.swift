extension TemplateRun {
  func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
    try step()
    line = expression.line
    switch expression.form {
    case .literal(let value): return value
    case .name(let name): return lookUp(name)
    default: return try deeper { try evaluateParts(expression.form) }
    }
  }

  private func evaluateParts(_ form: TemplateExpression.Form) throws -> TemplateValue {
    switch form {
    case .literal, .name: return .none  // handled above
    case .list(let parts): return .list(try evaluateAll(parts))
    case .tuple(let parts): return .tuple(try evaluateAll(parts))
    case .mapping(let parts): return try mapping(parts)
    case .unary(let sign, let operand): return try signed(sign, evaluate(operand))
    case .not(let operand): return .bool(try !isTrue(evaluate(operand)))
    case .arithmetic(let operation, let left, let right): return try arithmetic(operation, left, right)
    case .both(let left, let right): return try logical(left, right, stopsAt: false)
    case .either(let left, let right): return try logical(left, right, stopsAt: true)
    case .concatenation(let parts): return try concatenation(parts)
    case .comparison(let first, let rest): return try comparison(first, rest)
    case .conditional(let test, let then, let otherwise): return try conditional(test, then, otherwise)
    case .attribute(let operand, let name): return try attribute(name, of: evaluate(operand))
    case .subscripted(let operand, let key): return try subscripted(operand, key)
    case .sliced(let operand, let parts): return try sliced(operand, parts)
    case .call(let function, let call): return try evaluateCall(function, call)
    case .filter(let operand, let name, let call): return try filtered(operand, name, call)
    case .test(let operand, let name, let call): return .bool(try test(name, of: evaluate(operand), arguments(call)))
    }
  }

  private func evaluateAll(_ parts: [TemplateExpression]) throws -> TemplateList {
    try items(try parts.map { try evaluate($0) })
  }

  private func mapping(_ parts: [(key: TemplateExpression, value: TemplateExpression)]) throws -> TemplateValue {
    var mapping = TemplateMapping()
    try charge(parts.count * 128)
    for part in parts {
      let key = try evaluate(part.key)
      mapping.set(key, try TemplateKey(key), try evaluate(part.value))
    }
    try checkDepth(mapping.depth)
    return .mapping(mapping)
  }

  private func arithmetic(
    _ operation: TemplateExpression.Arithmetic, _ left: TemplateExpression, _ right: TemplateExpression
  ) throws -> TemplateValue {
    let first = try evaluate(left)
    return try apply(operation, first, evaluate(right))
  }

  private func logical(
    _ left: TemplateExpression, _ right: TemplateExpression, stopsAt stop: Bool
  ) throws -> TemplateValue {
    let value = try evaluate(left)
    return try isTrue(value) == stop ? value : evaluate(right)
  }

  private func concatenation(_ parts: [TemplateExpression]) throws -> TemplateValue {
    var result = TemplateText()
    for part in try parts.map({ try evaluate($0) }) {
      let text = try string(part)
      try checkLength(result.bytes.count + text.bytes.count)
      result.append(text)
    }
    return try text(result)
  }

  private func comparison(
    _ first: TemplateExpression, _ rest: [(TemplateExpression.Comparison, TemplateExpression)]
  ) throws -> TemplateValue {
    var left = try evaluate(first)
    for (comparison, operand) in rest {
      let right = try evaluate(operand)
      guard try holds(comparison, left, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  private func conditional(
    _ test: TemplateExpression, _ then: TemplateExpression, _ otherwise: TemplateExpression?
  ) throws -> TemplateValue {
    if try isTrue(evaluate(test)) { return try evaluate(then) }
    guard let otherwise else {
      return .undefined(
        "the inline if-expression on line \(test.line) evaluated to false and no else section was defined.")
    }
    return try evaluate(otherwise)
  }

  private func subscripted(_ operand: TemplateExpression, _ key: TemplateExpression) throws -> TemplateValue {
    let value = try evaluate(operand)
    return try item(evaluate(key), of: value)
  }

  private func sliced(_ operand: TemplateExpression, _ parts: [TemplateExpression?]) throws -> TemplateValue {
    let value = try evaluate(operand)
    return try slice(value, try parts.map { try $0.map { try evaluate($0) } ?? .none })
  }

  private func filtered(_ operand: TemplateExpression?, _ name: String, _ call: TemplateCall) throws -> TemplateValue {
    guard let operand else { return .none }
    let value = try evaluate(operand)
    return try filter(name, of: value, arguments(call))
  }

  private func evaluateCall(_ function: TemplateExpression, _ call: TemplateCall) throws -> TemplateValue {
    let line = self.line
    let callee = try evaluate(function)
    let arguments = try arguments(call)
    self.line = line
    return try self.call(callee, arguments)
  }

  /// The call of a `call` block, which passes its body as `caller`.
  func call(_ expression: TemplateExpression, caller: TemplateValue) throws -> TemplateValue {
    guard case .call(let function, let call) = expression.form else { return .none }
    let callee = try evaluate(function)
    var arguments = try arguments(call)
    arguments.named.append(("caller", caller))
    return try self.call(callee, arguments)
  }

  func arguments(_ call: TemplateCall) throws -> TemplateArguments {
    var arguments = TemplateArguments()
    arguments.positional = try call.positional.map { try evaluate($0) }
    arguments.named = try call.named.map { ($0.name, try evaluate($0.value)) }
    if let list = call.list { arguments.positional += try items(of: evaluate(list)) }
    guard let expression = call.mapping else { return arguments }
    guard case .mapping(let mapping) = try evaluate(expression) else {
      throw TemplateFailure("the argument after ** must be a mapping")
    }
    for entry in mapping.entries.values {
      guard case .text(let name) = entry.key else { throw TemplateFailure("keywords must be strings") }
      arguments.named.append((name.string, entry.value))
    }
    return arguments
  }
}

/// Evaluated arguments of a call, filter or test.
struct TemplateArguments {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  init(_ positional: [TemplateValue] = []) { self.positional = positional }

  /// The arguments in the order of `names`, nil where one is not given. Throws in Python's words where `required` ones
  /// are missing or others are left.
  func bound(_ function: String, _ names: [String], required: Int = 0) throws -> [TemplateValue?] {
    guard positional.count <= names.count else {
      throw TemplateFailure("\(function) takes at most \(names.count) arguments (\(positional.count) given)")
    }
    var values: [TemplateValue?] = positional + [TemplateValue?](repeating: nil, count: names.count - positional.count)
    for (name, value) in named {
      guard let place = names.firstIndex(of: name) else {
        throw TemplateFailure("\(function) got an unexpected keyword argument '\(name)'")
      }
      guard values[place] == nil else {
        throw TemplateFailure("\(function) got multiple values for argument '\(name)'")
      }
      values[place] = value
    }
    if let missing = (0..<required).first(where: { values[$0] == nil }) {
      throw TemplateFailure("\(function) is missing the argument '\(names[missing])'")
    }
    return values
  }
}
