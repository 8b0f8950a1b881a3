import CShim
import Engine
import Foundation

extension Module {
  /// Arrays of numbers.
  static let tensor = Module(
    "tensor", "Arrays of 32-bit floats: making, loading and saving them.",
    functions: [
      Function(
        "zeros", "tensor.zeros(n, ...)", "A tensor of zeros with the given sizes, which may be a list.",
        results: "a tensor", example: "local t = tensor.zeros(2, 3)", retries: true
      ) { call in call.push(try Tensor.zeros(call.sizes())) },
      Function(
        "ones", "tensor.ones(n, ...)", "A tensor of ones with the given sizes, which may be a list.",
        results: "a tensor", example: "local t = tensor.ones(4)", retries: true
      ) { call in call.push(try Tensor(repeating: 1, shape: call.sizes())) },
      Function(
        "randn", "tensor.randn(n, ..., { seed = })",
        "Independent standard normal values. The same seed gives the same values.",
        options: [
          Option("seed", "integer", .integer(0), "Start of the random sequence."),
          Option("requires_grad", "boolean", .boolean(false), "t:backward() keeps its gradient in .grad."),
        ],
        results: "a tensor", example: "local noise = tensor.randn(4, 576, { seed = 7 })", retries: true
      ) { call in
        let last = call.argumentCount
        let hasOptions = last > 1 && call.isTable(last)
        let shape = try call.sizes(to: hasOptions ? last - 1 : last)
        let options = hasOptions ? try call.options(last) : nil
        let object = TensorObject(try Tensor.normal(shape, seed: options?.integer("seed") ?? 0))
        object.requiresGradient = try options?.boolean("requires_grad") ?? false
        return call.push(object)
      },
      Function(
        "from", "tensor.from(nested)", "A tensor from a number or from nested lists of numbers of equal lengths.",
        results: "a tensor", example: "local t = tensor.from({ { 1, 2 }, { 3, 4 } })", retries: true
      ) { call in
        if call.argument(1).isTensor { return call.push(try call.argument(1).tensor().cloned()) }
        return call.push(try NestedReader(call.argument(1)).tensor())
      },
      Function(
        "stack", "tensor.stack(list)", "Tensors of one shape as the rows of a new first dimension.",
        results: "a tensor", example: "local rows = tensor.stack({ tensor.ones(3), tensor.zeros(3) })", retries: true
      ) { call in
        let list = try call.argument(1).list { try $0.tensor() }
        guard !list.isEmpty else { throw call.argument(1).error("the list is empty") }
        return call.push(try Tensor.stacked(list))
      },
      Function(
        "cat", "tensor.cat(list, dim)", "Joins tensors along a dimension, the first unless given.",
        results: "a tensor", example: "local both = tensor.cat({ tensor.ones(2, 3), tensor.zeros(1, 3) }, 1)",
        retries: true
      ) { call in
        let list = try call.argument(1).list { try $0.tensor() }
        guard let first = list.first else { throw call.argument(1).error("the list is empty") }
        let dimension = call.isGiven(2) ? try call.dimension(2, of: first) : 0
        return call.push(try Tensor.concatenated(list, dimension: dimension))
      },
      Function(
        "load", "tensor.load(path)",
        "Reads tensors from a file by its extension: .safetensors, .gguf (dequantised, row-major shapes), .npz, .npy. "
          + "Values become 32-bit floats.",
        results: "a table of tensors by name; for .npy the one tensor",
        example: "local tensors = tensor.load(\"directions.safetensors\")"
      ) { call in
        let path = try call.argument(1).string()
        let tensors = try TensorFiles.load(expandingHome(path))
        if fileExtension(of: path).lowercased() == "npy", let only = tensors.first {
          return call.push(only.tensor)
        }
        var table = LuaTable()
        for (name, tensor) in tensors { table.set(name, tensor.asLua) }
        return call.push(table)
      },
      Function(
        "save", "tensor.save(path, { name = t })",
        "Writes tensors by the file's extension: .safetensors, .npz, or .npy for a single one. The file appears whole or "
          + "not at all.",
        results: "nothing", example: "tensor.save(\"directions.safetensors\", { refusal = tensor.ones(576) })"
      ) { call in
        let path = expandingHome(try call.argument(1).string())
        try TensorFiles.save(path, try call.argument(2).namedTensors())
        return 0
      },
    ],
    types: [TensorObject.self])
}

extension ArgumentReader {
  /// A table of tensors by name, in the order of names; a single tensor is named `tensor`.
  func namedTensors() throws -> [(name: String, tensor: Tensor)] {
    if isTensor { return [("tensor", try tensor())] }
    guard isTable else { throw mismatch("a table { name = tensor }") }
    let tensors = try fieldNames().map { name -> (name: String, tensor: Tensor) in
      let base = stack.top
      defer { lua_settop(stack.pointer, base) }
      guard let entry = field(name) else { throw mismatch("a table { name = tensor }") }
      return (name, try entry.tensor())
    }
    guard !tensors.isEmpty else { throw mismatch("a table { name = tensor } with at least one entry") }
    return tensors
  }
}

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
