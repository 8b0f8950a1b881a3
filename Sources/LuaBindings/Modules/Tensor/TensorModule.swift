import CShim
import Engine

extension Module {
  /// Arrays of numbers.
  static let tensor = Module(
    "tensor", "Arrays of 32-bit floats: making, loading and saving them.",
    functions: makingRows + randomRows + joiningRows + tensorFileRows + learningRows,
    types: [TensorObject.self, OptimiserObject.self])

  /// New tensors of given values.
  private static let makingRows: [Function] = [
    Function(
      "zeros", "tensor.zeros(n, ...)", "A tensor of zeros with the given sizes, which may be a list.",
      results: "a tensor", example: "local t = tensor.zeros(2, 3)", retries: true
    ) { call in call.push(try Tensor.zeros(call.sizes())) },
    Function(
      "ones", "tensor.ones(n, ...)", "A tensor of ones with the given sizes, which may be a list.",
      results: "a tensor", example: "local t = tensor.ones(4)", retries: true
    ) { call in call.push(try Tensor(repeating: 1, shape: call.sizes())) },
    Function(
      "full", "tensor.full(sizes, value)", "A tensor of one value; sizes are a list, or one size.",
      results: "a tensor", example: "local t = tensor.full({ 2, 3 }, 0.5)", retries: true
    ) { call in
      let value = Float(try call.argument(2).number(finite: false))
      let shape = call.isTable(1) ? try call.sizes(to: 1) : [try call.argument(1).integer(in: 0...1 << 40)]
      return call.push(try Tensor(repeating: value, shape: shape))
    },
    Function(
      "eye", "tensor.eye(n [, m])", "Ones on the diagonal of n rows and m columns, n unless given, zeros elsewhere.",
      results: "a tensor [n, m]", example: "local identity = tensor.eye(3)", retries: true
    ) { call in
      let n = try call.argument(1).integer(in: 0...1 << 30)
      let m = try call.optionalArgument(2)?.integer(in: 0...1 << 30) ?? n
      let tensor = try Tensor.zeros([n, m])
      for i in 0..<min(n, m) { tensor.mutablePointer[i * m + i] = 1 }
      return call.push(tensor)
    },
    Function(
      "arange", "tensor.arange([from,] to [, step])",
      "from, from + step, ... below to, which is left out, as in NumPy and PyTorch; from is 0 and step 1 unless given.",
      results: "a tensor", example: "print(tensor.arange(4), tensor.arange(1, 2, 0.25))", retries: true
    ) { call in
      let first = try call.argument(1).number()
      let (from, to) = call.isGiven(2) ? (first, try call.argument(2).number()) : (0, first)
      let step = try call.optionalArgument(3)?.number() ?? 1
      guard step != 0 else { throw call.argument(3).error("a step of 0 never arrives") }
      let count = ((to - from) / step).rounded(.up)
      guard count <= Double(1 << 40) else {
        throw call.error("\(shortNumber(count)) values are too many", kind: .shape)
      }
      let tensor = try Tensor(uninitialized: [max(0, Int(count))])
      for i in 0..<tensor.count { tensor.mutablePointer[i] = Float(from + Double(i) * step) }
      return call.push(tensor)
    },
    Function(
      "from", "tensor.from(nested)", "A tensor from a number or from nested lists of numbers of equal lengths.",
      results: "a tensor", example: "local t = tensor.from({ { 1, 2 }, { 3, 4 } })", retries: true
    ) { call in
      if call.argument(1).isTensor {
        return try call.push(from: [call.argument(1).object(TensorObject.self)]) { try $0[0].cloned() }
      }
      return call.push(try NestedReader(call.argument(1)).tensor())
    },
  ]

  /// Tensors made of others.
  private static let joiningRows: [Function] = [
    Function(
      "stack", "tensor.stack(list [, dim])",
      "Tensors of one shape as the entries of a new dimension, the first unless given.",
      results: "a tensor", example: "local rows = tensor.stack({ tensor.ones(3), tensor.zeros(3) })", retries: true
    ) { call in
      let list = try call.tensorList(1), rank = list[0].tensor.rank
      var dimension = 0
      if let reader = call.optionalArgument(2) {
        let value = try reader.integer()
        guard value != 0, value.magnitude <= UInt(rank + 1) else {
          throw reader.error(
            "a new dimension of tensors of shape \(shapeText(list[0].tensor.shape)) is 1 to \(rank + 1)")
        }
        dimension = value > 0 ? value - 1 : rank + 1 + value
      }
      return try call.push(from: list) { try .stacked($0, dimension: dimension) }
    },
    Function(
      "cat", "tensor.cat(list [, dim])", "Joins tensors along a dimension, the first unless given.",
      results: "a tensor", example: "local both = tensor.cat({ tensor.ones(2, 3), tensor.zeros(1, 3) }, 1)",
      retries: true
    ) { call in
      let list = try call.tensorList(1)
      let dimension = call.isGiven(2) ? try call.dimension(2, of: list[0].tensor) : 0
      return try call.push(from: list) { try .concatenated($0, dimension: dimension) }
    },
    Function(
      "where", "tensor.where(c, a, b)",
      "a where c is not 0, else b; each a tensor or a number, shapes broadcast. What is not chosen gets a gradient of 0, "
        + "c none.", results: "a tensor",
      example: "local x = tensor.randn(3) local y = tensor.where(x:gt(0), x, 0.1 * x)", retries: true
    ) { call in
      let condition = try call.argument(1).tensorOrNumber().tensor
      let branches = [try call.argument(2).tensorOrNumber(), try call.argument(3).tensorOrNumber()]
      return try call.push(from: branches) { try .choosing(condition, $0[0], $0[1]) }
    },
    Function(
      "outer", "tensor.outer(a, b)", "The products of each entry of vector a with each of vector b.",
      results: "a tensor [#a, #b]", example: "local table = tensor.outer(tensor.arange(3), tensor.ones(2))",
      retries: true
    ) { call in
      let sides = try [1, 2].map { index -> TensorObject in
        let side = try call.argument(index).object(TensorObject.self)
        guard side.tensor.rank == 1 else {
          throw call.argument(index).error("\(shapeText(side.tensor.shape)) is not a vector", kind: .shape)
        }
        return side
      }
      return try call.push(from: sides) { try $0[0].reshaped([$0[0].shape[0], 1]) * $0[1] }
    },
    Function(
      "einsum", "tensor.einsum(subscripts, t, ...)",
      "Sums of products by Einstein's convention: a letter for each dimension of each tensor, letters that the result "
        + "lacks are summed over, one that stands twice in a tensor means its diagonal. Without -> the result has the "
        + "letters that stand once, in alphabetical order.",
      results: "a tensor", example: "local y = tensor.einsum(\"ij,kj->ik\", tensor.randn(2, 3), tensor.randn(4, 3))",
      retries: true
    ) { call in
      let subscripts = try call.argument(1).string()
      guard call.isGiven(2) else { throw call.argument(2).mismatch("a tensor") }
      let operands = try (2...call.argumentCount).map { try call.argument($0).object(TensorObject.self) }
      return try call.push(from: operands) { try .einsum(subscripts, $0) }
    },
  ]
}

extension Call {
  /// A list of one tensor or more.
  fileprivate func tensorList(_ index: Int) throws -> [TensorObject] {
    let list = try argument(index).list { try $0.object(TensorObject.self) }
    guard !list.isEmpty else { throw argument(index).error("the list is empty") }
    return list
  }
}
