/// Methods that values bring along, as Jinja's sandbox lets templates see them.
enum TemplateMethods {
  private static let textNames: Set<String> = [
    "capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "format", "index", "isalnum",
    "isalpha",
    "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "ljust",
    "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition",
    "rsplit",
    "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
  ]
  private static let mappingNames: Set<String> = ["copy", "get", "items", "keys", "values"]
  /// What would change a value is refused.
  private static let mappingRefused: Set<String> = ["clear", "pop", "popitem", "setdefault", "update"]
  private static let listRefused: Set<String> = [
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
  ]
  static func names(of value: TemplateValue) -> (allowed: Set<String>, refused: Set<String>) {
    switch value {
    case .text: (textNames, [])
    case .mapping: (mappingNames, mappingRefused)
    case .list: (["copy", "count", "index"], listRefused)
    case .tuple, .range: (["count", "index"], [])
    default: ([], [])
    }
  }
}

extension TemplateRun {
  func call(_ method: TemplateMethod, _ arguments: TemplateArguments) throws -> TemplateValue {
    switch method.receiver {
    case .text(let text): return try call(method.name, of: text, arguments)
    case .mapping(let mapping): return try call(method.name, of: mapping, arguments)
    case .list, .tuple, .range: return try callOfSequence(method, arguments)
    case .loop(let number): return try call(method.name, loop: number, arguments)
    case .cycler(let number):
      _ = try arguments.bound(method.name, [])
      guard method.name == "next" else {
        cyclers[number].place = 0
        return .none
      }
      let (items, place) = cyclers[number]
      cyclers[number].place = (place + 1) % items.count
      return items[place]
    default: throw TemplateFailure("'\(method.name)' cannot be called")
    }
  }

  private func call(
    _ name: String, of mapping: TemplateMapping, _ arguments: TemplateArguments
  ) throws -> TemplateValue {
    guard name == "get" else {
      _ = try arguments.bound(name, [])
      switch name {
      case "items": return .view(mapping, .items)
      case "keys": return .view(mapping, .keys)
      case "values": return .view(mapping, .values)
      default: return .mapping(mapping)
      }
    }
    guard arguments.named.isEmpty else { throw TemplateFailure("dict.get() takes no keyword arguments") }
    let bound = try arguments.bound("get", ["key", "default"], required: 1)
    return try mapping[TemplateKey(bound[0] ?? .none)] ?? bound[1] ?? .none
  }

  private func callOfSequence(_ method: TemplateMethod, _ arguments: TemplateArguments) throws -> TemplateValue {
    let items = try items(of: method.receiver)
    if method.name == "copy" { return try list(items) }
    let names = method.name == "index" ? ["value", "start", "stop"] : ["value"]
    let bound = try arguments.bound(method.name, names, required: 1)
    let value = bound[0] ?? .none
    if method.name == "count" { return .integer(try items.count { try equal($0, value) }) }
    let start = try clamped(bound[1], items.count, fallback: 0)
    let stop = try clamped(bound[2], items.count, fallback: items.count)
    guard start < stop, let place = try items[start..<stop].firstIndex(where: { try equal($0, value) }) else {
      throw TemplateFailure("\(try representation(value).string) is not in \(method.receiver.typeName)")
    }
    return .integer(place)
  }

  /// A bound counted from either end, within 0...count.
  func clamped(_ value: TemplateValue?, _ count: Int, fallback: Int) throws -> Int {
    guard let value, !value.isNone else { return fallback }
    let index = try integer(value, "index", fallback: fallback)
    return index < 0 ? max(0, max(index, -count) + count) : min(index, count)
  }

  private func call(_ name: String, loop number: Int, _ arguments: TemplateArguments) throws -> TemplateValue {
    guard arguments.named.isEmpty else { throw TemplateFailure("\(name)() takes no keyword arguments") }
    let values = arguments.positional
    if name == "cycle" {
      guard !values.isEmpty else { throw TemplateFailure("no items for cycling given") }
      return values[loops[number].place % values.count]
    }
    let last = loops[number].last
    loops[number].last = values
    try charge(values.count * MemoryLayout<TemplateValue>.stride)
    guard let last, last.count == values.count else { return .bool(true) }
    return .bool(try zip(last, values).contains { try !equal($0, $1) })
  }
}
