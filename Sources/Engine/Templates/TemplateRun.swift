/// What a template may use before it is stopped: templates come with downloaded models.
struct TemplateLimits: Sendable {
  var steps = 10_000_000
  /// Bytes of the printed text.
  var outputBytes = 64 << 20
  /// Bytes of any one string.
  var textBytes = 16 << 20
  /// Bytes of all values made, dropped ones included.
  var allocatedBytes = 512 << 20
  /// Statements, expressions and macros within each other.
  var depth = 300
}

/// One rendering of a template.
final class TemplateRun {
  /// Names and values of a block; blocks within it see them.
  final class Scope {
    var values: [String: TemplateValue] = [:]
    let parent: Scope?
    init(_ parent: Scope?) { self.parent = parent }
  }

  /// A macro with the names that it sees.
  struct Closure {
    let macro: TemplateMacro
    let scope: Scope
  }

  /// What is left of a generator.
  struct Iterator {
    var items: [TemplateValue]
    var place = 0
  }

  struct Loop {
    let items: [TemplateValue]
    /// Where it stands in loops that call themselves, from 1; what is run again by a call, and the names it sees.
    var depth = 1
    var source: TemplateLoop?
    var scope: Scope?
    var place = 0
    /// What `changed` last saw.
    var last: [TemplateValue]?
  }

  enum Flow {
    case normal, leave, proceed
  }

  let limits: TemplateLimits
  let date: TemplateDate
  var scope: Scope
  var output = TemplateText()
  /// Of what is being evaluated, for messages.
  var line = 1
  var depth = 0
  var closures: [Closure] = []
  var iterators: [Iterator] = []
  var loops: [Loop] = []
  var namespaces: [TemplateMapping] = []
  var cyclers: [(items: [TemplateValue], place: Int)] = []
  var joiners: [(separator: TemplateValue, isUsed: Bool)] = []
  var blocks: [String: TemplateBlock] = [:]
  /// The names outside all blocks, macros and loops.
  let outermost: Scope
  private var steps = 0
  private var polledAt = 0
  private var allocated = 0

  init(variables: TemplateMapping, date: TemplateDate, limits: TemplateLimits = TemplateLimits()) {
    self.limits = limits
    self.date = date
    let globals = Scope(nil)
    for function in TemplateFunction.allCases { globals.values[function.rawValue] = .function(function) }
    globals.values["self"] = .blocks
    for (key, entry) in variables.entries {
      if case .text(let name) = key { globals.values[String(decoding: name, as: UTF8.self)] = entry.value }
    }
    outermost = Scope(globals)
    scope = outermost
  }

  /// What the template prints. Throws `.template`: the template's own words from `raise_exception`, else what went
  /// wrong with its line; `.interrupted` on Ctrl-C.
  func render(_ program: TemplateProgram) throws -> TemplateText {
    do {
      blocks = program.blocks
      _ = try execute(program.body)
      return output
    } catch let failure as TemplateFailure {
      throw EngineError(.template, "chat template, line \(line): \(failure.message)")
    }
  }

  // MARK: Limits

  @inline(__always)
  func step(_ count: Int = 1) throws {
    steps &+= max(0, count)
    if steps &- polledAt >= 4096 { try poll() }
  }

  private func poll() throws {
    polledAt = steps
    try Interrupt.check()
    guard steps >= 0, steps <= limits.steps else {
      throw TemplateFailure("the template takes more than \(limits.steps) steps")
    }
  }

  /// Counts `bytes` of a new value.
  func charge(_ bytes: Int) throws {
    allocated &+= max(0, bytes) &+ 32
    try step(bytes / 256)
    guard allocated >= 0, allocated <= limits.allocatedBytes else {
      throw TemplateFailure("the template makes more than \(byteText(limits.allocatedBytes)) of values")
    }
  }

  /// Counts work on every character of `text`.
  func stepOver(_ text: TemplateText) throws { try step(text.bytes.count / 8) }

  /// Refuses a string of `bytes` before it is made.
  func checkLength(_ bytes: Int) throws {
    guard bytes <= limits.textBytes else {
      throw TemplateFailure("a string would have \(byteText(bytes)); at most \(byteText(limits.textBytes)) are made")
    }
  }

  /// A new string, counted.
  func text(_ text: TemplateText) throws -> TemplateValue {
    try checkLength(text.bytes.count)
    try charge(text.bytes.count + 48 * text.marks.count)
    return .text(text)
  }

  /// Items of a new list or tuple, counted; lists within lists have a limit, since dropping and printing them recurses.
  func items(_ values: [TemplateValue]) throws -> TemplateList {
    try charge(MemoryLayout<TemplateValue>.stride * values.count)
    return try checked(TemplateList(values))
  }

  func checked(_ list: TemplateList) throws -> TemplateList {
    try checkDepth(list.depth)
    return list
  }

  func checkDepth(_ depth: Int) throws {
    guard depth <= 100 else { throw TemplateFailure("values are nested more than 100 deep") }
  }

  func list(_ values: [TemplateValue]) throws -> TemplateValue { .list(try items(values)) }

  func iterator(_ values: [TemplateValue]) throws -> TemplateValue {
    try charge(MemoryLayout<TemplateValue>.stride * values.count + 64)
    try checkDepth((values.lazy.map(\.depth).max() ?? 0) + 1)
    iterators.append(Iterator(items: values))
    return .iterator(iterators.count - 1)
  }

  /// Runs `body` one level deeper.
  func deeper<Result>(_ body: () throws -> Result) throws -> Result {
    guard depth < limits.depth else { throw TemplateFailure("the template calls itself too deeply") }
    depth += 1
    defer { depth -= 1 }
    return try body()
  }

  // MARK: Names

  func lookUp(_ name: String) -> TemplateValue {
    var current: Scope? = scope
    while let scope = current {
      if let value = scope.values[name] { return value }
      current = scope.parent
    }
    return .undefined("'\(name)' is undefined")
  }

  /// Runs `body` with names of its own.
  func scoped<Result>(within parent: Scope? = nil, _ body: () throws -> Result) rethrows -> Result {
    let outer = scope
    scope = Scope(parent ?? outer)
    defer { scope = outer }
    return try body()
  }

  /// What `body` prints, as a string instead of output.
  func captured(_ body: () throws -> Void) throws -> TemplateValue {
    let outer = output
    output = TemplateText()
    defer { output = outer }
    try body()
    return try text(output)
  }
}
