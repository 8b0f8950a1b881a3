import CShim
import Engine
import Foundation

/// The stack of one running Lua thread. Only Lua API functions that cannot raise are called on it from Swift.
public struct LuaStack {
  let pointer: OpaquePointer
  public let state: LuaState

  var top: Int32 { lua_gettop(pointer) }

  func pop(_ count: Int32 = 1) { lua_settop(pointer, -count - 1) }

  /// What a value is, as error messages say it: `string "abc"`, `number 3`, `tensor`, `nothing`.
  func found(at index: Int32) -> String {
    switch lua_type(pointer, index) {
    case LUA_TNONE: return "nothing"
    case LUA_TNIL: return "nil"
    case LUA_TBOOLEAN: return lua_toboolean(pointer, index) != 0 ? "true" : "false"
    case LUA_TNUMBER: return "number \(number(at: index))"
    case LUA_TSTRING:
      let text = string(at: index)
      return text.count <= 40 ? "string \"\(text)\"" : "string \"\(text.prefix(37))...\""
    case LUA_TTABLE where isSplit(at: index):
      return "one of the lists of data.split, which gives one list per fraction (local a, b = data.split(...))"
    default: return typeName(at: index)
    }
  }

  /// Remembers the list on top as one that `data.split` made, for messages.
  func markAsSplit() {
    lua_checkstack(pointer, 8)
    if lua_rawgetp(pointer, LuaRegistry.index, LuaRegistry.splits) != LUA_TTABLE {
      pop()
      lua_createtable(pointer, 0, 0)
      lua_createtable(pointer, 0, 1)
      push("__mode")
      push("k")
      lua_rawset(pointer, -3)
      lua_setmetatable(pointer, -2)
      lua_pushvalue(pointer, -1)
      lua_rawsetp(pointer, LuaRegistry.index, LuaRegistry.splits)
    }
    lua_pushvalue(pointer, -2)
    push(true)
    lua_rawset(pointer, -3)
    pop()
  }

  private func isSplit(at index: Int32) -> Bool {
    let index = lua_absindex(pointer, index), base = top
    guard lua_checkstack(pointer, 8) != 0 else { return false }
    defer { lua_settop(pointer, base) }
    guard lua_rawgetp(pointer, LuaRegistry.index, LuaRegistry.splits) == LUA_TTABLE else { return false }
    lua_pushvalue(pointer, index)
    return lua_rawget(pointer, -2) != LUA_TNIL
  }

  /// `table`, `function`, or the name of one of our types.
  func typeName(at index: Int32) -> String {
    if let type = act_object_type(pointer, index) {
      return Unmanaged<TypeBox>.fromOpaque(type).takeUnretainedValue().type.name
    }
    if act_iserror(pointer, index) { return "error" }
    return String(cString: lua_typename(pointer, lua_type(pointer, index)))
  }

  /// A number as Lua writes it.
  func number(at index: Int32) -> String {
    if lua_isinteger(pointer, index) != 0 { return String(lua_tointegerx(pointer, index, nil)) }
    return luaNumberText(lua_tonumberx(pointer, index, nil))
  }

  /// The bytes of a string; the value must be one.
  func bytes(at index: Int32) -> [UInt8] {
    var count = 0
    guard lua_type(pointer, index) == LUA_TSTRING, let start = lua_tolstring(pointer, index, &count) else { return [] }
    return start.withMemoryRebound(to: UInt8.self, capacity: count) {
      Array(UnsafeBufferPointer(start: $0, count: count))
    }
  }

  /// A string with damaged UTF-8 repaired; the value must be one.
  func string(at index: Int32) -> String {
    var count = 0
    guard lua_type(pointer, index) == LUA_TSTRING, let start = lua_tolstring(pointer, index, &count) else { return "" }
    return start.withMemoryRebound(to: UInt8.self, capacity: count) {
      String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
    }
  }

  /// The object at `index` when it is alive and of class `T`.
  func object<T: LuaObject>(at index: Int32, as type: T.Type) -> T? {
    guard let pointer = act_object(pointer, index) else { return nil }
    return Unmanaged<AnyObject>.fromOpaque(pointer).takeUnretainedValue() as? T
  }

  /// The object at `index` when it is alive and one of ours.
  func anyObject(at index: Int32) -> (any LuaObject)? {
    guard let pointer = act_object(pointer, index) else { return nil }
    return Unmanaged<AnyObject>.fromOpaque(pointer).takeUnretainedValue() as? any LuaObject
  }

  // MARK: Pushing

  func pushNil() { lua_pushnil(pointer) }
  func push(_ value: Bool) { lua_pushboolean(pointer, value ? 1 : 0) }
  func push(_ value: Int) { lua_pushinteger(pointer, lua_Integer(value)) }
  func push(_ value: Double) { lua_pushnumber(pointer, value) }

  func push(_ value: String) {
    var value = value
    value.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { _ = lua_pushlstring(pointer, $0.baseAddress, $0.count) }
    }
  }

  func push(bytes value: [UInt8]) {
    value.withUnsafeBufferPointer { bytes in
      bytes.withMemoryRebound(to: CChar.self) { _ = lua_pushlstring(pointer, $0.baseAddress, $0.count) }
    }
  }

  func push<T: LuaObject>(object: T) {
    let box = state.typeBox(for: Swift.type(of: object))
    let unmanaged = Unmanaged.passUnretained(object as AnyObject)
    if box.type.isUnique, act_pushexisting(pointer, unmanaged.toOpaque()) { return }
    act_pushobject(pointer, unmanaged.retain().toOpaque(), box.pointer, box.type.isUnique)
    state.accountForTensors()
  }
}

/// `0.5`, `2.0`, `inf`: a float as `tostring` writes it (`%.14g`, with `.0` for integral values).
func luaNumberText(_ value: Double) -> String {
  if value.isNaN { return value.sign == .minus ? "-nan" : "nan" }
  if value.isInfinite { return value < 0 ? "-inf" : "inf" }
  let text = String(format: "%.14g", value)
  return text.allSatisfy { $0.isNumber || $0 == "-" } ? text + ".0" : text
}
