import CShim
import Engine
import OrderedCollections

extension ArgumentReader {
  /// A Lua value as JSON: lists, tables with string keys, numbers, strings, booleans; small tensors as lists.
  func json(depth: Int = 0) throws -> JSONValue {
    guard depth < 16 else { throw error("nested too deeply") }
    if isNil { return .null }
    if isBoolean { return .bool(try boolean()) }
    if isNumber {
      if let value = try? integer(), lua_isinteger(stack.pointer, index) != 0 { return .integer(value) }
      return .number(try number(finite: false))
    }
    if isString { return .string(try string()) }
    if isTensor {
      let tensor = try tensor()
      guard tensor.rank <= 1, tensor.count <= 4096 else {
        throw error(
          "a tensor of shape \(shapeText(tensor.shape)) is too large for a row; save it with r:save(name, tensor)")
      }
      return tensor.rank == 0
        ? .number(Double(tensor.values[0])) : .array(tensor.values.map { .number(Double($0)) })
    }
    guard isTable else { throw mismatch("a number, string, boolean, list or table") }
    let names = try fieldNames(limit: 100_000, allowList: true)
    if let key = try looseKeys().first {
      throw error(
        "key [\(key)] is neither a name nor an entry of a list from 1; use names (tostring(layer)) or a list")
    }
    if names.isEmpty { return listCount > 0 ? .array(try list { try $0.json(depth: depth + 1) }) : .object([:]) }
    guard listCount == 0 else { throw error("a table with names and list entries is neither an object nor a list") }
    var members: OrderedDictionary<String, JSONValue> = [:]
    let top = stack.top
    for name in names {
      if let value = field(name) { members[name] = try value.json(depth: depth + 1) }
      lua_settop(stack.pointer, top)
    }
    return .object(members)
  }
}

extension JSONValue: LuaPushable {
  public func push(on stack: LuaStack) {
    lua_checkstack(stack.pointer, 8)
    switch self {
    case .null: stack.pushNil()
    case .bool(let value): stack.push(value)
    case .integer(let value): stack.push(value)
    case .number(let value): stack.push(value)
    case .string(let value): stack.push(value)
    case .array(let list): LuaList(list).push(on: stack)
    case .object(let members):
      var table = LuaTable()
      for (key, value) in members { table.set(key, value) }
      table.push(on: stack)
    }
  }
}
