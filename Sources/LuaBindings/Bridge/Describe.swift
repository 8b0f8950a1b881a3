import CShim
import Engine

extension LuaState {
  /// A value as the prompt shows it: strings as they are but for control characters, tables to depth 3 and 30 items with sorted keys, objects as
  /// `tostring` shows them. Never a dump. Metamethods other than `__tostring` do not run; errors in it are shown.
  public func describe(_ value: LuaReference, width: Int? = nil) -> String {
    guard let stack = currentStack, value.push(on: stack) else { return "(gone)" }
    defer { stack.pop() }
    return describe(at: -1, on: stack, width: width ?? output.width)
  }

  func describe(at index: Int32, on stack: LuaStack, width: Int) -> String {
    let base = stack.top
    defer { lua_settop(stack.pointer, base) }
    if lua_type(stack.pointer, index) == LUA_TSTRING {
      let text = stack.string(at: index)
      guard text.utf8.count > 20_000 else { return printable(text) }
      return "\(printable(String(text.prefix(20_000))))\n... (\(text.utf8.count) bytes)"
    }
    var describer = Describer(stack: stack)
    let node = describer.node(at: lua_absindex(stack.pointer, index), depth: 0)
    return printable(node.text(width: max(20, width), indent: 0))
  }

  /// Whether a value says nothing of itself but an address: tables without `__tostring` or `__name`; and values that
  /// read alike everywhere, such as nil and numbers.
  func isPlain(at index: Int32, on stack: LuaStack) -> Bool {
    let pointer = stack.pointer, base = stack.top
    defer { lua_settop(pointer, base) }
    guard lua_type(pointer, index) == LUA_TTABLE else { return lua_type(pointer, index) != LUA_TUSERDATA }
    guard lua_checkstack(pointer, 8) != 0, lua_getmetatable(pointer, index) != 0 else { return true }
    return ["__tostring", "__name"].allSatisfy { key in
      stack.push(key)
      return lua_rawget(pointer, base + 1) == LUA_TNIL
    }
  }
}

/// A value in words, before it is laid out.
private indirect enum DescribedNode {
  case leaf(String)
  /// Items between braces, each with its key's text.
  case table([(key: String, value: DescribedNode)])

  var flat: String {
    switch self {
    case .leaf(let text): text
    case .table(let items):
      items.isEmpty ? "{}" : "{ " + items.map { $0.key + $0.value.flat }.joined(separator: ", ") + " }"
    }
  }

  func text(width: Int, indent: Int) -> String {
    guard case .table(let items) = self else { return flat }
    let line = flat
    if line.count <= width - indent, !line.contains("\n") { return line }
    let inner = String(repeating: " ", count: indent + 2)
    if items.allSatisfy({ if case .leaf(let text) = $0.value { $0.key.isEmpty && text.count <= 24 } else { false } }) {
      return wrapped(items.map(\.value.flat), width: width, indent: indent)
    }
    let lines = items.map { inner + $0.key + $0.value.text(width: width, indent: indent + 2) }
    return "{\n" + lines.joined(separator: ",\n") + "\n" + String(repeating: " ", count: indent) + "}"
  }

  /// A list of short values, as many on a line as fit.
  private func wrapped(_ items: [String], width: Int, indent: Int) -> String {
    let space = String(repeating: " ", count: indent + 2)
    var lines: [String] = []
    var line = space
    for item in items {
      if line.count + item.count + 2 > width, line != space {
        lines.append(line)
        line = space
      }
      line += (line == space ? "" : " ") + item + ","
    }
    if line != space { lines.append(line) }
    lines[lines.count - 1].removeLast()
    return "{\n" + lines.joined(separator: "\n") + "\n" + String(repeating: " ", count: indent) + "}"
  }
}

private struct Describer {
  static let maximumDepth = 3, maximumItems = 30, maximumString = 200
  let stack: LuaStack
  /// Tables being described, to notice cycles.
  var open: [UnsafeRawPointer] = []
  /// Leaves still allowed in all.
  var budget = 1000

  mutating func node(at index: Int32, depth: Int) -> DescribedNode {
    let pointer = stack.pointer
    budget -= 1
    switch lua_type(pointer, index) {
    case LUA_TNUMBER: return .leaf(stack.number(at: index))
    case LUA_TSTRING: return .leaf(quoted(stack.string(at: index)))
    case LUA_TTABLE: return table(at: index, depth: depth)
    case LUA_TUSERDATA:
      guard let object = stack.anyObject(at: index) else { return .leaf(stack.text(at: index)) }
      return .leaf(depth == 0 ? object.display : object.summary)
    case LUA_TFUNCTION:
      guard let context = act_function_context(pointer, index) else { return .leaf(stack.text(at: index)) }
      let row = Unmanaged<BoundFunction>.fromOpaque(context).takeUnretainedValue().row
      return .leaf(row.signature.isEmpty ? stack.text(at: index) : "function: \(row.signature)")
    default: return .leaf(stack.text(at: index))
    }
  }

  private mutating func table(at index: Int32, depth: Int) -> DescribedNode {
    let pointer = stack.pointer
    let base = stack.top
    guard lua_checkstack(pointer, 16) != 0 else { return .leaf("{...}") }
    defer { lua_settop(pointer, base) }
    if lua_getmetatable(pointer, index) != 0 {
      stack.push("__tostring")
      let custom = lua_rawget(pointer, -2) != LUA_TNIL
      lua_settop(pointer, base)
      if custom { return .leaf(stack.text(at: index)) }
    }
    guard let identity = lua_topointer(pointer, index) else { return .leaf("{...}") }
    if open.contains(identity) { return .leaf("(cycle)") }
    guard act_keys(pointer, index, 10_000) == LUA_OK else { return .leaf("{...}") }
    let count = Int(lua_tointegerx(pointer, -1, nil))
    let keys = lua_absindex(pointer, -2)
    if count == 0 { return .table([]) }
    if depth >= Self.maximumDepth || budget <= 0 { return .leaf("{... \(count) item\(count == 1 ? "" : "s")}") }
    open.append(identity)
    defer { open.removeLast() }

    var items: [(key: String, value: DescribedNode)] = []
    let listed = min(Int(clamping: lua_rawlen(pointer, index)), count)
    for place in 0..<min(listed, Self.maximumItems) {
      lua_rawgeti(pointer, index, lua_Integer(place + 1))
      items.append(("", node(at: lua_absindex(pointer, -1), depth: depth + 1)))
      stack.pop()
    }
    for (text, place) in sortedKeys(keys, count: min(count, 10_000), after: listed)
    where items.count < Self.maximumItems {
      lua_rawgeti(pointer, keys, lua_Integer(place))
      lua_rawget(pointer, index)
      items.append((text, node(at: lua_absindex(pointer, -1), depth: depth + 1)))
      stack.pop()
    }
    if items.count < count { items.append(("", .leaf("... \(count - items.count) more"))) }
    return .table(items)
  }

  /// Keys outside the list part, as `name = ` texts with their places in the list of keys: numbers, then strings.
  private func sortedKeys(_ keys: Int32, count: Int, after listed: Int) -> [(String, Int)] {
    let pointer = stack.pointer
    var found: [(rank: Int, number: Double, text: String, place: Int)] = []
    for place in 1...count {
      lua_rawgeti(pointer, keys, lua_Integer(place))
      defer { stack.pop() }
      switch lua_type(pointer, -1) {
      case LUA_TNUMBER:
        let value = lua_tonumberx(pointer, -1, nil)
        if lua_isinteger(pointer, -1) != 0, value >= 1, value <= Double(listed) { continue }
        found.append((0, value, "[\(stack.number(at: -1))] = ", place))
      case LUA_TSTRING:
        let name = stack.string(at: -1)
        found.append((1, 0, isIdentifier(name) ? "\(name) = " : "[\(quoted(name))] = ", place))
      default: found.append((2, 0, "[\(stack.typeName(at: -1))] = ", place))
      }
    }
    return found.sorted { ($0.rank, $0.number, $0.text) < ($1.rank, $1.number, $1.text) }.map { ($0.text, $0.place) }
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars.prefix(Self.maximumString) {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where scalar.value < 32 || scalar.value == 127: result += "\\\(scalar.value)"
      default: result.unicodeScalars.append(scalar)
      }
    }
    let count = text.utf8.count
    return text.unicodeScalars.count > Self.maximumString ? result + "...\" (\(count) bytes)" : result + "\""
  }
}

/// Whether `text` can stand as a name in Lua.
func isIdentifier(_ text: String) -> Bool {
  guard let first = text.utf8.first, !luaKeywords.contains(text) else { return false }
  return !(0x30...0x39).contains(first) && text.utf8.allSatisfy(isNameByte)
}

func isNameByte(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x5f
}

let luaKeywords: Set<String> = [
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while",
]
