import CShim
import Engine

/// A Lua function that Swift may call until the Swift function that received it returns.
public struct LuaFunction {
  let stack: LuaStack
  let index: Int32
  let label: () -> String

  /// Calls it. `read` sees the results, of which there are always `results` (nil where the function gave fewer).
  /// A Lua error is thrown as it was raised.
  public func call<R>(
    _ arguments: [any LuaPushable] = [], results: Int = 0, _ read: ([ArgumentReader]) throws -> R
  ) throws -> R {
    try stack.call(arguments, results: results, label: label, read) { lua_pushvalue(stack.pointer, index) }
  }

  public func call(_ arguments: [any LuaPushable] = []) throws {
    try call(arguments, results: 0) { _ in }
  }
}

extension LuaStack {
  func call<R>(
    _ arguments: [any LuaPushable], results: Int, label: () -> String, _ read: ([ArgumentReader]) throws -> R,
    pushFunction: () throws -> Void
  ) throws -> R {
    let base = top
    guard lua_checkstack(pointer, Int32(arguments.count + results + 32)) != 0 else {
      throw LuaError("lua", "stack overflow")
    }
    defer { lua_settop(pointer, base) }
    try pushFunction()
    for argument in arguments { argument.push(on: self) }
    guard act_pcall(pointer, Int32(arguments.count), Int32(results)) == LUA_OK else { throw takeError() }
    let name = label()
    let readers = (0..<results).map { place in
      ArgumentReader(stack: self, index: base + 1 + Int32(place)) {
        results == 1 ? "\(name): result" : "\(name): result \(place + 1)"
      }
    }
    return try read(readers)
  }

}

/// A Lua function kept by one of our objects, in the object's user value, so that cycles through it can be collected.
/// It lives as long as the Lua object, or until `remove`.
public final class LuaFunctionKey {
  private weak var state: LuaState?
  private let owner: UnsafeMutableRawPointer
  private let key: Int
  private let label: String

  /// Keeps the function that `reader` names in the user value of `owner`'s Lua object, which must be of a unique type
  /// and alive (usually the object of the current method).
  public init(_ reader: ArgumentReader, in owner: any LuaObject) throws {
    guard reader.isFunction else { throw reader.mismatch("a function") }
    let stack = reader.stack
    let pointer = stack.pointer
    let opaque = Unmanaged.passUnretained(owner as AnyObject).toOpaque()
    guard act_pushexisting(pointer, opaque) else { throw reader.error("the object that should keep it is gone") }
    defer { stack.pop(2) }
    if lua_getiuservalue(pointer, -1, 1) != LUA_TTABLE {
      stack.pop()
      lua_createtable(pointer, 0, 1)
      lua_pushvalue(pointer, -1)
      lua_setiuservalue(pointer, -3, 1)
    }
    state = stack.state
    self.owner = opaque
    key = stack.state.nextFunctionKey()
    label = reader.label()
    lua_pushvalue(pointer, reader.index)
    lua_rawseti(pointer, -2, lua_Integer(key))
  }

  /// Calls it on the Lua thread that runs now.
  public func call<R>(
    _ arguments: [any LuaPushable] = [], results: Int = 0, _ read: ([ArgumentReader]) throws -> R
  ) throws -> R {
    guard let stack = state?.currentStack else { throw LuaError("missing", "\(label): its Lua state is closed") }
    return try stack.call(arguments, results: results, label: { label }, read) {
      guard pushTable(on: stack), lua_rawgeti(stack.pointer, -1, lua_Integer(key)) == LUA_TFUNCTION else {
        throw LuaError("missing", "\(label): the function was collected together with the object that kept it")
      }
      lua_rotate(stack.pointer, -2, 1)
      stack.pop()
    }
  }

  /// Lets go of the function. Twice is fine. Not from `deinit`.
  public func remove() {
    guard let stack = state?.currentStack else { return }
    let base = stack.top
    if pushTable(on: stack) {
      stack.pushNil()
      lua_rawseti(stack.pointer, -2, lua_Integer(key))
    }
    lua_settop(stack.pointer, base)
  }

  /// Pushes the owner's user value table and nothing else.
  private func pushTable(on stack: LuaStack) -> Bool {
    lua_checkstack(stack.pointer, 8)
    guard act_pushexisting(stack.pointer, owner) else { return false }
    let type = lua_getiuservalue(stack.pointer, -1, 1)
    lua_rotate(stack.pointer, -2, 1)
    stack.pop()
    return type == LUA_TTABLE
  }
}

extension Call {
  /// Calls a function and leaves all its results as this call's; returns how many.
  func pushResults(of function: LuaFunction, _ arguments: [any LuaPushable]) throws -> Int {
    let pointer = stack.pointer
    let base = stack.top
    guard lua_checkstack(pointer, Int32(arguments.count + 32)) != 0 else { throw LuaError("lua", "stack overflow") }
    lua_pushvalue(pointer, function.index)
    for argument in arguments { argument.push(on: stack) }
    guard act_pcall(pointer, Int32(arguments.count), LUA_MULTRET) == LUA_OK else { throw stack.takeError() }
    return Int(stack.top - base)
  }
}

extension Call {
  /// Calls the value at a stack place, a function or an object with `__call`, and leaves its results.
  func callValue(at index: Int32, _ arguments: [any LuaPushable]) throws -> Int {
    let pointer = stack.pointer
    guard lua_checkstack(pointer, Int32(arguments.count + 32)) != 0 else { throw LuaError("lua", "stack overflow") }
    let base = stack.top
    let place = lua_absindex(pointer, index)
    lua_pushvalue(pointer, place)
    for argument in arguments { argument.push(on: stack) }
    guard act_pcall(pointer, Int32(arguments.count), LUA_MULTRET) == LUA_OK else { throw stack.takeError() }
    return Int(stack.top - base)
  }
}

extension LuaStack {
  /// Pushes a copy of a value.
  func copy(_ index: Int32) { lua_pushvalue(pointer, index) }
  func isNil(at index: Int32) -> Bool { lua_type(pointer, index) <= LUA_TNIL }
}

extension Call {
  /// Pushes a new list of the entries `places` of the list in argument `index`.
  func pushList(_ places: [Int], of index: Int) {
    let pointer = stack.pointer
    let source = Int32(index + function.offset)
    lua_checkstack(pointer, 8)
    lua_createtable(pointer, Int32(clamping: places.count), 0)
    for (i, place) in places.enumerated() {
      lua_rawgeti(pointer, source, lua_Integer(place))
      lua_rawseti(pointer, -2, lua_Integer(i + 1))
    }
  }
}
