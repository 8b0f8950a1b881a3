import CShim
import Engine
import Foundation

/// What TAB offers at a place in a line.
public struct Completions: Sendable, Equatable {
  /// Byte offset in the line where the text to be replaced begins; it ends at the cursor.
  public var start: Int
  /// Whole replacements, sorted, without duplicates. Option keys end in ` = `, folders in `/`.
  public var items: [String]
  public init(start: Int, items: [String]) {
    self.start = start
    self.items = items
  }
}

extension LuaState {
  /// Completes `line` at byte `cursor`: globals, fields, methods after a colon, option keys inside `f{`, choices and
  /// file names inside strings. Reads tables raw; no metamethod runs.
  public func complete(line: String, cursor: Int) -> Completions {
    let bytes = Array(line.utf8.prefix(max(0, cursor)))
    let scanner = CompletionScanner(bytes)
    switch scanner.context {
    case .none: return Completions(start: bytes.count, items: [])
    case .string(let start, let callee): return completeString(bytes, from: start, callee: callee, scanner.frames)
    case .name(let start, let path, let separator):
      let prefix = String(decoding: bytes[start...], as: UTF8.self)
      var candidates: [String]
      if let separator {
        candidates = members(of: path, methods: separator == UInt8(ascii: ":"))
      } else {
        candidates = optionKeys(scanner.frames)
        if !candidates.contains(where: { $0.hasPrefix(prefix) }) {
          candidates = globalNames().filter(isIdentifier) + luaKeywords
        }
      }
      return Completions(start: start, items: matching(candidates, prefix))
    }
  }

  /// The page behind `?name`, where `name` may be a variable (`?m:generate`); else what is near.
  public func helpText(for name: String) -> String {
    let name = name.trimmingCharacters(in: .whitespaces)
    if name.isEmpty { return help.overview }
    if let page = help.text(for: name) { return page }
    if let row = row(of: name), !row.signature.isEmpty { return help.text(for: row) }
    if let type = withValue(of: name, { stack in objectType(at: -1, on: stack) }) ?? nil {
      return help.text(for: type.name) ?? type.summary
    }
    return help.search(name)
  }

  private func matching(_ candidates: [String], _ prefix: String) -> [String] {
    Set(candidates.filter { $0.hasPrefix(prefix) }).sorted()
  }

  // MARK: Names

  /// Runs `body` with the value of a dotted path on top of the stack; nil when there is none. Raw reads only.
  private func withValue<R>(of path: String, _ body: (LuaStack) -> R) -> R? {
    guard let stack = currentStack, !path.isEmpty, !path.contains(":") else { return nil }
    let base = stack.top
    guard lua_checkstack(stack.pointer, 32) != 0 else { return nil }
    defer { lua_settop(stack.pointer, base) }
    pushGlobals(on: stack)
    for name in path.split(separator: ".") {
      guard lua_type(stack.pointer, -1) == LUA_TTABLE else { return nil }
      stack.push(String(name))
      lua_rawget(stack.pointer, -2)
      lua_rotate(stack.pointer, -2, 1)
      stack.pop()
    }
    return lua_type(stack.pointer, -1) == LUA_TNIL ? nil : body(stack)
  }

  private func objectType(at index: Int32, on stack: LuaStack) -> ObjectType? {
    act_object_type(stack.pointer, index).map { Unmanaged<TypeBox>.fromOpaque($0).takeUnretainedValue().type }
  }

  /// The row of the function that `callee` names: `tensor.zeros`, `sweep`, `m:generate`.
  private func row(of callee: String) -> Function? {
    if let colon = callee.lastIndex(of: ":") {
      let method = callee[callee.index(after: colon)...]
      return withValue(of: String(callee[..<colon])) { stack in
        objectType(at: -1, on: stack)?.methods.first { $0.name == method }
      } ?? nil
    }
    return withValue(of: callee) { stack in
      act_function_context(stack.pointer, -1).map {
        Unmanaged<BoundFunction>.fromOpaque($0).takeUnretainedValue().row
      } ?? objectType(at: -1, on: stack)?.operators.first { $0.name == "__call" }
    } ?? nil
  }

  private func members(of path: String, methods: Bool) -> [String] {
    withValue(of: path) { stack -> [String] in
      switch lua_type(stack.pointer, -1) {
      case LUA_TUSERDATA:
        guard let type = objectType(at: -1, on: stack) else { return [] }
        return methods ? type.methods.map(\.name) : type.fields.map(\.name)
      case LUA_TSTRING: return methods ? tableKeys(of: "string", functionsOnly: true) : []
      case LUA_TTABLE: return tableKeys(on: stack, functionsOnly: methods)
      default: return []
      }
    } ?? []
  }

  private func tableKeys(of path: String, functionsOnly: Bool) -> [String] {
    withValue(of: path) { tableKeys(on: $0, functionsOnly: functionsOnly) } ?? []
  }

  /// String keys of the table on top that can stand after a dot.
  private func tableKeys(on stack: LuaStack, functionsOnly: Bool) -> [String] {
    let pointer = stack.pointer
    let table = lua_absindex(pointer, -1)
    let base = stack.top
    defer { lua_settop(pointer, base) }
    guard lua_type(pointer, table) == LUA_TTABLE, act_keys(pointer, table, 5000) == LUA_OK else { return [] }
    let count = min(5000, Int(lua_tointegerx(pointer, -1, nil)))
    var names: [String] = []
    for place in 0..<count {
      lua_rawgeti(pointer, -2, lua_Integer(place + 1))
      if lua_type(pointer, -1) == LUA_TSTRING {
        let name = stack.string(at: -1)
        let isFunction = lua_rawget(pointer, table) == LUA_TFUNCTION
        if isIdentifier(name), isFunction || !functionsOnly { names.append(name) }
      }
      stack.pop()
    }
    return names
  }

  // MARK: Options

  /// The row and the key that a place inside brackets belongs to; lists inside an option belong to the option.
  private func option(_ frames: [CompletionScanner.Frame]) -> (row: Function, key: String?, keys: [String])? {
    var key: String?
    for (depth, frame) in frames.enumerated().reversed() where frame.opener != UInt8(ascii: "[") {
      if key == nil { key = frame.key }
      if frame.opener == UInt8(ascii: "{") {
        var callee = frame.callee
        if callee.isEmpty, depth > 0, frames[depth - 1].opener == UInt8(ascii: "(") {
          callee = frames[depth - 1].callee
        }
        if let row = row(of: callee), !row.options.isEmpty { return (row, key, frame.keys) }
        if callee.isEmpty, frame.key == nil, key == nil { continue }
        if !callee.isEmpty { return nil }
      } else if !frame.callee.isEmpty {
        return nil
      }
    }
    return nil
  }

  private func optionKeys(_ frames: [CompletionScanner.Frame]) -> [String] {
    guard let last = frames.last, last.opener == UInt8(ascii: "{"), last.key == nil,
      let found = option(frames), found.key == nil
    else { return [] }
    return found.row.options.map(\.name).filter { !found.keys.contains($0) }.map { "\($0) = " }
  }

  // MARK: Strings

  private func completeString(
    _ bytes: [UInt8], from start: Int, callee: String, _ frames: [CompletionScanner.Frame]
  ) -> Completions {
    let text = String(decoding: bytes[start...], as: UTF8.self)
    var choices: [String] = []
    if !callee.isEmpty {
      choices = row(of: callee)?.argumentChoices?() ?? []
    } else if let found = option(frames), let key = found.key {
      choices = found.row.options.first { $0.name == key }?.choices ?? []
    } else if let frame = frames.last, frame.opener == UInt8(ascii: "("), frame.commas == 0 {
      choices = row(of: frame.callee)?.argumentChoices?() ?? []
    }
    let found = matching(choices, text)
    if !found.isEmpty { return Completions(start: start, items: found) }
    let slash = bytes[start...].lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? start
    let folder = String(decoding: bytes[start..<slash], as: UTF8.self)
    let prefix = String(decoding: bytes[slash...], as: UTF8.self)
    return Completions(start: slash, items: fileNames(in: folder, prefix))
  }

  private func fileNames(in folder: String, _ prefix: String) -> [String] {
    let path = folder.isEmpty ? "." : expandingHome(folder)
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return [] }
    return names.filter { $0.hasPrefix(prefix) && (!$0.hasPrefix(".") || prefix.hasPrefix(".")) }.sorted().prefix(500)
      .map { name in
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(
          atPath: "\(path)/\(name)", isDirectory: &isFolder)
        return isFolder.boolValue ? name + "/" : name
      }
  }
}
