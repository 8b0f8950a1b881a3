import OrderedCollections

/// A value of a template, with Python's meaning. Lists and mappings never change once made: the sandbox that chat
/// templates are written for refuses every method that would change one. What does change (namespaces, iterators,
/// loops) and macros live in the run; values hold their number there.
enum TemplateValue: Sendable {
  /// A name or member that is not there; the text says which. Prints as nothing, most other uses are errors.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case text(TemplateText)
  case list(TemplateList)
  case tuple(TemplateList)
  case mapping(TemplateMapping)
  case view(TemplateMapping, TemplateView)
  case range(TemplateRange)
  case iterator(Int)
  case namespace(Int)
  case macro(Int)
  case loop(Int)
  case cycler(Int)
  case joiner(Int)
  /// The template itself (`self`), and one of its blocks.
  case blocks
  case block(String)
  case function(TemplateFunction)
  case method(TemplateMethod)

  static func text(_ text: String) -> TemplateValue { .text(TemplateText(text)) }
  static func text(_ bytes: [UInt8]) -> TemplateValue { .text(TemplateText(bytes: bytes)) }

  /// How deep lists stand in lists.
  var depth: Int {
    switch self {
    case .list(let list), .tuple(let list): list.depth
    case .mapping(let mapping), .view(let mapping, _): mapping.depth
    case .method(let method): method.depth
    default: 0
    }
  }

  /// The type as Python's messages name it.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .integer: "int"
    case .float: "float"
    case .text: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .mapping: "dict"
    case .view(_, let view): view.typeName
    case .range: "range"
    case .iterator: "generator"
    case .namespace: "Namespace"
    case .macro: "Macro"
    case .loop: "LoopContext"
    case .cycler: "Cycler"
    case .joiner: "Joiner"
    case .blocks: "TemplateReference"
    case .block: "BlockReference"
    case .function: "function"
    case .method: "builtin_function_or_method"
    }
  }

  /// The object as Jinja's messages on missing members name it.
  var objectName: String {
    switch self {
    case .none: "None"
    case .namespace: "jinja2.utils.Namespace object"
    case .macro: "jinja2.runtime.Macro object"
    case .loop: "jinja2.runtime.LoopContext object"
    case .cycler: "jinja2.utils.Cycler object"
    case .joiner: "jinja2.utils.Joiner object"
    case .blocks: "jinja2.runtime.TemplateReference object"
    case .block: "jinja2.runtime.BlockReference object"
    default: "\(typeName) object"
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }
  var isNone: Bool { if case .none = self { true } else { false } }
  var isText: Bool { if case .text = self { true } else { false } }

  /// An integer; booleans count, as in Python.
  var index: Int? {
    switch self {
    case .integer(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var number: Double? {
    if case .float(let value) = self { return value }
    return index.map(Double.init)
  }
}

/// Items of a list or tuple. Made by `TemplateRun.items(_:)`, which bounds the depth.
struct TemplateList: Sendable {
  let items: [TemplateValue]
  let depth: Int
  /// Of the items of a named tuple.
  let names: [String]

  init(_ items: [TemplateValue], names: [String] = []) {
    (self.items, self.names) = (items, names)
    depth = (items.lazy.map(\.depth).max() ?? 0) + 1
  }
}

/// A dictionary that keeps the order of its keys.
struct TemplateMapping: Sendable {
  struct Entry: Sendable {
    let key: TemplateValue
    var value: TemplateValue
  }

  private(set) var entries: OrderedDictionary<TemplateKey, Entry> = [:]
  private(set) var depth = 1

  var count: Int { entries.count }
  var keys: [TemplateValue] { entries.values.map(\.key) }
  var values: [TemplateValue] { entries.values.map(\.value) }
  /// Pairs of key and value.
  var items: [TemplateValue] { entries.values.map { .tuple(TemplateList([$0.key, $0.value])) } }

  subscript(key: TemplateKey) -> TemplateValue? { entries[key]?.value }
  subscript(name: String) -> TemplateValue? { entries[.text(Array(name.utf8))]?.value }

  mutating func set(_ key: TemplateValue, _ hashed: TemplateKey, _ value: TemplateValue) {
    depth = max(depth, value.depth + 1)
    entries[hashed, default: Entry(key: key, value: value)].value = value
  }

  mutating func set(_ name: String, _ value: TemplateValue) {
    let key = TemplateText(name)
    set(.text(key), .text(key.bytes), value)
  }
}

/// A key as dictionaries compare them: 1, 1.0 and true are one.
enum TemplateKey: Hashable, Sendable {
  case none
  case integer(Int)
  case float(Double)
  case text([UInt8])
  case tuple([TemplateKey])

  init(_ value: TemplateValue) throws {
    var parts = 0
    try self.init(value, &parts)
  }

  /// `parts`: how many the key has so far; tuples that hold one tuple many times could have any number.
  private init(_ value: TemplateValue, _ parts: inout Int) throws {
    parts += 1
    guard parts <= 1000 else { throw TemplateFailure("a key has more than 1000 parts") }
    switch value {
    case .none: self = .none
    case .bool(let value): self = .integer(value ? 1 : 0)
    case .integer(let value): self = .integer(value)
    case .float(let value): self = Int(exactly: value).map { .integer($0) } ?? .float(value)
    case .text(let text): self = .text(text.bytes)
    case .undefined: self = .text(Array("Undefined".utf8) + [0xFF])
    case .tuple(let list): self = .tuple(try list.items.map { try TemplateKey($0, &parts) })
    default: throw TemplateFailure("unhashable type: '\(value.typeName)'")
    }
  }
}

/// What a dictionary's `keys()`, `values()` and `items()` give.
enum TemplateView: Sendable {
  case keys, values, items

  var typeName: String {
    switch self {
    case .keys: "dict_keys"
    case .values: "dict_values"
    case .items: "dict_items"
    }
  }

  func items(of mapping: TemplateMapping) -> [TemplateValue] {
    switch self {
    case .keys: mapping.keys
    case .values: mapping.values
    case .items: mapping.items
    }
  }
}

/// Python's `range`, of at most 100,000 numbers as in Jinja's sandbox.
struct TemplateRange: Sendable, Equatable {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  /// `step` is not zero. Throws where there are too many numbers.
  init(start: Int, stop: Int, step: Int) throws {
    self.start = start
    self.stop = stop
    self.step = step
    let (distance, overflow) =
      step > 0 ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
    let wide = overflow ? UInt(bitPattern: distance) : UInt(max(0, distance))
    let isEmpty = step > 0 ? stop <= start : start <= stop
    let count = isEmpty ? 0 : (wide - 1) / step.magnitude + 1
    guard count <= 100_000 else {
      throw TemplateFailure("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).")
    }
    self.count = Int(count)
  }

  /// The number at `place`, which is below `count`.
  func item(_ place: Int) -> Int { start &+ place &* step }

  var items: [TemplateValue] { (0..<count).map { .integer(item($0)) } }

  func contains(_ value: Int) -> Bool {
    guard count > 0 else { return false }
    let last = item(count - 1)
    guard step > 0 ? (start...last).contains(value) : (last...start).contains(value) else { return false }
    return (value &- start) % step == 0
  }
}

/// A method taken from a value, called or not: `message.content.strip`.
final class TemplateMethod: Sendable {
  let receiver: TemplateValue
  let name: String

  init(_ receiver: TemplateValue, _ name: String) {
    self.receiver = receiver
    self.name = name
  }

  var depth: Int { receiver.depth + 1 }
}

/// Functions every template knows.
enum TemplateFunction: String, Sendable, CaseIterable {
  case range, dict, namespace, cycler, joiner, lipsum
  case raiseException = "raise_exception"
  case strftimeNow = "strftime_now"
}

/// What went wrong in a template. The run adds the line and throws it as `EngineError(.template)`.
struct TemplateFailure: Error {
  let message: String
  init(_ message: String) { self.message = message }
}
