import CShim
import Engine
import Foundation

extension Module {
  /// Tensors in files.
  static let tensorFileRows: [Function] = [
    Function(
      "load", "tensor.load(path)",
      "Reads tensors from a file by its extension: .safetensors, .gguf (dequantised, row-major shapes), .npz, .npy. "
        + "Values become 32-bit floats. Where a .gguf file keeps rows of queries and keys in another order than "
        + "checkpoints do, a note says so; m:weight(name) has them in the checkpoint's.",
      results: "a table of tensors by name; for .npy the one tensor",
      example: "local tensors = tensor.load(\"directions.safetensors\")"
    ) { call in
      let path = try call.argument(1).string()
      let tensors = try TensorFiles.load(expandingHome(path))
      if let note = TensorFiles.noteOnRows(expandingHome(path)) { call.state.output.note("note: \(path): \(note)") }
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
  ]
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
