/// An expression with the line it begins on.
struct TemplateExpression: Sendable {
  indirect enum Form: Sendable {
    case literal(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case mapping([(key: TemplateExpression, value: TemplateExpression)])
    case unary(Sign, TemplateExpression)
    case not(TemplateExpression)
    case arithmetic(Arithmetic, TemplateExpression, TemplateExpression)
    case both(TemplateExpression, TemplateExpression)
    case either(TemplateExpression, TemplateExpression)
    /// Joined by `~`.
    case concatenation([TemplateExpression])
    /// `a < b <= c`: each operand is compared with the next.
    case comparison(TemplateExpression, [(Comparison, TemplateExpression)])
    case conditional(test: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
    case attribute(TemplateExpression, String)
    case subscripted(TemplateExpression, TemplateExpression)
    case sliced(TemplateExpression, [TemplateExpression?])
    case call(TemplateExpression, TemplateCall)
    /// Without operand the filter of a `filter` or `set` block.
    case filter(TemplateExpression?, String, TemplateCall)
    case test(TemplateExpression, String, TemplateCall)
  }

  enum Sign: Sendable { case minus, plus }

  enum Arithmetic: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case remainder = "%"
    case power = "**"
  }

  enum Comparison: String, Sendable {
    case equal = "=="
    case unequal = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case contained = "in"
    case notContained = "not in"
  }

  let form: Form
  let line: Int
  /// Of the tree below: bounded by the parser, so that evaluation cannot exhaust the stack.
  let depth: Int
}

/// Arguments as a call writes them.
struct TemplateCall: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
  /// `*list` and `**mapping`.
  var list: TemplateExpression?
  var mapping: TemplateExpression?

  var expressions: [TemplateExpression] { positional + named.map(\.value) + [list, mapping].compactMap { $0 } }
}

/// What `set`, `for` and `with` assign to.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case member(namespace: String, name: String)
  case tuple([TemplateTarget])
}

struct TemplateStatement: Sendable {
  indirect enum Form: Sendable {
    case text(TemplateText)
    case output(TemplateExpression)
    case branches([(test: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateLoop)
    case assign(TemplateTarget, TemplateExpression)
    case assignBlock(TemplateTarget, filter: TemplateExpression?, body: [TemplateStatement])
    case macro(TemplateMacro)
    case callBlock(TemplateExpression, TemplateMacro)
    case filterBlock(TemplateExpression, body: [TemplateStatement])
    case with([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateStatement])
    /// A block with names of its own that prints as if it were not there (`generation`).
    case scope([TemplateStatement])
    case block(TemplateBlock)
    /// Automatic escaping, which must be off.
    case autoescape(TemplateExpression, body: [TemplateStatement])
    case leave
    case proceed
  }

  let form: Form
  let line: Int
}

struct TemplateLoop: Sendable {
  let target: TemplateTarget
  let sequence: TemplateExpression
  let condition: TemplateExpression?
  /// Its body may call `loop`.
  let isRecursive: Bool
  let body: [TemplateStatement]
  let otherwise: [TemplateStatement]
}

/// A named part of a template, printed where it stands and wherever `self.name()` asks for it.
struct TemplateBlock: Sendable {
  let name: String
  /// Sees the names around it, not only those outside everything.
  let isScoped: Bool
  let body: [TemplateStatement]
}

/// A macro, or the body of a `call` block.
final class TemplateMacro: Sendable {
  let name: String
  let parameters: [(name: String, fallback: TemplateExpression?)]
  let body: [TemplateStatement]
  /// Whether the body reads `varargs`, `kwargs`, `caller`: only then can they be passed.
  let special: Set<String>

  init(
    name: String, parameters: [(name: String, fallback: TemplateExpression?)], body: [TemplateStatement],
    special: Set<String>
  ) {
    self.name = name
    self.parameters = parameters
    self.body = body
    self.special = special
  }
}
