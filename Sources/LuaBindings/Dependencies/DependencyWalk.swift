import CShim
import Engine
import Foundation
import Transfer

/// Finds what the results of a Lua function follow from: its code, the values of its upvalues and of the globals it
/// names, the functions reached through them, and so on; models, tensors and other objects by their content.
///
/// The host's own functions and tables are known by their names (the version stands for them); what a script changed in
/// them counts. What has no content to compare (open files, coroutines, functions of C modules) is listed in words.
struct DependencyWalk {
  let stack: LuaStack
  let files: InputFiles
  private(set) var found = Dependencies()
  /// Tables, functions and objects met, with the name each was met by first.
  private var met: [UnsafeRawPointer: String] = [:]
  private var globals: Set<String> = []
  private var depth = 0
  private var budget = 20_000_000

  private static let maximumDepth = 150

  init(stack: LuaStack, files: InputFiles) {
    self.stack = stack
    self.files = files
  }

  // MARK: Functions

  /// Adds the function at `index` under `name`; the name it was met by first.
  @discardableResult
  mutating func add(functionAt index: Int32, name: String) throws -> String {
    let pointer = stack.pointer, base = stack.top, index = lua_absindex(stack.pointer, index)
    defer { lua_settop(pointer, base) }
    guard let identity = lua_topointer(pointer, index), lua_checkstack(pointer, 24) != 0, depth < Self.maximumDepth
    else {
      found.addUnknown("\(name), which is nested too deeply")
      return name
    }
    if let host = hostName(at: index) { return "host \(host)" }
    if let first = met[identity] { return first }
    met[identity] = name
    guard lua_iscfunction(pointer, index) == 0 else {
      if let context = act_function_context(pointer, index) {
        return "host \(Unmanaged<BoundFunction>.fromOpaque(context).takeUnretainedValue().qualifiedName)"
      }
      found.addUnknown("\(name), a function written in C or an iterator")
      return name
    }
    guard let code = Bytecode(at: index, on: stack) else {
      found.addUnknown("\(name), whose code cannot be read")
      return name
    }
    depth += 1
    defer { depth -= 1 }
    found.add("function \(name)", code.digest)
    for place in code.keysRead.indices {
      guard let title = lua_getupvalue(pointer, index, Int32(place + 1)) else { break }
      let upvalue = String(cString: title)
      if act_is_globals(pointer, -1) {
        for global in code.keysRead[place].sorted() { try add(global: global) }
        if code.isUsedWhole[place] { try addAllGlobals() }
        try addOutside(code, reading: code.keysRead[place])
      } else if lua_type(pointer, -1) == LUA_TFUNCTION {
        let met = try add(functionAt: -1, name: upvalue)
        found.add("\(upvalue) of \(name)", met)
      } else {
        found.add("\(upvalue.isEmpty ? "upvalue \(place + 1)" : upvalue) of \(name)", try digest(at: -1, upvalue))
      }
      stack.pop()
    }
    return name
  }

  // MARK: Globals

  private mutating func add(global name: String) throws {
    // The words of the command line are added on their own; where the script lies does not count.
    guard name != "arg", globals.insert(name).inserted else { return }
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    stack.state.pushGlobals(on: stack)
    stack.push(name)
    lua_rawget(pointer, -2)
    if act_is_globals(pointer, -1) { return try addAllGlobals() }
    if name == "package" { found.addUnknown("what it reads of package") }
    if hostName(at: -1) == name { return try addChanges(ofHostTableAt: -1, name) }
    if lua_type(pointer, -1) == LUA_TFUNCTION {
      let met = try add(functionAt: -1, name: name)
      if met != name { found.add("global \(name)", met) }
      return
    }
    found.add("global \(name)", try digest(at: -1, name))
    guard lua_type(pointer, -1) <= LUA_TNIL, lua_getmetatable(pointer, -2) != 0 else { return }
    guard globals.insert("\u{0}metatable").inserted else { return }
    found.add("metatable of _G", try digest(at: -1, "metatable of _G"))
  }

  /// For code that computes the names of globals: all that the script made.
  private mutating func addAllGlobals() throws {
    for name in stack.state.globalNames() { try add(global: name) }
  }

  /// What a script added to or replaced in a table of the host.
  private mutating func addChanges(ofHostTableAt index: Int32, _ name: String) throws {
    let pointer = stack.pointer, base = stack.top, table = lua_absindex(stack.pointer, index)
    defer { lua_settop(pointer, base) }
    guard lua_type(pointer, table) == LUA_TTABLE, act_push_host_fields(pointer, table) else { return }
    let original = lua_absindex(pointer, -1)
    for key in try stringKeys(of: table).union(stringKeys(of: original)).sorted() {
      stack.push(key)
      lua_rawget(pointer, original)
      stack.push(key)
      lua_rawget(pointer, table)
      if lua_rawequal(pointer, -1, -2) == 0 {
        found.add("\(name).\(key)", try digest(at: -1, "\(name).\(key)"))
      }
      stack.pop(2)
    }
  }

  /// What a script changed in `string`, which methods of texts reach without naming it.
  mutating func addStringMethods() throws { try add(global: "string") }

  private func stringKeys(of table: Int32) throws -> Set<String> {
    Set(try ArgumentReader(stack: stack, index: table) { "table" }.fieldNames(limit: 100_000, allowList: true))
  }

  /// Files, modules and surroundings that code reads past the host's own modules, as far as it names them.
  private mutating func addOutside(_ code: Bytecode, reading globals: Set<String>) throws {
    let reads = code.strings
    if globals.contains("os"), reads.contains("getenv") {
      let environment = ProcessInfo.processInfo.environment
      for name in reads.sorted() {
        if let value = environment[name] { found.digests["$\(name)"] = SHA256.hex(of: Array(value.utf8)) }
      }
    }
    let readsFiles =
      !globals.isDisjoint(with: ["dofile", "loadfile"])
      || (globals.contains("io") && !reads.isDisjoint(with: ["open", "lines", "input", "popen"]))
    var isNamed = false
    if readsFiles, reads.isDisjoint(with: ["w", "a", "w+", "a+", "wb", "ab", "r+"]) {
      for path in reads.sorted() where access(path, F_OK) == 0 {
        let digest = try files.digest(path)
        guard digest != "absent" else { continue }
        found.digests["file \(path)"] = digest
        isNamed = true
      }
      if !isNamed { found.addUnknown("files that it opens by computed names (io, dofile); data.* would record them") }
    }
    guard globals.contains("require") else { return }
    try addModules(reads)
  }

  /// Modules that code requires by names among `strings`: those that are loaded by what they hold, files that are not by
  /// their contents and those of the modules that they name in turn.
  private mutating func addModules(_ strings: Set<String>) throws {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    var open = strings.sorted(), seen: Set<String> = []
    while let name = open.popLast() {
      guard seen.insert(name).inserted else { continue }
      if pushLoaded(name) {
        if hostName(at: -1) == nil { found.add("module \(name)", try digest(at: -1, "module \(name)")) }
        lua_settop(pointer, base)
      }
      for path in modulePaths([name]) {
        found.digests["file \(path)"] = try files.digest(path)
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
        open += text.matches(of: /require\s*\(?\s*["']([^"'\n]+)["']/).map { String($0.1) }
        if strings.contains(name), !isLoaded(name) {
          found.addUnknown("globals that module \(name) reads, which run requires itself; require it before the sweep")
        }
      }
    }
  }

  private func isLoaded(_ name: String) -> Bool {
    let base = stack.top
    defer { lua_settop(stack.pointer, base) }
    return pushLoaded(name)
  }

  /// Pushes `package.loaded[name]`; false, and nothing, where there is none.
  private func pushLoaded(_ name: String) -> Bool {
    let pointer = stack.pointer, base = stack.top
    stack.state.pushGlobals(on: stack)
    for key in ["package", "loaded", name] {
      guard lua_type(pointer, -1) == LUA_TTABLE else {
        lua_settop(pointer, base)
        return false
      }
      stack.push(key)
      lua_rawget(pointer, -2)
      lua_rotate(pointer, -2, -1)
      stack.pop()
    }
    guard lua_type(pointer, -1) > LUA_TNIL else {
      lua_settop(pointer, base)
      return false
    }
    return true
  }

  /// Files that `require` finds for names among `strings`.
  private func modulePaths(_ strings: Set<String>) -> [String] {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    stack.state.pushGlobals(on: stack)
    for key in ["package", "path"] {
      guard lua_type(pointer, -1) == LUA_TTABLE else { return [] }
      stack.push(key)
      lua_rawget(pointer, -2)
    }
    guard lua_type(pointer, -1) == LUA_TSTRING else { return [] }
    let templates = stack.string(at: -1).split(separator: ";")
    return strings.sorted().compactMap { name in
      let part = name.replacing(".", with: "/")
      return templates.map { $0.replacing("?", with: part) }.map(String.init).first { access($0, R_OK) == 0 }
    }
  }

  // MARK: Values

  /// The digest of one value, which `label` names in messages.
  mutating func digest(at index: Int32, _ label: String) throws -> String {
    var hash = SHA256()
    try add(valueAt: lua_absindex(stack.pointer, index), label, to: &hash)
    return String(hash.finish().prefix(32))
  }

  private mutating func add(valueAt index: Int32, _ label: @autoclosure () -> String, to hash: inout SHA256) throws {
    let pointer = stack.pointer
    budget -= 1
    let type = lua_type(pointer, index)
    hash.add([UInt8(truncatingIfNeeded: type)])
    switch type {
    case LUA_TNIL, LUA_TNONE: return
    case LUA_TBOOLEAN: hash.add([lua_toboolean(pointer, index) != 0 ? 1 : 0])
    case LUA_TNUMBER:
      if lua_isinteger(pointer, index) != 0 {
        withUnsafeBytes(of: lua_tointegerx(pointer, index, nil)) { hash.add($0) }
        hash.add([1])
      } else {
        withUnsafeBytes(of: lua_tonumberx(pointer, index, nil).bitPattern) { hash.add($0) }
        hash.add([2])
      }
    case LUA_TSTRING:
      var count = 0
      guard let bytes = lua_tolstring(pointer, index, &count) else { return }
      withUnsafeBytes(of: UInt64(count).littleEndian) { hash.add($0) }
      hash.add(UnsafeRawBufferPointer(start: bytes, count: count))
    case LUA_TFUNCTION: hash.add(text: try add(functionAt: index, name: label()))
    case LUA_TTABLE: try add(tableAt: index, label(), to: &hash)
    case LUA_TUSERDATA: try add(objectAt: index, label(), to: &hash)
    default: found.addUnknown("\(label()), a \(stack.typeName(at: index) == "thread" ? "coroutine" : "C pointer")")
    }
  }

  /// The name of a value of the host: `string.format`; nil for a script's.
  private func hostName(at index: Int32) -> String? {
    guard act_push_host_name(stack.pointer, index) else { return nil }
    defer { stack.pop() }
    return stack.string(at: -1)
  }

  /// Whether a table is the global `arg`.
  private func isArguments(_ index: Int32) -> Bool {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    stack.state.pushGlobals(on: stack)
    stack.push("arg")
    lua_rawget(pointer, -2)
    return lua_rawequal(pointer, -1, index) != 0
  }

  /// Whether the value was met before; else it is from now on.
  private mutating func isMet(_ index: Int32, _ label: String, _ hash: inout SHA256) -> Bool {
    guard let identity = lua_topointer(stack.pointer, index) else { return true }
    if let first = met[identity] {
      hash.add(text: "the same as \(first)")
      return true
    }
    met[identity] = label
    return false
  }

  private mutating func add(tableAt index: Int32, _ label: String, to hash: inout SHA256) throws {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    if act_is_globals(pointer, index) {
      hash.add(text: "globals")
      return try addAllGlobals()
    }
    if let host = hostName(at: index) {
      hash.add(text: "host \(host)")
      return try addChanges(ofHostTableAt: index, host)
    }
    if isArguments(index) { return hash.add(text: "arg") }
    guard !isMet(index, label, &hash) else { return }
    guard depth < Self.maximumDepth, budget > 0, lua_checkstack(pointer, 24) != 0 else {
      return found.addUnknown("\(label), which is \(budget > 0 ? "nested too deeply" : "too large")")
    }
    depth += 1
    defer { depth -= 1 }
    if !act_iserror(pointer, index), lua_getmetatable(pointer, index) != 0 {
      try add(valueAt: lua_absindex(pointer, -1), "metatable of \(label)", to: &hash)
      stack.pop()
    }
    let listed = Int(clamping: lua_rawlen(pointer, index))
    withUnsafeBytes(of: listed) { hash.add($0) }
    for place in 0..<listed {
      if place & 0xffff == 0 { try Interrupt.check() }
      lua_rawgeti(pointer, index, lua_Integer(place + 1))
      try add(valueAt: lua_absindex(pointer, -1), "\(label)[\(place + 1)]", to: &hash)
      stack.pop()
    }
    guard act_keys(pointer, index, Int32.max / 16) == LUA_OK else { return found.addUnknown("\(label), too large") }
    let count = Int(lua_tointegerx(pointer, -1, nil)), keys = lua_absindex(pointer, -2)
    for key in sortedKeys(keys, count: count, after: listed) {
      lua_rawgeti(pointer, keys, lua_Integer(key.place))
      try add(valueAt: lua_absindex(pointer, -1), "a key of \(label)", to: &hash)
      lua_rawget(pointer, index)
      try add(valueAt: lua_absindex(pointer, -1), "\(label).\(key.name)", to: &hash)
      stack.pop()
    }
  }

  /// Keys outside the list part in an order that only their values decide: numbers, strings, booleans, then others.
  private func sortedKeys(_ keys: Int32, count: Int, after listed: Int) -> [(name: String, place: Int)] {
    let pointer = stack.pointer
    var found: [(rank: Int, number: Double, name: String, place: Int)] = []
    for place in 0..<count {
      lua_rawgeti(pointer, keys, lua_Integer(place + 1))
      defer { stack.pop() }
      switch lua_type(pointer, -1) {
      case LUA_TNUMBER:
        let value = lua_tonumberx(pointer, -1, nil)
        if lua_isinteger(pointer, -1) != 0, value >= 1, value <= Double(listed) { continue }
        found.append((0, value, "[\(stack.number(at: -1))]", place + 1))
      case LUA_TSTRING: found.append((1, 0, stack.string(at: -1), place + 1))
      case LUA_TBOOLEAN: found.append((2, lua_toboolean(pointer, -1) != 0 ? 1 : 0, "boolean", place + 1))
      default: found.append((3, 0, stack.typeName(at: -1), place + 1))
      }
    }
    return found.sorted { ($0.rank, $0.number, $0.name) < ($1.rank, $1.number, $1.name) }.map { ($0.name, $0.place) }
  }

  private mutating func add(objectAt index: Int32, _ label: String, to hash: inout SHA256) throws {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    if let host = hostName(at: index) { return hash.add(text: "host \(host)") }
    guard !isMet(index, label, &hash) else { return }
    guard let object = stack.anyObject(at: index) else {
      return found.addUnknown("\(label), \(stack.text(at: index).hasPrefix("file") ? "an open file" : "a userdata")")
    }
    hash.add(text: stack.typeName(at: index))
    guard let content = object as? any ContentHashed else {
      return found.addUnknown("\(label), a \(stack.typeName(at: index))")
    }
    let unknown = try content.addContent(to: &hash, files: files)
    for what in unknown { found.addUnknown("\(label): \(what)") }
    guard lua_checkstack(pointer, 24) != 0, lua_getiuservalue(pointer, index, 1) == LUA_TTABLE else { return }
    // Functions that the object keeps, such as hooks, in order of registration.
    let table = lua_absindex(pointer, -1)
    guard act_keys(pointer, table, 100_000) == LUA_OK else { return }
    let count = Int(lua_tointegerx(pointer, -1, nil)), keys = lua_absindex(pointer, -2)
    for (number, key) in sortedKeys(keys, count: count, after: 0).enumerated() {
      lua_rawgeti(pointer, keys, lua_Integer(key.place))
      lua_rawget(pointer, table)
      try add(valueAt: lua_absindex(pointer, -1), "hook \(number + 1) of \(label)", to: &hash)
      stack.pop()
    }
  }
}
