import Foundation

/// One row per Lua function. The same row binds the function, checks its options, and feeds `?help`, completion and the
/// reference page (design decision 15).
///
/// ```swift
/// Function(
///   "zeros", "tensor.zeros(n, ...)", "A tensor of zeros with the given sizes.",
///   results: "tensor", example: "local t = tensor.zeros(2, 3)"
/// ) { call in call.push(TensorObject(try .zeros(call.shape()))) }
/// ```
public struct Function: Sendable {
  /// Reads arguments, pushes results, returns how many.
  public typealias Body = @Sendable (Call) throws -> Int

  public let name: String
  /// As people write it, for example `t:topk(k)`.
  public let signature: String
  /// One or more sentences; the first one says what it does.
  public let summary: String
  /// Keys of the one table argument.
  public let options: [Option]
  /// What comes back, in words.
  public let results: String
  /// A piece of Lua that parses.
  public let example: String
  /// Pure functions that may simply run again after a collection when there was no room for a tensor.
  public let retries: Bool
  /// What the first string argument can be (model names), for completion.
  public let argumentChoices: (@Sendable () -> [String])?
  public let body: Body

  public init(
    _ name: String, _ signature: String, _ summary: String, options: [Option] = [], results: String, example: String,
    retries: Bool = false, argumentChoices: (@Sendable () -> [String])? = nil, body: @escaping Body
  ) {
    self.name = name
    self.signature = signature
    self.summary = summary
    self.options = options
    self.results = results
    self.example = example
    self.retries = retries
    self.argumentChoices = argumentChoices
    self.body = body
  }

  /// Names of the arguments in the signature's parentheses, without the brackets around optional ones; none for a
  /// function that takes one table in braces.
  var parameters: [String] {
    guard let open = signature.firstIndex(where: { $0 == "(" || $0 == "{" }), signature[open] == "(" else { return [] }
    var depth = 0
    var names = [""]
    scan: for character in signature[signature.index(after: open)...] {
      switch character {
      case "{", "(": depth += 1
      case ")" where depth == 0: break scan
      case "}", ")": depth -= 1
      case "[", "]": if depth == 0 { continue }
      case "," where depth == 0:
        names.append("")
        continue
      default: break
      }
      names[names.count - 1].append(character)
    }
    let trimmed = names.map { $0.trimmingCharacters(in: .whitespaces) }
    return trimmed == [""] ? [] : trimmed
  }

  /// Most arguments it takes, the object of a method left out: what the signature names. More are an error, since
  /// nobody would read them. Nil where `...` stands in the signature, and for operators, whose arguments Lua counts.
  var argumentLimit: Int? {
    guard let open = signature.firstIndex(where: { $0 == "(" || $0 == "{" }) else { return nil }
    if signature[open] == "{" { return 1 }
    // The called object is the first argument of `__call`.
    return parameters.contains("...") ? nil : parameters.count + (name == "__call" ? 1 : 0)
  }
}

/// A key of a function's table argument.
public struct Option: Sendable {
  public let name: String
  public let type: String
  public let fallback: Default
  public let summary: String
  /// The only strings allowed, or the usual ones: what completion offers.
  public let choices: [String]

  /// `type` in words: `"integer"`, `"string or list"`, `"tensor"`.
  public init(_ name: String, _ type: String, _ fallback: Default, _ summary: String, choices: [String] = []) {
    self.name = name
    self.type = type
    self.fallback = fallback
    self.summary = summary
    self.choices = choices
  }

  /// What a missing option means.
  public enum Default: Sendable, Equatable {
    case required
    /// Absent means nothing.
    case none
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case string(String)
    /// Worked out by the function; the text says how.
    case computed(String)

    /// As the help shows it.
    var text: String {
      switch self {
      case .required: "required"
      case .none: "nil"
      case .integer(let value): "\(value)"
      case .number(let value): "\(value)"
      case .boolean(let value): "\(value)"
      case .string(let value): "\"\(value)\""
      case .computed(let value): value
      }
    }
  }
}

/// A field of an object: `m.n_layers`. Read-only unless it has a body for assignments.
public struct Field: Sendable {
  public let name: String
  public let type: String
  public let summary: String
  /// Pushes the value; `call.this(_:)` is the object.
  public let body: Function.Body
  /// Takes the value, argument 3, of an assignment to the object, argument 1.
  public let assign: Function.Body?

  public init(
    _ name: String, _ type: String, _ summary: String, assign: Function.Body? = nil, body: @escaping Function.Body
  ) {
    self.name = name
    self.type = type
    self.summary = summary
    self.body = body
    self.assign = assign
  }
}

/// What Lua can do with objects of one Swift class.
public struct ObjectType: Sendable {
  /// As error messages and `type` lines name it: `tensor`, `model`.
  public let name: String
  public let summary: String
  public let fields: [Field]
  public let methods: [Function]
  /// Rows named after metamethods: `__add`, `__len`, `__call`. Both operands are arguments.
  public let operators: [Function]
  /// One Swift object is one Lua value however often it is pushed: needed by types that keep hook functions.
  public let isUnique: Bool
  /// Answers keys that are no field or method (argument 1 the object, 2 the key); nil when it knows no answer either.
  public let index: (@Sendable (Call) throws -> Int?)?
  /// Takes assignments to keys that are no field (argument 1 the object, 2 the key, 3 the value); false when it does not
  /// know the key.
  public let assignIndex: (@Sendable (Call) throws -> Bool)?
  /// What `<close>` does instead of giving the object back.
  public let close: Function.Body?

  public init(
    _ name: String, _ summary: String, fields: [Field] = [], methods: [Function] = [], operators: [Function] = [],
    isUnique: Bool = false, index: (@Sendable (Call) throws -> Int?)? = nil,
    assignIndex: (@Sendable (Call) throws -> Bool)? = nil, close: Function.Body? = nil
  ) {
    self.name = name
    self.summary = summary
    self.fields = fields
    self.methods = methods
    self.operators = operators
    self.isUnique = isUnique
    self.index = index
    self.assignIndex = assignIndex
    self.close = close
  }

  /// Fields, then methods: what completion and suggestions offer.
  public var members: [String] { fields.map(\.name) + methods.map(\.name) }
}

/// A Swift class whose instances Lua can hold.
public protocol LuaObject: AnyObject, SendableMetatype {
  static var luaType: ObjectType { get }
  /// One line: what the object is, never its contents.
  var summary: String { get }
  /// What `tostring` and `print` show; the summary unless there is more to say.
  var display: String { get }
}

extension LuaObject {
  public var display: String { summary }
}

/// A page of help that belongs to no single function: positions, sites.
public struct Topic: Sendable {
  public let name: String
  public let text: String
  public init(_ name: String, _ text: String) {
    self.name = name
    self.text = text
  }
}

/// A table of functions (`tensor`), global functions (`show`), or both, with the object types they make.
public struct Module: Sendable {
  public let name: String
  public let summary: String
  /// Fields of the table `name`; there is no table without any.
  public let functions: [Function]
  public let globals: [Function]
  public let types: [any LuaObject.Type]
  public let topics: [Topic]

  public init(
    _ name: String, _ summary: String, functions: [Function] = [], globals: [Function] = [],
    types: [any LuaObject.Type] = [], topics: [Topic] = []
  ) {
    self.name = name
    self.summary = summary
    self.functions = functions
    self.globals = globals
    self.types = types
    self.topics = topics
  }
}
