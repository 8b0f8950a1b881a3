import CShim
import Engine

extension Call {
  /// Places, 0-based, that the key of `t[key]` names: an index or a list of indices, 1-based and negative from the end;
  /// nil for other keys. One past the end of a single index gives `isPastEnd`.
  fileprivate func places(of tensor: Tensor) throws -> (places: [Int], isPastEnd: Bool)? {
    let key = argument(2)
    let indices: [Int]
    if key.isTable {
      indices = try key.list { try $0.integer() }
      guard !indices.isEmpty else { throw LuaError("argument", "t[{}] names no entry; write t[{ i, j }]") }
    } else {
      guard key.isNumber, let index = try? key.integer() else { return nil }
      indices = [index]
    }
    guard tensor.rank > 0 else { throw LuaError("shape", "a tensor of shape [] has no rows; use t:item()") }
    guard indices.count <= tensor.rank else {
      throw LuaError("shape", "\(indices.count) indices are too many for a tensor of shape \(shapeText(tensor.shape))")
    }
    if !key.isTable, indices[0] == tensor.shape[0] + 1 { return ([], true) }
    let places = try zip(indices, tensor.shape).map { index, size in
      guard index != 0, index.magnitude <= UInt(size) else {
        let zero = index == 0 ? " (indices count from 1)" : ""
        throw LuaError("shape", "index \(index) is outside a tensor of shape \(shapeText(tensor.shape))\(zero)")
      }
      return index > 0 ? index - 1 : size + index
    }
    return (places, false)
  }
}

/// `t[i]`, `t[{ i, j }]`. One past the end is nil, so that `ipairs` ends; anything else outside is an error.
@Sendable func indexTensor(_ call: Call) throws -> Int? {
  let object = try call.argument(1).object(TensorObject.self)
  guard let (places, isPastEnd) = try call.places(of: object.tensor) else { return nil }
  if isPastEnd {
    call.stack.pushNil()
    return 1
  }
  if object.tracksGradient {
    return try call.push(from: [object]) { variables in
      try places.reduce(variables[0]) { try $0.rows($1..<$1 + 1).reshaped(Array($0.shape.dropFirst())) }
    }
  }
  let part = try places.reduce(object.tensor) { try $0.row($1) }
  return part.rank == 0 ? call.push(part.pointer[0]) : call.push(part)
}

/// `t[i] = row`, `t[{ i, j }] = x`, in place.
@Sendable func assignTensor(_ call: Call) throws -> Bool {
  let object = try call.argument(1).object(TensorObject.self)
  guard let (places, isPastEnd) = try call.places(of: object.tensor) else { return false }
  guard !isPastEnd else {
    throw LuaError(
      "shape",
      "index \(object.tensor.shape[0] + 1) is outside a tensor of shape \(shapeText(object.tensor.shape)); "
        + "tensors do not grow, tensor.cat joins them")
  }
  guard !object.tracksGradient else {
    throw LuaError(
      "argument",
      "a tensor that needs gradients cannot be changed in place; build it with tensor.where, tensor.cat or "
        + "tensor.stack, or assign to t:detach()")
  }
  let target = try places.reduce(object.tensor) { try $0.row($1) }
  let value = ArgumentReader(stack: call.stack, index: 3) { "assignment" }
  let source: Tensor
  if value.isNumber {
    source = try Tensor(repeating: Float(try value.number(finite: false)), shape: target.shape)
  } else if value.isTensor {
    source = try value.detachedTensor()
  } else if value.isTable {
    source = try NestedReader(value).tensor()
  } else {
    throw value.mismatch(target.rank == 0 ? "a number" : "a tensor of shape \(shapeText(target.shape)) or a number")
  }
  guard source.shape == target.shape || (target.count == 1 && source.count == 1) else {
    throw LuaError(
      "shape",
      "assignment: a tensor of shape \(shapeText(source.shape)) does not fit the \(shapeText(target.shape)) of "
        + "this place")
  }
  target.mutablePointer.update(from: source.pointer, count: target.count)
  target.storage.markChanged()
  return true
}
