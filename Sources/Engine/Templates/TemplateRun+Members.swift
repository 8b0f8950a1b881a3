extension TemplateRun {
  // MARK: Attributes and items

  /// `value.name`: a member of the type first, then the item of that name.
  func attribute(_ name: String, of value: TemplateValue) throws -> TemplateValue {
    if case .undefined(let message) = value { throw TemplateFailure(message) }
    if let member = try member(name, of: value) { return member }
    if case .mapping(let mapping) = value, let item = mapping[name] { return item }
    return missing(.text(name), of: value)
  }

  /// `value[key]`: the item first, then a member of that name.
  func item(_ key: TemplateValue, of value: TemplateValue) throws -> TemplateValue {
    switch value {
    case .undefined(let message): throw TemplateFailure(message)
    case .mapping(let mapping):
      if case .text(let name) = key { try step(name.bytes.count / 64) }
      if let hashed = try? TemplateKey(key), let item = mapping[hashed] { return item }
    case .list(let list), .tuple(let list):
      if let place = key.index.flatMap({ wrapped($0, list.items.count) }) { return list.items[place] }
    case .range(let range):
      if let place = key.index.flatMap({ wrapped($0, range.count) }) { return .integer(range.item(place)) }
    case .text(let text):
      if let place = key.index.flatMap({ wrapped($0, text.count) }) { return try character(place, of: text) }
    default: break
    }
    if case .text(let name) = key, name.bytes.count < 256, let member = try member(name.string, of: value) {
      return member
    }
    return missing(key, of: value)
  }

  /// A place counted from either end; nil beyond them.
  private func wrapped(_ index: Int, _ count: Int) -> Int? {
    let place = index < 0 ? index + count : index
    return (0..<count).contains(place) ? place : nil
  }

  private func character(_ place: Int, of text: TemplateText) throws -> TemplateValue {
    if text.isASCII { return try self.text(text.slice(place..<place + 1)) }
    try step(text.bytes.count / 64)
    var offset = 0
    for _ in 0..<place { offset += text.character(at: offset).length }
    return try self.text(text.slice(offset..<offset + text.character(at: offset).length))
  }

  private func missing(_ key: TemplateValue, of value: TemplateValue) -> TemplateValue {
    guard case .text(let name) = key else {
      return .undefined("\(value.objectName) has no element \(shortRepresentation(key))")
    }
    return .undefined("'\(value.objectName)' has no attribute \(shortRepresentation(.text(name)))")
  }

  /// For messages: as Python prints it, or its type where that is no simple value.
  private func shortRepresentation(_ value: TemplateValue) -> String {
    switch value {
    case .text(let text) where text.bytes.count > 200: "'...'"
    case .none, .bool, .integer, .float, .text: (try? representation(value).string) ?? "..."
    default: value.typeName
    }
  }

  /// What a type brings along under `name`.
  private func member(_ name: String, of value: TemplateValue) throws -> TemplateValue? {
    switch value {
    case .namespace(let number): return namespaces[number][name]
    case .loop(let number): return try loopMember(name, number)
    case .tuple(let list) where list.names.contains(name):
      return list.names.firstIndex(of: name).map { list.items[$0] }
    case .cycler(let number):
      let cycler = cyclers[number]
      switch name {
      case "current": return cycler.items[cycler.place]
      case "pos": return .integer(cycler.place)
      case "items": return .tuple(try items(cycler.items))
      case "next", "reset":
        try charge(48)
        return .method(TemplateMethod(value, name))
      default: return nil
      }
    case .joiner(let number):
      return name == "sep" ? joiners[number].separator : name == "used" ? .bool(joiners[number].isUsed) : nil
    case .blocks: return blocks[name].map { .block($0.name) }
    case .macro(let number):
      let macro = closures[number].macro
      switch name {
      case "name": return .text(macro.name)
      case "arguments": return .tuple(try items(macro.parameters.map { .text($0.name) }))
      case "catch_kwargs": return .bool(macro.special.contains("kwargs"))
      case "catch_varargs": return .bool(macro.special.contains("varargs"))
      case "caller": return .bool(macro.special.contains("caller"))
      default: return nil
      }
    default:
      let methods = TemplateMethods.names(of: value)
      if methods.refused.contains(name) || (name.hasPrefix("__") && name.hasSuffix("__")) {
        return .undefined("access to attribute '\(name)' of '\(value.typeName)' object is unsafe.")
      }
      guard methods.allowed.contains(name) else { return nil }
      try charge(48)
      let method = TemplateMethod(value, name)
      try checkDepth(method.depth)
      return .method(method)
    }
  }

  // MARK: Loops

  private func loopMember(_ name: String, _ number: Int) throws -> TemplateValue? {
    let loop = loops[number]
    let count = loop.items.count
    switch name {
    case "index": return .integer(loop.place + 1)
    case "index0": return .integer(loop.place)
    case "revindex": return .integer(count - loop.place)
    case "revindex0": return .integer(count - loop.place - 1)
    case "first": return .bool(loop.place == 0)
    case "last": return .bool(loop.place == count - 1)
    case "length": return .integer(count)
    case "depth": return .integer(loop.depth)
    case "depth0": return .integer(loop.depth - 1)
    case "previtem": return loop.place > 0 ? loop.items[loop.place - 1] : .undefined("there is no previous item")
    case "nextitem": return loop.place + 1 < count ? loop.items[loop.place + 1] : .undefined("there is no next item")
    case "cycle", "changed":
      try charge(48)
      return .method(TemplateMethod(.loop(number), name))
    default: return nil
    }
  }

  // MARK: Slices

  /// `value[start:stop:step]`; parts that are not given are none.
  func slice(_ value: TemplateValue, _ parts: [TemplateValue]) throws -> TemplateValue {
    var bounds: [Int?] = []
    for part in parts {
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard part.isNone || part.index != nil else {
        throw TemplateFailure("slice indices must be integers or None or have an __index__ method")
      }
      bounds.append(part.index)
    }
    let first = bounds[0]
    let last = bounds.count > 1 ? bounds[1] : nil
    let stride = bounds.count > 2 ? bounds[2] ?? 1 : 1
    func places(_ count: Int) throws -> SlicePlaces {
      guard stride != 0 else { throw TemplateFailure("slice step cannot be zero") }
      return SlicePlaces(first, last, stride, count)
    }
    switch value {
    case .list(let list): return try self.list(places(list.items.count).map { list.items[$0] })
    case .tuple(let list): return .tuple(try items(places(list.items.count).map { list.items[$0] }))
    case .range(let range):
      return try self.list(places(range.count).map { .integer(range.item($0)) })
    case .text(let text): return try slice(text, places(text.count))
    default: throw TemplateFailure("'\(value.typeName)' object is not subscriptable")
    }
  }

  private func slice(_ text: TemplateText, _ places: SlicePlaces) throws -> TemplateValue {
    let offsets = text.characterOffsets
    try step(text.bytes.count / 64)
    guard places.step != 1 else {
      return try self.text(text.slice(offsets[places.start]..<offsets[places.start + places.count]))
    }
    var result = TemplateText()
    for place in places.map({ $0 }) {
      try step()
      result.append(text.slice(offsets[place]..<offsets[place + 1]))
    }
    return try self.text(result)
  }
}

/// The places that a slice of a sequence takes (Python's `slice.indices`).
private struct SlicePlaces {
  let start: Int
  let step: Int
  let count: Int

  /// `step` is not zero.
  init(_ first: Int?, _ last: Int?, _ step: Int, _ count: Int) {
    let lowest = step > 0 ? 0 : -1
    let highest = step > 0 ? count : count - 1
    func bound(_ index: Int?, _ fallback: Int) -> Int {
      guard let index else { return fallback }
      let place = index < 0 ? max(index, -count - 1) + count : index
      return min(max(place, lowest), highest)
    }
    let start = bound(first, step > 0 ? lowest : highest)
    let stop = bound(last, step > 0 ? highest : lowest)
    let distance = step > 0 ? stop - start : start - stop
    self.step = step
    self.count = distance > 0 ? Int((UInt(distance) - 1) / step.magnitude) + 1 : 0
    self.start = min(max(start, 0), count)
  }

  func map<Result>(_ transform: (Int) throws -> Result) rethrows -> [Result] {
    try (0..<count).map { try transform(start + $0 * step) }
  }
}
