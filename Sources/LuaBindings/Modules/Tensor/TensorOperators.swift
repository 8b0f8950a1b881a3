import CShim
import Engine

private func arithmetic(
  _ name: String, _ symbol: String, _ summary: String,
  _ operation: @escaping @Sendable (Variable, Variable) throws -> Variable
) -> Function {
  Function(
    name, "t \(symbol) u", "\(summary) element by element; numbers and sizes of 1 are repeated.", results: "a tensor",
    example: "local y = tensor.ones(2, 3) \(symbol) 2", retries: true
  ) { call in
    let operands = [try call.argument(1).tensorOrNumber(), try call.argument(2).tensorOrNumber()]
    return try call.push(from: operands) { try operation($0[0], $0[1]) }
  }
}

extension TensorObject {
  static let operatorRows: [Function] = [
    arithmetic("__add", "+", "Sum") { try $0 + $1 },
    arithmetic("__sub", "-", "Difference") { try $0 - $1 },
    arithmetic("__mul", "*", "Product") { try $0 * $1 },
    arithmetic("__div", "/", "Quotient") { try $0 / $1 },
    Function(
      "__pow", "t ^ p", "Power element by element; numbers and sizes of 1 are repeated.", results: "a tensor",
      example: "local y = tensor.ones(2, 3) ^ 2", retries: true
    ) { call in
      for side in [call.argument(1), call.argument(2)] where !side.isNumber && !side.isTensor {
        throw side.mismatch("a tensor or a number")
      }
      return try power(call, call.argument(1), call.argument(2))
    },
    Function("__unm", "-t", "The negative.", results: "a tensor", example: "local y = -tensor.ones(3)", retries: true) {
      call in
      let object = try call.argument(1).object(TensorObject.self)
      return try call.push(from: [object]) { try $0[0].scaled(by: -1) }
    },
    Function("__len", "#t", "The first size.", results: "an integer", example: "print(#tensor.zeros(5, 2))") { call in
      let tensor = try call.argument(1).tensor()
      guard let size = tensor.shape.first else { throw LuaError("shape", "a tensor of shape [] has no length") }
      return call.push(size)
    },
  ]
}
