import CShim
import Engine

/// One side of an operator.
private enum Operand {
  case tensor(TensorObject)
  case number(Float)

  init(_ reader: ArgumentReader) throws {
    if reader.isNumber {
      self = .number(Float(try reader.number(finite: false)))
    } else {
      guard reader.isTensor else { throw reader.mismatch("a tensor or a number") }
      self = .tensor(try reader.object(TensorObject.self))
    }
  }
}

private func arithmetic(
  _ name: String, _ symbol: String, _ summary: String,
  tensors: @escaping @Sendable (Tensor, Tensor) throws -> Tensor,
  right: @escaping @Sendable (Tensor, Float) throws -> Tensor,
  left: @escaping @Sendable (Float, Tensor) throws -> Tensor,
  variables: @escaping @Sendable (Variable, Variable) throws -> Variable
) -> Function {
  Function(
    name, "t \(symbol) u", "\(summary) element by element; numbers and sizes of 1 are repeated.", results: "a tensor",
    example: "local y = tensor.ones(2, 3) \(symbol) 2", retries: true
  ) { call in
    switch (try Operand(call.argument(1)), try Operand(call.argument(2))) {
    case (.tensor(let a), .tensor(let b)):
      call.push(try tensors(a.tensor, b.tensor), from: [a, b]) { try variables($0[0], $0[1]) }
    case (.tensor(let a), .number(let b)):
      call.push(try right(a.tensor, b), from: [a]) { try variables($0[0], $0[0].tape.constant(Tensor([b], shape: []))) }
    case (.number(let a), .tensor(let b)):
      call.push(try left(a, b.tensor), from: [b]) { try variables($0[0].tape.constant(Tensor([a], shape: [])), $0[0]) }
    case (.number, .number): throw call.error("expected a tensor")
    }
  }
}

extension TensorObject {
  static let operatorRows: [Function] = [
    arithmetic(
      "__add", "+", "Sum", tensors: { try $0 + $1 }, right: { try $0 + $1 }, left: { try $0 + $1 },
      variables: { try $0 + $1 }),
    arithmetic(
      "__sub", "-", "Difference", tensors: { try $0 - $1 }, right: { try $0 - $1 }, left: { try $0 - $1 },
      variables: { try $0 - $1 }),
    arithmetic(
      "__mul", "*", "Product", tensors: { try $0 * $1 }, right: { try $0 * $1 }, left: { try $0 * $1 },
      variables: { try $0 * $1 }),
    arithmetic(
      "__div", "/", "Quotient", tensors: { try $0 / $1 }, right: { try $0 / $1 }, left: { try $0 / $1 },
      variables: { try $0 / $1 }),
    Function("__unm", "-t", "The negative.", results: "a tensor", example: "local y = -tensor.ones(3)", retries: true) {
      call in
      let object = try call.argument(1).object(TensorObject.self)
      return call.push(try -object.tensor, from: [object]) { try $0[0].scaled(by: -1) }
    },
    Function("__len", "#t", "The first size.", results: "an integer", example: "print(#tensor.zeros(5, 2))") { call in
      let tensor = try call.argument(1).tensor()
      guard let size = tensor.shape.first else { throw LuaError("shape", "a tensor of shape [] has no length") }
      return call.push(size)
    },
  ]
}
