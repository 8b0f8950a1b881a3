extension TemplateRun {
  /// Filters of lists and mappings.
  static let sequenceFilters: [String: Filter] = {
    let length: Filter = { run, value, _ in .integer(try run.length(of: value)) }
    return [
      "length": length, "count": length,
      "list": { run, value, _ in try run.list(run.items(of: value)) },
      "first": { run, value, _ in try run.first(of: value) },
      "last": { run, value, _ in try run.last(of: value) },
      "join": { run, value, arguments in
        let bound = try arguments.bound("join", ["d", "attribute"])
        let path = try run.path(bound[1])
        let parts = try run.items(of: value).map { try run.string(run.value(at: path, of: $0)) }
        return try run.joined(parts, bound[0].map(run.string) ?? TemplateText())
      },
      "reverse": { run, value, _ in
        if case .text = value { return try run.slice(value, [.none, .none, .integer(-1)]) }
        if case .iterator = value { throw TemplateFailure("argument must be iterable") }
        return try run.iterator(run.items(of: value).reversed())
      },
      "items": { run, value, _ in
        switch value {
        case .undefined: return try run.iterator([])
        case .mapping(let mapping): return try run.iterator(mapping.items)
        default: throw TemplateFailure("Can only get item pairs from a mapping.")
        }
      },
      "dictsort": { run, value, arguments in try run.dictsort(value, arguments) },
      "sort": { run, value, arguments in
        let bound = try arguments.bound("sort", ["reverse", "case_sensitive", "attribute"])
        let paths = try run.paths(bound[2])
        let keepsCase = try run.flag(bound[1])
        let key = { (item: TemplateValue) -> TemplateValue in
          .list(try run.items(try paths.map { run.folded(try run.value(at: $0, of: item), keepsCase) }))
        }
        return try run.list(try run.sorted(run.items(of: value), reversed: run.flag(bound[0]), key: key))
      },
      "unique": { run, value, arguments in
        let bound = try arguments.bound("unique", ["case_sensitive", "attribute"])
        let path = try run.path(bound[1])
        let keepsCase = try run.flag(bound[0])
        var seen: Set<TemplateKey> = []
        return try run.iterator(
          run.items(of: value).filter {
            seen.insert(try TemplateKey(run.folded(run.value(at: path, of: $0), keepsCase))).inserted
          })
      },
      "min": { run, value, arguments in try run.extreme(value, arguments, "min") { $0 < 0 } },
      "max": { run, value, arguments in try run.extreme(value, arguments, "max") { $0 > 0 } },
      "sum": { run, value, arguments in
        let bound = try arguments.bound("sum", ["attribute", "start"])
        let path = try run.path(bound[0])
        return try run.items(of: value).reduce(bound[1] ?? .integer(0)) {
          if $0.isText { throw TemplateFailure("sum() can't sum strings [use ''.join(seq) instead]") }
          return try run.apply(.add, $0, run.value(at: path, of: $1))
        }
      },
      "map": { run, value, arguments in try run.mapped(value, arguments) },
      "select": { run, value, arguments in try run.selected(value, arguments, keeps: true, byAttribute: false) },
      "reject": { run, value, arguments in try run.selected(value, arguments, keeps: false, byAttribute: false) },
      "selectattr": { run, value, arguments in try run.selected(value, arguments, keeps: true, byAttribute: true) },
      "rejectattr": { run, value, arguments in try run.selected(value, arguments, keeps: false, byAttribute: true) },
      "batch": { run, value, arguments in try run.batched(value, arguments) },
      "slice": { run, value, arguments in try run.columns(value, arguments) },
      "groupby": { run, value, arguments in try run.grouped(value, arguments) },
    ]
  }()

  // MARK: Ends

  private func first(of value: TemplateValue) throws -> TemplateValue {
    if case .iterator(let number) = value {
      guard iterators[number].place < iterators[number].items.count else { return Self.noFirst }
      iterators[number].place += 1
      return iterators[number].items[iterators[number].place - 1]
    }
    return try items(of: value).first ?? Self.noFirst
  }

  private static let noFirst = TemplateValue.undefined("No first item, sequence was empty.")

  private func last(of value: TemplateValue) throws -> TemplateValue {
    if case .iterator = value { throw TemplateFailure("'generator' object is not reversible") }
    return try items(of: value).last ?? .undefined("No last item, sequence was empty.")
  }

  // MARK: Keys

  /// The steps of an attribute such as `function.name` or `0.role`; none where it is not given.
  private func path(_ attribute: TemplateValue?) throws -> [TemplateValue] {
    guard let attribute, !attribute.isNone else { return [] }
    guard case .text(let text) = attribute else { return [attribute] }
    return text.string.split(separator: ".", omittingEmptySubsequences: false).map { part in
      !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        ? Int(part).map { .integer($0) } ?? .text(String(part)) : .text(String(part))
    }
  }

  /// The same of several attributes with commas.
  private func paths(_ attribute: TemplateValue?) throws -> [[TemplateValue]] {
    guard case .text(let text)? = attribute else { return [try path(attribute)] }
    return try text.string.split(separator: ",", omittingEmptySubsequences: false).map { try path(.text(String($0))) }
  }

  private func value(at path: [TemplateValue], of value: TemplateValue) throws -> TemplateValue {
    try path.reduce(value) { try item($1, of: $0) }
  }

  /// Strings in lower case unless case counts.
  private func folded(_ value: TemplateValue, _ keepsCase: Bool) -> TemplateValue {
    if !keepsCase, case .text(let text) = value { return .text(text.lowercased) }
    return value
  }

  private func dictsort(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("dictsort", ["case_sensitive", "by", "reverse"])
    let by = try bound[1].map { try string($0).string } ?? "key"
    let keepsCase = try flag(bound[0])
    guard by == "key" || by == "value" else {
      throw TemplateFailure("You can only sort by either \"key\" or \"value\"")
    }
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    guard case .mapping(let mapping) = value else {
      throw TemplateFailure("'\(value.typeName)' object has no attribute 'items'")
    }
    let entries = try sorted(Array(mapping.entries.values), reversed: flag(bound[2])) {
      folded(by == "key" ? $0.key : $0.value, keepsCase)
    }
    return try list(entries.map { .tuple(try items([$0.key, $0.value])) })
  }

  private func extreme(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ name: String, _ isBetter: (Int) -> Bool
  ) throws -> TemplateValue {
    let bound = try arguments.bound(name, ["case_sensitive", "attribute"])
    let path = try path(bound[1])
    let keepsCase = try flag(bound[0])
    var best: (item: TemplateValue, key: TemplateValue)?
    for item in try items(of: value) {
      let key = folded(try self.value(at: path, of: item), keepsCase)
      guard let current = best else {
        best = (item, key)
        continue
      }
      if let order = try order(key, current.key), isBetter(order) { best = (item, key) }
    }
    return best?.item ?? .undefined("No aggregated item, sequence was empty.")
  }

  // MARK: Choosing

  private func mapped(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
      let bound = try arguments.bound("map", ["attribute", "default"])
      let path = try path(bound[0])
      return try iterator(
        items(of: value).map { item in
          try path.reduce(item) {
            let found = try self.item($1, of: $0)
            guard found.isUndefined, let fallback = bound[1], !fallback.isNone else { return found }
            return fallback
          }
        })
    }
    guard let name = arguments.positional.first else { throw TemplateFailure("map requires a filter argument") }
    var rest = arguments
    rest.positional.removeFirst()
    let filter = try string(name).string
    return try iterator(items(of: value).map { try self.filter(filter, of: $0, rest) })
  }

  private func selected(
    _ value: TemplateValue, _ arguments: TemplateArguments, keeps: Bool, byAttribute: Bool
  ) throws -> TemplateValue {
    guard try isTrue(value) else { return try iterator([]) }
    var rest = arguments
    var path: [TemplateValue] = []
    if byAttribute {
      guard let attribute = rest.positional.first else { throw TemplateFailure("Missing parameter for attribute name") }
      path = try self.path(attribute)
      rest.positional.removeFirst()
    }
    let test = try rest.positional.first.map { try string($0).string }
    if test != nil { rest.positional.removeFirst() }
    return try iterator(
      items(of: value).filter { item in
        try step()
        let subject = try self.value(at: path, of: item)
        return try (test.map { try self.test($0, of: subject, rest) } ?? isTrue(subject)) == keeps
      })
  }

  // MARK: Groups

  private func batched(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("batch", ["linecount", "fill_with"], required: 1)
    let size = try integer(bound[0], "batch", fallback: 1)
    let all = try items(of: value)
    guard size > 0 else { throw TemplateFailure("batch: linecount must be positive") }
    if bound[1] != nil { try charge(min(size, 1 << 40) * MemoryLayout<TemplateValue>.stride) }
    return try iterator(
      stride(from: 0, to: all.count, by: size).map { start in
        var row = Array(all[start..<min(all.count, start + size)])
        if let fill = bound[1], !fill.isNone { row += Array(repeating: fill, count: size - row.count) }
        return try list(row)
      })
  }

  /// Items of equal key together, in the order of the keys: tuples `(grouper, list)` with those names.
  private func grouped(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("groupby", ["attribute", "default", "case_sensitive"], required: 1)
    let path = try path(bound[0]), keepsCase = try flag(bound[2])
    func key(_ item: TemplateValue) throws -> TemplateValue {
      try path.reduce(item) {
        let found = try self.item($1, of: $0)
        guard found.isUndefined, let fallback = bound[1], !fallback.isNone else { return found }
        return fallback
      }
    }
    var groups: [(key: TemplateValue, folded: TemplateValue, items: [TemplateValue])] = []
    for item in try sorted(items(of: value), key: { folded(try key($0), keepsCase) }) {
      let own = try key(item), folded = folded(own, keepsCase)
      if let last = groups.indices.last, try equal(groups[last].folded, folded) {
        groups[last].items.append(item)
      } else {
        groups.append((own, folded, [item]))
      }
    }
    return try list(
      groups.map { group in
        let pair = try items([group.key, list(group.items)])
        return .tuple(TemplateList(pair.items, names: ["grouper", "list"]))
      })
  }

  private func columns(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
    let bound = try arguments.bound("slice", ["slices", "fill_with"], required: 1)
    let count = try integer(bound[0], "slice", fallback: 1)
    let all = try items(of: value)
    guard count > 0 else { throw TemplateFailure("integer division or modulo by zero") }
    try step(count)
    try charge(count)
    guard count <= 100_000 else { throw TemplateFailure("slice: at most 100000 slices are made") }
    var start = 0
    return try iterator(
      (0..<count).map { place in
        let isLonger = place < all.count % count
        let end = start + all.count / count + (isLonger ? 1 : 0)
        var row = Array(all[start..<end])
        start = end
        if let fill = bound[1], !fill.isNone, !isLonger { row.append(fill) }
        return try list(row)
      })
  }
}
