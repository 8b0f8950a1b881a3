import CShim
import Engine

extension TensorObject {
  /// Values and copies.
  static let valueRows: [Function] = [
    Function(
      "shape", "t:shape()", "The sizes.", results: "a list of integers", example: "print(tensor.zeros(2, 3):shape()[2])"
    ) { call in call.push(try call.tensor.shape) },
    Function(
      "item", "t:item()", "The value of a tensor of one element.", results: "a number",
      example: "print((tensor.ones(3):matmul(tensor.ones(3))):item())"
    ) { call in call.push(try call.tensor.item()) },
    Function(
      "to_table", "t:to_table()", "The values as nested lists; integral values as integers.",
      results: "nested lists, or a number",
      example: "for _, row in ipairs(tensor.ones(2, 2):to_table()) do print(row[1]) end"
    ) { call in
      let tensor = try call.tensor, needed = NestedValues.heapBytes(tensor.shape)
      let limit = call.state.heapLimit, used = call.state.heapBytes
      guard needed <= max(0, limit - used) else {
        throw call.error(
          "lists for a tensor of shape \(shapeText(tensor.shape)) need \(byteText(needed)) of Lua's heap; \(byteText(used)) "
            + "of its limit of \(byteText(limit)) are in use", kind: .memory)
      }
      return call.push(NestedValues(tensor: tensor))
    },
    Function(
      "clone", "t:clone()", "A copy with memory of its own.", results: "a tensor",
      example: "local copy = tensor.ones(3):clone()", retries: true
    ) { call in try call.push(from: [call.tensorObject]) { try $0[0].cloned() } },
    Function(
      "free", "t:free()",
      "Gives the memory back now. Rows of it that are still held keep what they share. Twice is fine.",
      results: "nothing", example: "local t = tensor.zeros(1000, 1000) t:free()"
    ) { call in
      act_free_object(call.stack.pointer, 1)
      return 0
    },
  ]
}
