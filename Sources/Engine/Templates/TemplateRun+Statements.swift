extension TemplateRun {
  func execute(_ body: [TemplateStatement]) throws -> Flow {
    for statement in body {
      try step()
      line = statement.line
      let flow = try execute(statement)
      if flow != .normal { return flow }
    }
    return .normal
  }

  private func execute(_ statement: TemplateStatement) throws -> Flow {
    switch statement.form {
    case .text(let text): try print(text)
    case .output(let expression): try print(try string(evaluate(expression)))
    case .branches(let list, let otherwise): return try branch(list, otherwise)
    case .loop(let loop): return try run(loop)
    case .assign(let target, let expression): try assign(evaluate(expression), to: target)
    case .assignBlock(let target, let filter, let body): try assignBlock(target, filter, body)
    case .macro(let macro): scope.values[macro.name] = try closure(macro)
    case .callBlock(let call, let macro): try print(try string(self.call(call, caller: closure(macro))))
    case .filterBlock(let filter, let body): try printFiltered(filter, body)
    case .with(let values, let body): return try with(values, body)
    case .scope(let body): return try scoped { try deeper { try execute(body) } }
    case .block(let block): try print(block)
    case .autoescape(let expression, let body):
      guard try !isTrue(evaluate(expression)) else {
        throw TemplateFailure("automatic escaping is for web pages; chat templates have it off")
      }
      return try scoped { try deeper { try execute(body) } }
    case .leave: return .leave
    case .proceed: return .proceed
    }
    return .normal
  }

  /// Runs a block, which sees the outermost names, or those around it.
  func print(_ block: TemplateBlock) throws {
    let line = self.line
    defer { self.line = line }
    try scoped(within: block.isScoped ? scope : outermost) {
      scope.values["super"] = .undefined("there is no parent block called '\(block.name)'.")
      _ = try deeper { try execute(block.body) }
    }
  }

  private func print(_ text: TemplateText) throws {
    guard output.bytes.count + text.bytes.count <= limits.outputBytes else {
      throw TemplateFailure("the template prints more than \(byteText(limits.outputBytes))")
    }
    try charge(text.bytes.count + 48 * text.marks.count)
    output.append(text)
  }

  private func branch(
    _ list: [(test: TemplateExpression, body: [TemplateStatement])], _ otherwise: [TemplateStatement]
  ) throws -> Flow {
    for (test, body) in list where try isTrue(evaluate(test)) { return try deeper { try execute(body) } }
    return try deeper { try execute(otherwise) }
  }

  private func with(
    _ values: [(target: TemplateTarget, value: TemplateExpression)], _ body: [TemplateStatement]
  ) throws -> Flow {
    let evaluated = try values.map { try evaluate($0.value) }
    return try scoped {
      for (place, value) in evaluated.enumerated() { try assign(value, to: values[place].target) }
      return try deeper { try execute(body) }
    }
  }

  private func assignBlock(
    _ target: TemplateTarget, _ filter: TemplateExpression?, _ body: [TemplateStatement]
  ) throws {
    let text = try printed(body)
    try assign(try filter.map { try apply($0, to: text) } ?? text, to: target)
  }

  private func printFiltered(_ filter: TemplateExpression, _ body: [TemplateStatement]) throws {
    try print(try string(apply(filter, to: printed(body))))
  }

  private func printed(_ body: [TemplateStatement]) throws -> TemplateValue {
    try captured { try scoped { _ = try deeper { try execute(body) } } }
  }

  /// A chain of filters that lacks its first operand.
  private func apply(_ filters: TemplateExpression, to text: TemplateValue) throws -> TemplateValue {
    guard case .filter(let inner, let name, let call) = filters.form else { return text }
    return try filter(name, of: inner.map { try apply($0, to: text) } ?? text, arguments(call))
  }

  // MARK: Loops

  private func run(_ loop: TemplateLoop) throws -> Flow {
    try run(loop, over: evaluate(loop.sequence), depth: 1)
  }

  /// `loop(sequence)` within a recursive loop: what the loop prints for another sequence.
  func call(loop number: Int, _ arguments: TemplateArguments) throws -> TemplateValue {
    guard let source = loops[number].source, let around = loops[number].scope else {
      throw TemplateFailure("The loop must have the 'recursive' marker to be called recursively.")
    }
    guard let sequence = try arguments.bound("loop", ["iterable"])[0] else {
      throw TemplateFailure("LoopContext.__call__() missing 1 required positional argument: 'iterable'")
    }
    let depth = loops[number].depth + 1, line = self.line
    defer { self.line = line }
    return try captured {
      try scoped(within: around) { _ = try deeper { try run(source, over: sequence, depth: depth) } }
    }
  }

  private func run(_ loop: TemplateLoop, over sequence: TemplateValue, depth: Int) throws -> Flow {
    var items = try items(of: sequence)
    if let condition = loop.condition {
      items = try items.filter { item in
        try step()
        return try scoped {
          try assign(item, to: loop.target)
          return try isTrue(evaluate(condition))
        }
      }
    }
    if items.isEmpty { return try scoped { try deeper { try execute(loop.otherwise) } } }
    try charge(MemoryLayout<TemplateValue>.stride * items.count + 64)
    let number = loops.count
    loops.append(
      Loop(
        items: items, depth: depth, source: loop.isRecursive ? loop : nil, scope: loop.isRecursive ? scope : nil))
    for (place, item) in items.enumerated() {
      loops[number].place = place
      try step()
      let flow = try scoped {
        scope.values["loop"] = .loop(number)
        try assign(item, to: loop.target)
        return try deeper { try execute(loop.body) }
      }
      if flow == .leave { break }
    }
    return .normal
  }

  // MARK: Assignment

  func assign(_ value: TemplateValue, to target: TemplateTarget) throws {
    switch target {
    case .name(let name): scope.values[name] = value
    case .member(let name, let member):
      guard case .namespace(let number) = lookUp(name) else {
        throw TemplateFailure("cannot assign attribute on non-namespace object")
      }
      try checkDepth(value.depth + 1)
      try charge(64)
      namespaces[number].set(member, value)
    case .tuple(let targets):
      let items = try items(of: value)
      guard items.count == targets.count else {
        throw TemplateFailure(
          items.count < targets.count
            ? "not enough values to unpack (expected \(targets.count), got \(items.count))"
            : "too many values to unpack (expected \(targets.count))")
      }
      for (place, target) in targets.enumerated() { try assign(items[place], to: target) }
    }
  }
}
