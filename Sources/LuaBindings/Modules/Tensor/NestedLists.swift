import CShim
import Engine

/// Reads nested lists of numbers of equal lengths.
struct NestedReader {
  private static let maximumRank = 16
  private let reader: ArgumentReader
  private let shape: [Int]

  init(_ reader: ArgumentReader) throws {
    self.reader = reader
    let stack = reader.stack, base = stack.top
    defer { lua_settop(stack.pointer, base) }
    guard lua_checkstack(stack.pointer, 2 * Int32(Self.maximumRank) + 16) != 0 else {
      throw reader.error("nested too deeply")
    }
    var shape: [Int] = []
    lua_pushvalue(stack.pointer, reader.index)
    while lua_type(stack.pointer, -1) == LUA_TTABLE {
      guard shape.count < Self.maximumRank else { throw reader.error("nested more than \(Self.maximumRank) deep") }
      shape.append(Int(clamping: lua_rawlen(stack.pointer, -1)))
      lua_rawgeti(stack.pointer, -1, 1)
      if shape.last == 0 { break }
    }
    self.shape = shape
  }

  func tensor() throws -> Tensor {
    let tensor = try Tensor(uninitialized: shape)
    var next = tensor.mutablePointer
    try fill(reader.index, depth: 0, into: &next, place: [])
    return tensor
  }

  private func fill(
    _ index: Int32, depth: Int, into next: inout UnsafeMutablePointer<Float>, place: [Int]
  ) throws {
    let stack = reader.stack
    func name() -> String { place.isEmpty ? "" : "entry " + place.map { "[\($0)]" }.joined() + ": " }
    guard depth < shape.count else {
      guard lua_type(stack.pointer, index) == LUA_TNUMBER else {
        throw reader.error("\(name())expected a number, found \(stack.found(at: index))", kind: .shape)
      }
      next.pointee = Float(lua_tonumberx(stack.pointer, index, nil))
      next += 1
      return
    }
    guard lua_type(stack.pointer, index) == LUA_TTABLE else {
      throw reader.error("\(name())expected a list of \(shape[depth]), found \(stack.found(at: index))", kind: .shape)
    }
    let count = Int(clamping: lua_rawlen(stack.pointer, index)), table = lua_absindex(stack.pointer, index)
    guard count == shape[depth] else {
      throw reader.error("\(name())a list of \(count) beside lists of \(shape[depth])", kind: .shape)
    }
    try ArgumentReader(stack: stack, index: table) { name() }.requireOnlyEntries()
    let isLast = depth == shape.count - 1
    for entry in 1..<(count + 1) {
      lua_rawgeti(stack.pointer, table, lua_Integer(entry))
      if isLast, lua_type(stack.pointer, -1) == LUA_TNUMBER {
        next.pointee = Float(lua_tonumberx(stack.pointer, -1, nil))
        next += 1
      } else {
        try fill(-1, depth: depth + 1, into: &next, place: place + [entry])
      }
      stack.pop()
    }
  }
}

/// A tensor as nested lists. Integral values become Lua integers.
struct NestedValues: LuaPushable {
  let tensor: Tensor

  /// Bytes of Lua's heap that the lists of a tensor take: a table for each entry of all dimensions but the last, 16 for
  /// each entry. Beyond all heaps where that overflows.
  static func heapBytes(_ shape: [Int]) -> Int {
    var lists = 1.0, bytes = 0.0
    for size in shape {
      bytes += lists * (56 + 16 * Double(size))
      lists *= Double(size)
    }
    return bytes < 0x1p62 ? Int(bytes) : 1 << 62
  }

  func push(on stack: LuaStack) {
    lua_checkstack(stack.pointer, Int32(tensor.rank) * 2 + 16)
    var next = tensor.pointer
    push(on: stack, depth: 0, from: &next)
  }

  private func push(on stack: LuaStack, depth: Int, from next: inout UnsafePointer<Float>) {
    guard depth < tensor.rank else {
      let value = next.pointee
      next += 1
      if let integer = Int(exactly: value), !(integer == 0 && value.sign == .minus) {
        stack.push(integer)
      } else {
        stack.push(Double(value))
      }
      return
    }
    lua_createtable(stack.pointer, Int32(clamping: tensor.shape[depth]), 0)
    for entry in 0..<tensor.shape[depth] {
      push(on: stack, depth: depth + 1, from: &next)
      lua_rawseti(stack.pointer, -2, lua_Integer(entry + 1))
    }
  }
}
