/// Expressions, loosest first: `if else`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, then
/// filters and tests, which bind to the operand before them, then members, subscripts and calls.
extension TemplateParser {
  private static let longest = 200

  private func make(
    _ form: TemplateExpression.Form, line: Int, _ parts: [TemplateExpression] = []
  ) throws -> TemplateExpression {
    let depth = (parts.lazy.map(\.depth).max() ?? 0) + 1
    guard depth <= Self.longest else {
      throw templateSyntaxError("an expression is more than \(Self.longest) operations deep", line: line)
    }
    return TemplateExpression(form: form, line: line, depth: depth)
  }

  /// One expression, or a tuple of several with commas. `stop`: a name that ends it.
  mutating func tuple(
    conditional: Bool = true, stop: String? = nil, inParentheses: Bool = false
  ) throws -> TemplateExpression {
    let line = self.line
    var items: [TemplateExpression] = []
    var isTuple = false
    while !isTupleEnd(stop) {
      items.append(try conditional ? expression() : either())
      guard skip(.symbol(",")) else { break }
      isTuple = true
    }
    if !isTuple, let only = items.first { return only }
    guard isTuple || inParentheses else { throw failure("expected an expression, found \(token.text)") }
    return try make(.tuple(items), line: line, items)
  }

  mutating func expression() throws -> TemplateExpression { try nested { try $0.conditional() } }

  private mutating func conditional() throws -> TemplateExpression {
    let line = self.line
    var value = try either()
    while skip(.name("if")) {
      let test = try either()
      let otherwise = skip(.name("else")) ? try expression() : nil
      value = try make(
        .conditional(test: test, then: value, otherwise: otherwise), line: line,
        [test, value] + (otherwise.map { [$0] } ?? []))
    }
    return value
  }

  private mutating func either() throws -> TemplateExpression {
    let line = self.line
    var left = try both()
    while skip(.name("or")) {
      let right = try both()
      left = try make(.either(left, right), line: line, [left, right])
    }
    return left
  }

  private mutating func both() throws -> TemplateExpression {
    let line = self.line
    var left = try negation()
    while skip(.name("and")) {
      let right = try negation()
      left = try make(.both(left, right), line: line, [left, right])
    }
    return left
  }

  private mutating func negation() throws -> TemplateExpression {
    let line = self.line
    guard skip(.name("not")) else { return try comparison() }
    let operand = try nested { try $0.negation() }
    return try make(.not(operand), line: line, [operand])
  }

  private mutating func comparison() throws -> TemplateExpression {
    let line = self.line
    let first = try sum()
    var rest: [(TemplateExpression.Comparison, TemplateExpression)] = []
    while let comparison = takeComparison() { rest.append((comparison, try sum())) }
    return rest.isEmpty ? first : try make(.comparison(first, rest), line: line, [first] + rest.map(\.1))
  }

  private mutating func takeComparison() -> TemplateExpression.Comparison? {
    switch token {
    case .symbol(let symbol):
      guard let comparison = TemplateExpression.Comparison(rawValue: symbol) else { return nil }
      advance()
      return comparison
    case .name("in"):
      advance()
      return .contained
    case .name("not") where next == .name("in"):
      advance()
      advance()
      return .notContained
    default: return nil
    }
  }

  /// `operand`s joined by operators of one precedence, from the left.
  private mutating func chain(
    _ operators: [String], _ operand: (inout TemplateParser) throws -> TemplateExpression
  ) throws -> TemplateExpression {
    let line = self.line
    var left = try operand(&self)
    while case .symbol(let symbol) = token, operators.contains(symbol),
      let operation = TemplateExpression.Arithmetic(rawValue: symbol)
    {
      advance()
      let right = try operand(&self)
      left = try make(.arithmetic(operation, left, right), line: line, [left, right])
    }
    return left
  }

  private mutating func sum() throws -> TemplateExpression { try chain(["+", "-"]) { try $0.concatenation() } }

  private mutating func concatenation() throws -> TemplateExpression {
    let line = self.line
    var parts = [try product()]
    while skip(.symbol("~")) { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : try make(.concatenation(parts), line: line, parts)
  }

  private mutating func product() throws -> TemplateExpression {
    try chain(["*", "/", "//", "%"]) { try $0.chain(["**"]) { try $0.signed() } }
  }

  /// An operand with its sign, members, filters and tests.
  private mutating func signed(filtered: Bool = true) throws -> TemplateExpression {
    let line = self.line
    var value: TemplateExpression
    if token == .symbol("-") || token == .symbol("+") {
      let sign: TemplateExpression.Sign = token == .symbol("-") ? .minus : .plus
      advance()
      let operand = try nested { try $0.signed(filtered: false) }
      value = try make(.unary(sign, operand), line: line, [operand])
    } else {
      value = try primary()
    }
    value = try postfix(value)
    guard filtered else { return value }
    while true {
      switch token {
      case .symbol("|"): value = try filters(of: value)
      case .name("is"): value = try test(of: value)
      case .symbol("("): value = try call(of: value)
      default: return value
      }
    }
  }

  private mutating func postfix(_ operand: TemplateExpression) throws -> TemplateExpression {
    var value = operand
    while true {
      switch token {
      case .symbol("."): value = try member(of: value)
      case .symbol("["): value = try subscripted(value)
      case .symbol("("): value = try call(of: value)
      default: return value
      }
    }
  }

  // MARK: Operands

  private mutating func primary() throws -> TemplateExpression {
    let line = self.line
    let token = self.token
    switch token {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return try make(.literal(.bool(true)), line: line)
      case "false", "False": return try make(.literal(.bool(false)), line: line)
      case "none", "None": return try make(.literal(.none), line: line)
      default:
        note(name: name)
        return try make(.name(name), line: line)
      }
    case .string(var bytes):
      advance()
      while case .string(let more) = self.token {
        bytes += more
        advance()
      }
      return try make(.literal(.text(bytes)), line: line)
    case .integer(let value):
      advance()
      return try make(.literal(.integer(value)), line: line)
    case .float(let value):
      advance()
      return try make(.literal(.float(value)), line: line)
    case .symbol("("):
      advance()
      let inner = try nested { try $0.tuple(inParentheses: true) }
      try expect(.symbol(")"))
      return inner
    case .symbol("["):
      let items = try nested { try $0.items(until: "]") }
      return try make(.list(items), line: line, items)
    case .symbol("{"): return try nested { try $0.mapping() }
    default: throw failure("unexpected \(token.text)")
    }
  }

  private mutating func items(until end: String) throws -> [TemplateExpression] {
    advance()
    var items: [TemplateExpression] = []
    while token != .symbol(end) {
      items.append(try expression())
      guard skip(.symbol(",")) else { break }
    }
    try expect(.symbol(end))
    return items
  }

  private mutating func mapping() throws -> TemplateExpression {
    let line = self.line
    advance()
    var items: [(key: TemplateExpression, value: TemplateExpression)] = []
    while token != .symbol("}") {
      let key = try expression()
      try expect(.symbol(":"))
      items.append((key, try expression()))
      guard skip(.symbol(",")) else { break }
    }
    try expect(.symbol("}"))
    return try make(.mapping(items), line: line, items.flatMap { [$0.key, $0.value] })
  }

  private mutating func member(of value: TemplateExpression) throws -> TemplateExpression {
    let line = self.line
    advance()
    switch token {
    case .name(let name):
      advance()
      return try make(.attribute(value, name), line: line, [value])
    case .integer(let place):
      advance()
      return try make(.subscripted(value, make(.literal(.integer(place)), line: line)), line: line, [value])
    default: throw failure("expected a name or number after '.', found \(token.text)")
    }
  }

  private mutating func subscripted(_ value: TemplateExpression) throws -> TemplateExpression {
    let line = self.line
    advance()
    var parts: [TemplateExpression?] = [nil]
    while token != .symbol("]") {
      if skip(.symbol(":")) {
        guard parts.count < 3 else { throw failure("a slice has at most three parts") }
        parts.append(nil)
      } else {
        guard parts[parts.count - 1] == nil else { throw failure("expected ']', found \(token.text)") }
        // A single subscript may be a tuple, as a key.
        parts[parts.count - 1] = try parts.count == 1 ? nested { try $0.subscriptKey() } : expression()
      }
    }
    try expect(.symbol("]"))
    if parts.count == 1 {
      guard let key = parts[0] else { throw failure("a subscript is empty") }
      return try make(.subscripted(value, key), line: line, [value, key])
    }
    return try make(.sliced(value, parts), line: line, [value] + parts.compactMap { $0 })
  }

  private mutating func subscriptKey() throws -> TemplateExpression {
    let line = self.line
    var items = [try expression()]
    while skip(.symbol(",")) { items.append(try expression()) }
    return items.count == 1 ? items[0] : try make(.tuple(items), line: line, items)
  }

  // MARK: Calls, filters, tests

  private mutating func call(of value: TemplateExpression) throws -> TemplateExpression {
    let line = self.line
    let arguments = try arguments()
    return try make(.call(value, arguments), line: line, [value] + arguments.expressions)
  }

  private mutating func arguments() throws -> TemplateCall {
    try expect(.symbol("("))
    var call = TemplateCall()
    while token != .symbol(")") {
      if skip(.symbol("*")) {
        guard call.list == nil, call.mapping == nil else { throw failure("arguments in the wrong order") }
        call.list = try expression()
      } else if skip(.symbol("**")) {
        guard call.mapping == nil else { throw failure("arguments in the wrong order") }
        call.mapping = try expression()
      } else if case .name(let name) = token, next == .symbol("=") {
        guard call.mapping == nil else { throw failure("arguments in the wrong order") }
        advance()
        advance()
        guard !call.named.contains(where: { $0.name == name }) else {
          throw failure("the argument '\(name)' is repeated")
        }
        call.named.append((name, try expression()))
      } else {
        guard call.named.isEmpty, call.list == nil, call.mapping == nil else {
          throw failure("a positional argument follows a named one")
        }
        call.positional.append(try expression())
      }
      guard skip(.symbol(",")) else { break }
    }
    try expect(.symbol(")"))
    return call
  }

  /// `| name(...)` as often as there are; `first`: the bar before the first one is missing (filter blocks).
  mutating func filters(of operand: TemplateExpression?, first: Bool = false) throws -> TemplateExpression {
    var value = operand
    var isFirst = first
    while isFirst || token == .symbol("|") {
      if !isFirst { advance() }
      isFirst = false
      let line = self.line
      let name = try dottedName()
      let call = token == .symbol("(") ? try arguments() : TemplateCall()
      value = try make(.filter(value, name, call), line: line, (value.map { [$0] } ?? []) + call.expressions)
    }
    guard let value else { throw failure("expected a filter, found \(token.text)") }
    return value
  }

  private mutating func dottedName() throws -> String {
    var name = try expectName()
    while skip(.symbol(".")) { name += try "." + expectName() }
    return name
  }

  private mutating func test(of value: TemplateExpression) throws -> TemplateExpression {
    let line = self.line
    advance()
    let isNegated = skip(.name("not"))
    let name = try dottedName()
    var call = TemplateCall()
    switch token {
    case .symbol("("): call = try arguments()
    case .name("else"), .name("or"), .name("and"): break
    case .name("is"): throw failure("tests with 'is' cannot be chained")
    case .name, .string, .integer, .float, .symbol("["), .symbol("{"):
      call.positional = [try nested { try $0.postfix($0.primary()) }]
    default: break
    }
    let test = try make(.test(value, name, call), line: line, [value] + call.expressions)
    return isNegated ? try make(.not(test), line: line, [test]) : test
  }
}
