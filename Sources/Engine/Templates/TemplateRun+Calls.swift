extension TemplateRun {
  // MARK: Iteration

  /// What iterating over a value gives. `asArgument`: the message is that of `in`.
  func items(of value: TemplateValue, asArgument: Bool = false) throws -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list), .tuple(let list): return try counted(list.items)
    case .mapping(let mapping): return try counted(mapping.keys)
    case .view(let mapping, let view): return try counted(view.items(of: mapping))
    case .range(let range): return try counted(range.items)
    case .iterator(let number):
      let rest = Array(iterators[number].items[iterators[number].place...])
      iterators[number].place = iterators[number].items.count
      return try counted(rest)
    case .text(let text):
      let offsets = text.characterOffsets
      try charge(offsets.count * 96)
      return try zip(offsets, offsets.dropFirst()).map { start, end in
        try step()
        return .text(text.slice(start..<end))
      }
    default:
      throw TemplateFailure(
        asArgument
          ? "argument of type '\(value.typeName)' is not iterable" : "'\(value.typeName)' object is not iterable")
    }
  }

  private func counted(_ items: [TemplateValue]) throws -> [TemplateValue] {
    try step(items.count / 16)
    return items
  }

  /// Python's `len`.
  func length(of value: TemplateValue) throws -> Int {
    switch value {
    case .undefined: return 0
    case .text(let text):
      if !text.isASCII { try step(text.bytes.count / 64) }
      return text.count
    case .list(let list), .tuple(let list): return list.items.count
    case .mapping(let mapping), .view(let mapping, _): return mapping.count
    case .range(let range): return range.count
    case .loop(let number): return loops[number].items.count
    default: throw TemplateFailure("object of type '\(value.typeName)' has no len()")
    }
  }

  // MARK: Calls

  func call(_ callee: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    switch callee {
    case .undefined(let message): throw TemplateFailure(message)
    case .function(let function): return try call(function, arguments)
    case .macro(let number): return try deeper { try call(closures[number], arguments) }
    case .method(let method): return try call(method, arguments)
    case .loop(let number): return try call(loop: number, arguments)
    case .joiner(let number):
      _ = try arguments.bound("joiner", [])
      guard joiners[number].isUsed else {
        joiners[number].isUsed = true
        return .text("")
      }
      return joiners[number].separator
    case .block(let name):
      _ = try arguments.bound(name, [])
      return try captured { if let block = blocks[name] { try print(block) } }
    default: throw TemplateFailure("'\(callee.typeName)' object is not callable")
    }
  }

  func closure(_ macro: TemplateMacro) throws -> TemplateValue {
    try charge(64)
    closures.append(Closure(macro: macro, scope: scope))
    return .macro(closures.count - 1)
  }

  private func call(_ closure: Closure, _ arguments: TemplateArguments) throws -> TemplateValue {
    let macro = closure.macro
    let line = self.line
    defer { self.line = line }
    return try captured {
      try scoped(within: closure.scope) {
        try bind(macro, arguments)
        _ = try execute(macro.body)
      }
    }
  }

  /// Gives a macro's parameters their values, defaults in order, which see the parameters before them.
  private func bind(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws {
    let names = macro.parameters.map(\.name)
    var named = arguments.named
    func take(_ name: String) -> TemplateValue? {
      named.firstIndex { $0.name == name }.map { named.remove(at: $0).value }
    }
    for (place, parameter) in macro.parameters.enumerated() {
      let given = place < arguments.positional.count ? arguments.positional[place] : take(parameter.name)
      scope.values[parameter.name] =
        try given ?? parameter.fallback.map { try evaluate($0) }
        ?? .undefined("parameter '\(parameter.name)' was not provided")
    }
    let extra = Array(arguments.positional.dropFirst(names.count))
    if macro.special.contains("caller"), !names.contains("caller") {
      scope.values["caller"] = take("caller") ?? .undefined("No caller defined")
    }
    if macro.special.contains("kwargs") {
      var mapping = TemplateMapping()
      for (name, value) in named { mapping.set(name, value) }
      try checkDepth(mapping.depth)
      scope.values["kwargs"] = .mapping(mapping)
    } else if let first = named.first {
      throw TemplateFailure("macro '\(macro.name)' takes no keyword argument '\(first.name)'")
    }
    if macro.special.contains("varargs") {
      scope.values["varargs"] = .tuple(try items(extra))
    } else if !extra.isEmpty {
      throw TemplateFailure("macro '\(macro.name)' takes not more than \(names.count) argument(s)")
    }
  }

  // MARK: Functions

  private func call(_ function: TemplateFunction, _ arguments: TemplateArguments) throws -> TemplateValue {
    switch function {
    case .range: return try range(arguments)
    case .dict: return .mapping(try mapping(arguments))
    case .namespace:
      try charge(128)
      namespaces.append(try mapping(arguments))
      return .namespace(namespaces.count - 1)
    case .cycler:
      guard arguments.named.isEmpty else { throw TemplateFailure("cycler() takes no keyword arguments") }
      guard !arguments.positional.isEmpty else { throw TemplateFailure("at least one item has to be provided") }
      _ = try items(arguments.positional)
      cyclers.append((arguments.positional, 0))
      return .cycler(cyclers.count - 1)
    case .joiner:
      try charge(64)
      joiners.append((try arguments.bound("joiner", ["sep"])[0] ?? .text(", "), false))
      return .joiner(joiners.count - 1)
    case .lipsum:
      throw TemplateFailure("lipsum is not supported: it gives another text each time, and a prompt must stay the same")
    case .raiseException:
      let message = try arguments.bound("raise_exception", ["message"], required: 1)[0] ?? .none
      throw EngineError(.template, try string(message).string)
    case .strftimeNow:
      let format = try arguments.bound("strftime_now", ["format"], required: 1)[0] ?? .none
      guard case .text(let format) = format else {
        throw TemplateFailure("strftime() argument 1 must be str, not \(format.typeName)")
      }
      try charge(format.bytes.count * 16)
      return try text(TemplateText(date.text(format.string)))
    }
  }

  private func range(_ arguments: TemplateArguments) throws -> TemplateValue {
    let given = try arguments.bound("range", ["start", "stop", "step"], required: 1).compactMap { $0 }
    let bounds = try given.map { value -> Int in
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard let bound = value.index else {
        throw TemplateFailure("'\(value.typeName)' object cannot be interpreted as an integer")
      }
      return bound
    }
    let stride = bounds.count > 2 ? bounds[2] : 1
    guard stride != 0 else { throw TemplateFailure("range() arg 3 must not be zero") }
    return .range(
      try TemplateRange(
        start: bounds.count > 1 ? bounds[0] : 0, stop: bounds.count > 1 ? bounds[1] : bounds[0], step: stride))
  }

  /// `dict` and `namespace`: a mapping or pairs, and named values.
  private func mapping(_ arguments: TemplateArguments) throws -> TemplateMapping {
    guard arguments.positional.count <= 1 else { throw TemplateFailure("dict expected at most 1 argument") }
    var mapping = TemplateMapping()
    if case .mapping(let given)? = arguments.positional.first {
      mapping = given
      try charge(mapping.count * 128)
    } else if let pairs = arguments.positional.first {
      for pair in try items(of: pairs) {
        let parts = try items(of: pair)
        guard parts.count == 2 else { throw TemplateFailure("a dictionary is made of pairs") }
        try charge(128)
        mapping.set(parts[0], try TemplateKey(parts[0]), parts[1])
      }
    }
    for (name, value) in arguments.named {
      try charge(128)
      mapping.set(name, value)
    }
    try checkDepth(mapping.depth)
    return mapping
  }
}
