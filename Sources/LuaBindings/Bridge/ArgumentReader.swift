import CShim
import Engine

/// A Lua value that a function was given, with the words that name it in errors:
/// `tensor.zeros: argument 1 (n): expected an integer, found string "x"`.
public struct ArgumentReader {
  public let stack: LuaStack
  let index: Int32
  let label: () -> String

  init(stack: LuaStack, index: Int32, label: @escaping () -> String) {
    self.stack = stack
    self.index = lua_absindex(stack.pointer, index)
    self.label = label
  }

  /// `expected ..., found ...`.
  public func mismatch(_ expected: String) -> LuaError {
    if act_object_type(stack.pointer, index) != nil, act_object(stack.pointer, index) == nil {
      return error("this \(stack.typeName(at: index)) has been freed")
    }
    return error("expected \(expected), found \(stack.found(at: index))")
  }

  /// An error that begins with the value's name.
  public func error(_ message: String, kind: EngineError.Kind = .argument) -> LuaError {
    LuaError(kind.rawValue, "\(label()): \(message)")
  }

  var type: Int32 { lua_type(stack.pointer, index) }
  public var isNil: Bool { type <= LUA_TNIL }
  public var isTable: Bool { type == LUA_TTABLE }
  public var isString: Bool { type == LUA_TSTRING }
  public var isNumber: Bool { type == LUA_TNUMBER }
  public var isBoolean: Bool { type == LUA_TBOOLEAN }
  public var isFunction: Bool { type == LUA_TFUNCTION }
  public func isObject<T: LuaObject>(_ type: T.Type) -> Bool { stack.object(at: index, as: type) != nil }

  // MARK: Single values

  /// An integer, or a float without fraction.
  public func integer(in range: ClosedRange<Int> = Int.min...Int.max) throws -> Int {
    var isInteger: Int32 = 0
    let value = lua_tointegerx(stack.pointer, index, &isInteger)
    if type == LUA_TNUMBER, isInteger != 0, range.contains(Int(value)) { return Int(value) }
    if range.lowerBound == Int.min { throw mismatch("an integer") }
    if range.upperBound == Int.max { throw mismatch("an integer of at least \(range.lowerBound)") }
    throw mismatch("an integer from \(range.lowerBound) to \(range.upperBound)")
  }

  /// A number; `inf` and NaN only when `finite` is false.
  public func number(in range: ClosedRange<Double>? = nil, finite: Bool = true) throws -> Double {
    guard type == LUA_TNUMBER else { throw mismatch("a number") }
    let value = lua_tonumberx(stack.pointer, index, nil)
    if finite, !value.isFinite { throw mismatch("a finite number") }
    if let range, !range.contains(value) {
      if range.upperBound == .infinity { throw mismatch("a number of at least \(shortNumber(range.lowerBound))") }
      throw mismatch("a number from \(shortNumber(range.lowerBound)) to \(shortNumber(range.upperBound))")
    }
    return value
  }

  public func boolean() throws -> Bool {
    guard type == LUA_TBOOLEAN else { throw mismatch("true or false") }
    return lua_toboolean(stack.pointer, index) != 0
  }

  /// Text; damaged UTF-8 is repaired.
  public func string() throws -> String {
    guard type == LUA_TSTRING else { throw mismatch("a string") }
    return stack.string(at: index)
  }

  public func bytes() throws -> [UInt8] {
    guard type == LUA_TSTRING else { throw mismatch("a string") }
    return stack.bytes(at: index)
  }

  /// One of `choices`; else an error that names the nearest.
  public func choice(_ choices: [String]) throws -> String {
    let text = try string()
    guard choices.contains(text) else {
      let near = suggestion(for: text, in: choices)
      let list = choices.map { "\"\($0)\"" }.joined(separator: ", ")
      throw error("\"\(text)\" is not one of \(list)\(near)")
    }
    return text
  }

  /// One of ours.
  public func object<T: LuaObject>(_ type: T.Type = T.self) throws -> T {
    guard let object = stack.object(at: index, as: type) else { throw mismatch("a \(T.luaType.name)") }
    return object
  }

  /// A function that can be called until the current call returns; to keep one, see `LuaFunctionKey`.
  public func function() throws -> LuaFunction {
    guard type == LUA_TFUNCTION else { throw mismatch("a function") }
    return LuaFunction(stack: stack, index: index, label: label)
  }

  // MARK: Tables

  /// Entries 1 to n of a list. Throws on any other key: it would be passed over.
  public func list<T>(_ element: (ArgumentReader) throws -> T) throws -> [T] {
    guard type == LUA_TTABLE else { throw mismatch("a list") }
    try requireOnlyEntries()
    return try entries(element)
  }

  /// Throws where a list has other keys than 1 to n, but for the `n` of `table.pack`.
  func requireOnlyEntries() throws {
    let count = Int(clamping: lua_rawlen(stack.pointer, index))
    guard lua_checkstack(stack.pointer, 16) != 0 else { throw error("nested too deeply") }
    if act_stray_key(stack.pointer, index, lua_Integer(count)) {
      defer { stack.pop() }
      guard lua_isinteger(stack.pointer, -1) != 0 else {
        let key = lua_type(stack.pointer, -1) == LUA_TSTRING ? "'\(stack.string(at: -1))'" : stack.found(at: -1)
        throw error("unknown key \(key): the entries of a list have no names")
      }
      throw error(
        "the entries of a list count from 1 without gaps, found entry \(lua_tointegerx(stack.pointer, -1, nil)) beside "
          + "\(count) of them")
    }
  }

  /// Entries 1 to n, whatever other keys there are: for tables such as `arg`, where they have a meaning of their own.
  func entries<T>(_ element: (ArgumentReader) throws -> T) throws -> [T] {
    guard type == LUA_TTABLE else { throw mismatch("a list") }
    let count = Int(clamping: lua_rawlen(stack.pointer, index))
    guard lua_checkstack(stack.pointer, 16) != 0 else { throw error("nested too deeply") }
    var values: [T] = []
    values.reserveCapacity(count)
    let top = stack.top
    defer { lua_settop(stack.pointer, top) }
    for place in 0..<count {
      lua_rawgeti(stack.pointer, index, lua_Integer(place + 1))
      values.append(try element(ArgumentReader(stack: stack, index: -1) { "\(label()), entry \(place + 1)" }))
      lua_settop(stack.pointer, top)
    }
    return values
  }

  /// A list, or a single value as a list of one.
  public func oneOrMany<T>(_ element: (ArgumentReader) throws -> T) throws -> [T] {
    type == LUA_TTABLE ? try list(element) : [try element(self)]
  }

  /// Length of the list part.
  public var listCount: Int { type == LUA_TTABLE ? Int(clamping: lua_rawlen(stack.pointer, index)) : 0 }

  /// A field of a table, nil when it is absent. The value stays on the stack until the call returns.
  public func field(_ name: String) -> ArgumentReader? {
    guard type == LUA_TTABLE, lua_checkstack(stack.pointer, 16) != 0 else { return nil }
    stack.push(name)
    guard lua_rawget(stack.pointer, index) != LUA_TNIL else {
      stack.pop()
      return nil
    }
    return ArgumentReader(stack: stack, index: -1) { "\(label()), field '\(name)'" }
  }

  /// Entry `place`, from 1, of a list; nil when it is absent. The value stays on the stack until the call returns.
  public func entry(_ place: Int) -> ArgumentReader? {
    guard type == LUA_TTABLE, lua_checkstack(stack.pointer, 16) != 0 else { return nil }
    guard lua_rawgeti(stack.pointer, index, lua_Integer(place)) != LUA_TNIL else {
      stack.pop()
      return nil
    }
    return ArgumentReader(stack: stack, index: -1) { "\(label()), entry \(place)" }
  }

  /// Throws on keys that are none of `known`, with the nearest of them, and on list entries.
  public func checkKeys(_ known: [String]) throws {
    guard listCount == 0 else {
      throw error("takes named values (\(known.joined(separator: ", "))), found a list entry")
    }
    for name in try fieldNames() where !known.contains(name) {
      let near = suggestion(for: name, in: known)
      throw error("unknown key '\(name)'\(near.isEmpty ? "; known: \(known.joined(separator: ", "))" : near)")
    }
  }

  /// Names of the string keys, sorted; throws beyond `limit` keys or on a key that is no string (list entries aside
  /// when `allowList`).
  public func fieldNames(limit: Int = 10_000, allowList: Bool = false) throws -> [String] {
    guard type == LUA_TTABLE else { throw mismatch("a table") }
    let top = stack.top
    guard lua_checkstack(stack.pointer, 16) != 0, act_keys(stack.pointer, index, Int32(limit)) == LUA_OK else {
      throw error("cannot be read")
    }
    defer { lua_settop(stack.pointer, top) }
    let count = Int(lua_tointegerx(stack.pointer, -1, nil))
    guard count <= limit else { throw error("has \(count) keys, at most \(limit) are read") }
    let list = lua_absindex(stack.pointer, -2)
    var names: [String] = []
    for place in 0..<count {
      lua_rawgeti(stack.pointer, list, lua_Integer(place + 1))
      if lua_type(stack.pointer, -1) == LUA_TSTRING {
        names.append(stack.string(at: -1))
      } else if !(allowList && lua_isinteger(stack.pointer, -1) != 0) {
        throw error("expected names as keys, found \(stack.found(at: -1))")
      }
      stack.pop()
    }
    return names.sorted()
  }
}

/// `0`, `0.5`: bounds in messages.
func shortNumber(_ value: Double) -> String {
  value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
}
