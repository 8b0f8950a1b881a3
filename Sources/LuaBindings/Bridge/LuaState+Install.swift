import CShim
import Engine

extension LuaState {
  /// Makes a module's table, globals and types. Modules are in `package.loaded` too, so `require "tensor"` works.
  func install(_ module: Module) {
    guard let stack = mainStack else { return }
    let pointer = stack.pointer
    let base = stack.top
    defer { lua_settop(pointer, base) }
    lua_checkstack(pointer, 16)
    for type in module.types { _ = typeBox(for: type) }
    for row in module.globals {
      push(row, name: row.name, on: stack)
      setGlobal(row.name, on: stack)
    }
    guard !module.functions.isEmpty else { return }
    lua_createtable(pointer, 0, Int32(module.functions.count))
    for row in module.functions {
      stack.push(row.name)
      push(row, name: "\(module.name).\(row.name)", on: stack)
      lua_rawset(pointer, -3)
    }
    lua_createtable(pointer, 0, 1)
    stack.push("__index")
    push(unknownFunction(of: module), name: module.name, on: stack)
    lua_rawset(pointer, -3)
    lua_setmetatable(pointer, -2)
    lua_pushvalue(pointer, -1)
    setGlobal(module.name, on: stack)
    setLoaded(module.name, on: stack)
  }

  /// Pops a value into a global, without metamethods.
  func setGlobal(_ name: String, on stack: LuaStack) {
    lua_rawgeti(stack.pointer, LuaRegistry.index, lua_Integer(LUA_RIDX_GLOBALS))
    stack.push(name)
    lua_rotate(stack.pointer, -3, -1)
    lua_rawset(stack.pointer, -3)
    stack.pop()
  }

  private func setLoaded(_ name: String, on stack: LuaStack) {
    let pointer = stack.pointer
    stack.push(LUA_LOADED_TABLE)
    lua_rawget(pointer, LuaRegistry.index)
    stack.push(name)
    lua_pushvalue(pointer, -3)
    lua_rawset(pointer, -3)
    stack.pop(2)
  }

  private func push(_ row: Function, name: String, offset: Int = 0, on stack: LuaStack) {
    act_pushfunction(stack.pointer, Unmanaged.passUnretained(bind(row, name: name, offset: offset)).toOpaque())
  }

  private func unknownFunction(of module: Module) -> Function {
    let known = module.functions.map(\.name)
    return internalRow { call in
      let key = call.stack.found(at: 2)
      let name = call.stack.string(at: 2)
      throw LuaError(
        "argument",
        name.isEmpty
          ? "\(module.name) has no entry \(key)"
          : "\(module.name) has no function '\(name)'\(suggestion(for: name, in: known))")
    }
  }

  private func internalRow(_ body: @escaping Function.Body) -> Function {
    Function("", "", "", results: "", example: "", body: body)
  }

  /// Makes the metatable of a type.
  func install(_ box: TypeBox) {
    guard let stack = mainStack else { return }
    let pointer = stack.pointer
    let base = stack.top
    let type = box.type
    defer { lua_settop(pointer, base) }
    lua_checkstack(pointer, 24)
    act_newtype(pointer, box.pointer, type.name)

    func set(_ name: String, _ row: Function, as qualified: String, offset: Int = 0) {
      stack.push(name)
      push(row, name: qualified, offset: offset, on: stack)
      lua_rawset(pointer, -3)
    }
    for row in type.operators { set(row.name, row, as: "\(type.name) \(row.signature)") }
    if let close = type.close { set("__close", internalRow(close), as: "\(type.name):close", offset: 1) }
    set("__tostring", internalRow(displayObject), as: type.name)
    set("__newindex", assignment(type), as: type.name)

    stack.push("__index")
    lua_createtable(pointer, 0, Int32(type.methods.count))
    for row in type.methods { set(row.name, row, as: "\(type.name):\(row.name)", offset: 1) }
    lua_createtable(pointer, 0, Int32(type.fields.count))
    for field in type.fields { set(field.name, internalRow(field.body), as: "\(type.name).\(field.name)", offset: 1) }
    push(fallback(of: type), name: type.name, on: stack)
    act_pushindex(pointer)
    lua_rawset(pointer, -3)
  }

  private func assignment(_ type: ObjectType) -> Function {
    internalRow { call in
      let name = lua_type(call.stack.pointer, 2) == LUA_TSTRING ? call.stack.string(at: 2) : ""
      if let assign = type.fields.first(where: { $0.name == name })?.assign { return try assign(call) }
      if let assign = type.assignIndex, try assign(call) { return 0 }
      let open = type.fields.filter { $0.assign != nil }.map(\.name)
      throw LuaError(
        "argument",
        "the fields of a \(type.name) are read-only" + (open.isEmpty ? "" : ", except \(open.joined(separator: ", "))"))
    }
  }

  private func fallback(of type: ObjectType) -> Function {
    internalRow { call in
      if let index = type.index, let count = try index(call) { return count }
      guard lua_type(call.stack.pointer, 2) == LUA_TSTRING else {
        throw LuaError("argument", "a \(type.name) cannot be indexed by \(call.stack.found(at: 2))")
      }
      let name = call.stack.string(at: 2)
      var near = suggestion(for: name, in: type.members)
      if near.isEmpty, !type.members.isEmpty { near = "; it has \(type.memberList)" }
      throw LuaError("argument", "a \(type.name) has no field or method '\(name)'\(near)")
    }
  }
}

/// `tostring(object)`.
@Sendable private func displayObject(_ call: Call) -> Int {
  guard let object = call.stack.anyObject(at: 1) else {
    return call.push("\(call.stack.typeName(at: 1)) (freed)")
  }
  return call.push(object.display.printable)
}

extension ObjectType {
  /// `.site .layer :save()`, at most twenty of them.
  fileprivate var memberList: String {
    let all = fields.map { ".\($0.name)" } + methods.map { ":\($0.name)()" }
    return all.prefix(20).joined(separator: " ") + (all.count > 20 ? " and \(all.count - 20) more" : "")
  }
}
