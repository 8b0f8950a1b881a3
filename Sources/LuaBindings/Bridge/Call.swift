import CShim
import Engine

/// One call of a registered function: its arguments, and where its results go.
public struct Call {
  public let stack: LuaStack
  let function: BoundFunction
  /// Arguments given, the object of a method left out.
  public let argumentCount: Int

  init(stack: LuaStack, function: BoundFunction) {
    self.stack = stack
    self.function = function
    argumentCount = max(0, Int(stack.top) - function.offset)
  }

  public var state: LuaState { stack.state }

  /// The row's name as people write it: `tensor.zeros`, `tensor:topk`.
  public var name: String { function.qualifiedName }

  /// An error that starts with the function's name.
  public func error(_ message: String, kind: EngineError.Kind = .argument) -> LuaError {
    LuaError(kind.rawValue, "\(name): \(message)")
  }

  // MARK: Arguments

  /// The object a method or field belongs to.
  public func this<T: LuaObject>(_ type: T.Type) throws -> T {
    if let object = stack.object(at: 1, as: type) { return object }
    if act_object_type(stack.pointer, 1) != nil, act_object(stack.pointer, 1) == nil {
      throw error("this \(T.luaType.name) has been freed")
    }
    throw error("expected a \(T.luaType.name) before the colon, found \(stack.found(at: 1)) (write object:method())")
  }

  /// Argument `index`, from 1, the object of a method not counted.
  public func argument(_ index: Int) -> ArgumentReader {
    let position = Int32(index + function.offset)
    let name = self.name
    let parameters = function.row.parameters
    return ArgumentReader(stack: stack, index: position) {
      let parameter = index <= parameters.count ? " (\(parameters[index - 1]))" : ""
      return "\(name): argument \(index)\(parameter)"
    }
  }

  public func isGiven(_ index: Int) -> Bool {
    lua_type(stack.pointer, Int32(index + function.offset)) > LUA_TNIL
  }

  /// Argument `index` when it was given.
  public func optionalArgument(_ index: Int) -> ArgumentReader? { isGiven(index) ? argument(index) : nil }

  /// The table argument of the row's options. Throws on unknown keys; a missing table has no keys.
  public func options(_ index: Int = 1) throws -> OptionReader {
    try OptionReader(call: self, index: Int32(index + function.offset), argument: index)
  }

  /// Whether argument `index` is a table that is no object.
  public func isTable(_ index: Int) -> Bool {
    lua_type(stack.pointer, Int32(index + function.offset)) == LUA_TTABLE
  }

  /// Throws when more than `count` arguments were given; nil at the end counts as not given.
  func limitArguments(_ count: Int) throws {
    var given = argumentCount
    while given > count, !isGiven(given) { given -= 1 }
    guard given > count else { return }
    let names = function.row.parameters.prefix(count).joined(separator: ", ")
    let most = count == 0 ? "no arguments" : "at most \(count) argument\(count == 1 ? "" : "s")"
    throw error(
      "takes \(most)\(names.isEmpty ? "" : " (\(names))"), found \(given) (a call that stands last passes "
        + "all its results; in parentheses it passes one)")
  }

  // MARK: Results

  /// Pushes one result: `return call.push(x)`.
  @discardableResult
  public func push(_ value: any LuaPushable) -> Int {
    lua_checkstack(stack.pointer, 16)
    value.push(on: stack)
    return 1
  }

  @discardableResult
  public func push(_ object: any LuaObject) -> Int {
    lua_checkstack(stack.pointer, 16)
    stack.push(object: object)
    return 1
  }

  /// Several results.
  @discardableResult
  public func push(_ first: any LuaPushable, _ others: any LuaPushable...) -> Int {
    push(first)
    for other in others { push(other) }
    return others.count + 1
  }

  /// Pushes argument `index` itself: a method that returns its object or its input.
  @discardableResult
  public func pushArgument(_ index: Int) -> Int {
    lua_pushvalue(stack.pointer, Int32(index + function.offset))
    return 1
  }
}

/// A row bound into one state.
final class BoundFunction {
  let row: Function
  let qualifiedName: String
  /// 1 for methods and fields, whose object is the first value on the stack.
  let offset: Int
  /// Most arguments it takes, the object not counted; nil for any number.
  let argumentLimit: Int?
  /// Alive as long as its Lua functions are; finalisers still call them while the state is being deinitialised, when a
  /// checked reference would trap.
  unowned(unsafe) let state: LuaState

  init(row: Function, qualifiedName: String, offset: Int, state: LuaState) {
    self.row = row
    self.qualifiedName = qualifiedName
    self.offset = offset
    argumentLimit = row.argumentLimit
    self.state = state
  }
}
