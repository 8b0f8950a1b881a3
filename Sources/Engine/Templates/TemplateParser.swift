/// What a template's source says, ready to run.
struct TemplateProgram: Sendable {
  let body: [TemplateStatement]
  let blocks: [String: TemplateBlock]

  /// Throws `.template` with the line where the source is no template or uses what chat templates do not have.
  init(_ source: String) throws {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    body = try parser.template()
    blocks = parser.blocks
  }
}

/// Statements of a template (Jinja's grammar without inheritance, imports and translation).
struct TemplateParser {
  let tokens: [TemplateToken]
  var place = 0
  /// How deep statements and expressions stand in each other here.
  var nesting = 0
  private var loops = 0
  fileprivate var blocks: [String: TemplateBlock] = [:]
  /// For each macro that is open: which of `varargs`, `kwargs`, `caller` its body reads.
  private var specialNames: [Set<String>] = []

  init(tokens: [TemplateToken]) { self.tokens = tokens }

  // MARK: Tokens

  var token: TemplateToken.Kind { tokens[place].kind }
  var next: TemplateToken.Kind { tokens[min(place + 1, tokens.count - 1)].kind }
  var line: Int { tokens[place].line }

  func failure(_ message: String) -> EngineError { templateSyntaxError(message, line: line) }

  mutating func advance() { place = min(place + 1, tokens.count - 1) }

  mutating func skip(_ kind: TemplateToken.Kind) -> Bool {
    guard token == kind else { return false }
    advance()
    return true
  }

  mutating func expect(_ kind: TemplateToken.Kind) throws {
    guard skip(kind) else { throw failure("expected \(kind.text), found \(token.text)") }
  }

  mutating func expectName() throws -> String {
    guard case .name(let name) = token else { throw failure("expected a name, found \(token.text)") }
    advance()
    return name
  }

  mutating func nested<Result>(_ body: (inout TemplateParser) throws -> Result) throws -> Result {
    guard nesting < 100 else { throw failure("nested more than 100 deep") }
    nesting += 1
    defer { nesting -= 1 }
    return try body(&self)
  }

  mutating func note(name: String) {
    guard ["varargs", "kwargs", "caller"].contains(name) else { return }
    for place in specialNames.indices { specialNames[place].insert(name) }
  }

  // MARK: Bodies

  mutating func template() throws -> [TemplateStatement] {
    let body = try statements(until: [])
    guard token == .end else { throw failure("unexpected \(token.text)") }
    return body
  }

  /// Statements up to a block that begins with one of `ends`; the parser then stands on that name.
  private mutating func statements(until ends: Set<String>) throws -> [TemplateStatement] {
    var body: [TemplateStatement] = []
    while true {
      let line = self.line
      switch token {
      case .data(let bytes):
        body.append(TemplateStatement(form: .text(TemplateText(bytes: bytes)), line: line))
        advance()
      case .variableBegin:
        advance()
        body.append(TemplateStatement(form: .output(try tuple()), line: line))
        try expect(.variableEnd)
      case .blockBegin:
        advance()
        guard case .name(let name) = token else { throw failure("expected the name of a block, found \(token.text)") }
        if ends.contains(name) { return body }
        advance()
        body += try nested { try $0.statement(name, line: line) }
        try expect(.blockEnd)
      case .end where ends.isEmpty: return body
      default:
        let wanted = ends.sorted().map { "'\($0)'" }.joined(separator: " or ")
        throw failure("unexpected \(token.text)\(ends.isEmpty ? "" : "; \(wanted) is missing")")
      }
    }
  }

  /// The rest of the opening block, the body and the closing name.
  private mutating func body(until ends: Set<String>) throws -> (statements: [TemplateStatement], end: String) {
    _ = skip(.symbol(":"))
    try expect(.blockEnd)
    let statements = try statements(until: ends)
    return (statements, try expectName())
  }

  private mutating func body(_ end: String) throws -> [TemplateStatement] { try body(until: [end]).statements }

  // MARK: Statements

  /// The statement `name`, whose name has been read; the parser then stands on the end of its last block.
  private mutating func statement(_ name: String, line: Int) throws -> [TemplateStatement] {
    let form: TemplateStatement.Form
    switch name {
    case "if": form = try branches()
    case "for": form = try loop()
    case "set": form = try assignment()
    case "macro": form = try macro()
    case "call": form = try callBlock()
    case "filter": form = .filterBlock(try blockFilter(), body: try body("endfilter"))
    case "with": form = try with()
    case "generation": form = .scope(try outsideLoops { try $0.body("endgeneration") })
    case "block": form = .block(try block())
    case "autoescape":
      form = .autoescape(try expression(), body: try outsideLoops { try $0.body("endautoescape") })
    case "print": return try prints(line: line)
    case "break", "continue":
      guard loops > 0 else { throw failure("'\(name)' outside a loop") }
      form = name == "break" ? .leave : .proceed
    case "extends", "include", "import", "from", "trans", "do", "debug":
      throw failure("'\(name)' blocks are not part of chat templates")
    default:
      throw failure("unknown block '\(name)'")
    }
    return [TemplateStatement(form: form, line: line)]
  }

  private mutating func branches() throws -> TemplateStatement.Form {
    var list: [(test: TemplateExpression, body: [TemplateStatement])] = []
    var otherwise: [TemplateStatement] = []
    while true {
      let test = try tuple(conditional: false)
      let (statements, end) = try body(until: ["elif", "else", "endif"])
      list.append((test, statements))
      if end == "elif" { continue }
      if end == "else" { otherwise = try body("endif") }
      return .branches(list, otherwise: otherwise)
    }
  }

  private mutating func loop() throws -> TemplateStatement.Form {
    let target = try target(stop: "in")
    try expect(.name("in"))
    let sequence = try tuple(conditional: false, stop: "recursive")
    let condition = skip(.name("if")) ? try expression() : nil
    let isRecursive = skip(.name("recursive"))
    loops += 1
    let (statements, end) = try body(until: ["endfor", "else"])
    loops -= 1
    let otherwise = end == "else" ? try body("endfor") : []
    return .loop(
      TemplateLoop(
        target: target, sequence: sequence, condition: condition, isRecursive: isRecursive, body: statements,
        otherwise: otherwise))
  }

  private mutating func block() throws -> TemplateBlock {
    let name = try expectName()
    guard blocks[name] == nil else { throw failure("block '\(name)' defined twice") }
    let isScoped = skip(.name("scoped"))
    if skip(.name("required")) {
      throw failure("block '\(name)' is required from another template, and a chat template has none")
    }
    guard token != .symbol("-") else { throw failure("names of blocks have no hyphens") }
    blocks[name] = TemplateBlock(name: name, isScoped: isScoped, body: [])  // taken, for blocks inside
    let body = try outsideLoops { try $0.body("endblock") }
    _ = skip(.name(name))
    let block = TemplateBlock(name: name, isScoped: isScoped, body: body)
    blocks[name] = block
    return block
  }

  private mutating func assignment() throws -> TemplateStatement.Form {
    let target = try target(members: true)
    if skip(.symbol("=")) { return .assign(target, try tuple()) }
    let filter = token == .symbol("|") ? try filters(of: nil) : nil
    return .assignBlock(target, filter: filter, body: try body("endset"))
  }

  private mutating func with() throws -> TemplateStatement.Form {
    var values: [(target: TemplateTarget, value: TemplateExpression)] = []
    while token != .blockEnd {
      if !values.isEmpty { try expect(.symbol(",")) }
      let target = try target()
      try expect(.symbol("="))
      values.append((target, try expression()))
    }
    return .with(values, body: try body("endwith"))
  }

  private mutating func prints(line: Int) throws -> [TemplateStatement] {
    var list: [TemplateStatement] = []
    while token != .blockEnd {
      if !list.isEmpty { try expect(.symbol(",")) }
      list.append(TemplateStatement(form: .output(try expression()), line: line))
    }
    return list
  }

  private mutating func blockFilter() throws -> TemplateExpression {
    guard case .name = token else { throw failure("expected a filter, found \(token.text)") }
    return try filters(of: nil, first: true)
  }

  // MARK: Macros

  private mutating func macro() throws -> TemplateStatement.Form {
    let name = try expectName()
    return .macro(try macro(name, parameters: try parameters(), end: "endmacro"))
  }

  private mutating func callBlock() throws -> TemplateStatement.Form {
    let parameters = token == .symbol("(") ? try parameters() : []
    let call = try expression()
    guard case .call = call.form else { throw failure("expected a call in a 'call' block") }
    return .callBlock(call, try macro("caller", parameters: parameters, end: "endcall"))
  }

  private mutating func macro(
    _ name: String, parameters: [(name: String, fallback: TemplateExpression?)], end: String
  ) throws -> TemplateMacro {
    specialNames.append([])
    let statements = try outsideLoops { try $0.body(end) }
    return TemplateMacro(
      name: name, parameters: parameters, body: statements, special: specialNames.popLast() ?? [])
  }

  private mutating func outsideLoops<Result>(_ body: (inout TemplateParser) throws -> Result) throws -> Result {
    let outer = loops
    loops = 0
    defer { loops = outer }
    return try body(&self)
  }

  private mutating func parameters() throws -> [(name: String, fallback: TemplateExpression?)] {
    var list: [(name: String, fallback: TemplateExpression?)] = []
    try expect(.symbol("("))
    while token != .symbol(")") {
      if !list.isEmpty { try expect(.symbol(",")) }
      let name = try expectName()
      let fallback = skip(.symbol("=")) ? try expression() : nil
      if fallback == nil, list.last?.fallback != nil { throw failure("a parameter without default follows one with") }
      guard !list.contains(where: { $0.name == name }) else { throw failure("the parameter '\(name)' appears twice") }
      list.append((name, fallback))
    }
    try expect(.symbol(")"))
    return list
  }

  // MARK: Targets

  /// A name, a tuple of names in parentheses or not; with `members`, also `namespace.name`.
  private mutating func target(stop: String? = nil, members: Bool = false) throws -> TemplateTarget {
    var list: [TemplateTarget] = []
    var isTuple = false
    while true {
      if isTuple, isTupleEnd(stop) || token == .symbol("=") { break }
      list.append(try singleTarget(members: members))
      guard skip(.symbol(",")) else { break }
      isTuple = true
    }
    return isTuple ? .tuple(list) : list[0]
  }

  private mutating func singleTarget(members: Bool) throws -> TemplateTarget {
    if skip(.symbol("(")) {
      let inner = try nested { try $0.target(members: members) }
      try expect(.symbol(")"))
      return inner
    }
    let name = try expectName()
    guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
      throw failure("can't assign to '\(name)'")
    }
    if members, skip(.symbol(".")) { return .member(namespace: name, name: try expectName()) }
    return .name(name)
  }

  func isTupleEnd(_ stop: String?) -> Bool {
    switch token {
    case .variableEnd, .blockEnd, .symbol(")"): true
    case .name(let name): name == stop
    default: false
    }
  }
}
