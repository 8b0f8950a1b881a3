import CShim
import Engine

/// A Swift value that can become a Lua value: a result, an argument of a callback, an entry of a table.
public protocol LuaPushable {
  func push(on stack: LuaStack)
}

extension Bool: LuaPushable {
  public func push(on stack: LuaStack) { stack.push(self) }
}
extension Int: LuaPushable {
  public func push(on stack: LuaStack) { stack.push(self) }
}
extension Double: LuaPushable {
  public func push(on stack: LuaStack) { stack.push(self) }
}
extension Float: LuaPushable {
  public func push(on stack: LuaStack) { stack.push(Double(self)) }
}
extension String: LuaPushable {
  public func push(on stack: LuaStack) { stack.push(self) }
}

/// Bytes as a Lua string: token pieces need not be UTF-8.
public struct LuaBytes: LuaPushable {
  public var bytes: [UInt8]
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public func push(on stack: LuaStack) { stack.push(bytes: bytes) }
}

public struct LuaNil: LuaPushable {
  public init() {}
  public func push(on stack: LuaStack) { stack.pushNil() }
}

extension Optional: LuaPushable where Wrapped: LuaPushable {
  public func push(on stack: LuaStack) {
    if let self { self.push(on: stack) } else { stack.pushNil() }
  }
}

/// A sequence from 1.
extension Array: LuaPushable where Element: LuaPushable {
  public func push(on stack: LuaStack) {
    lua_createtable(stack.pointer, Int32(clamping: count), 0)
    lua_checkstack(stack.pointer, 8)
    for (index, element) in enumerated() {
      element.push(on: stack)
      lua_rawseti(stack.pointer, -2, lua_Integer(index + 1))
    }
  }
}

/// A list whose entries differ in type.
public struct LuaList: LuaPushable {
  public var values: [any LuaPushable]
  public init(_ values: [any LuaPushable]) { self.values = values }
  public func push(on stack: LuaStack) {
    lua_createtable(stack.pointer, Int32(clamping: values.count), 0)
    lua_checkstack(stack.pointer, 8)
    for (index, value) in values.enumerated() {
      value.push(on: stack)
      lua_rawseti(stack.pointer, -2, lua_Integer(index + 1))
    }
  }
}

/// A table with named fields, or with integer names such as layers. Absent optionals leave no field.
public struct LuaTable: LuaPushable, ExpressibleByDictionaryLiteral {
  private var fields: [(key: any LuaPushable, value: any LuaPushable)]

  public init() { fields = [] }
  public init(dictionaryLiteral elements: (String, any LuaPushable)...) { fields = elements.map { ($0.0, $0.1) } }

  public mutating func set(_ key: String, _ value: any LuaPushable) { fields.append((key, value)) }
  public mutating func set(_ key: Int, _ value: any LuaPushable) { fields.append((key, value)) }

  public func push(on stack: LuaStack) {
    lua_createtable(stack.pointer, 0, Int32(clamping: fields.count))
    lua_checkstack(stack.pointer, 8)
    for (key, value) in fields {
      key.push(on: stack)
      value.push(on: stack)
      lua_rawset(stack.pointer, -3)
    }
  }
}

extension LuaObject {
  /// As a result or table entry: `call.push(model.asLua)`.
  public var asLua: LuaObjectValue { LuaObjectValue(self) }
}

/// An object on its way to Lua.
public struct LuaObjectValue: LuaPushable {
  let object: any LuaObject
  init(_ object: any LuaObject) { self.object = object }
  public func push(on stack: LuaStack) { stack.push(object: object) }
}
