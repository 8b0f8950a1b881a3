import CShim
import Engine

extension TensorObject {
  /// Shapes, values and copies.
  static let shapeRows: [Function] = [
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
    ) { call in call.push(NestedValues(tensor: try call.tensor)) },
    Function(
      "transpose", "t:transpose()", "The dimensions in reverse order: rows become columns.", results: "a tensor",
      example: "local columns = tensor.zeros(2, 3):transpose()", retries: true
    ) { call in
      let object = try call.this(TensorObject.self)
      return call.push(try object.tensor.transposed(), from: [object]) { try $0[0].transposed() }
    },
    Function(
      "reshape", "t:reshape(n, ...)", "The same values in other sizes; one may be -1, the rest. Shares memory.",
      results: "a tensor", example: "local t = tensor.zeros(6):reshape(2, -1)"
    ) { call in
      let object = try call.this(TensorObject.self), result = try object.tensor.reshaped(call.sizes(allowFree: true))
      return call.push(result, from: [object]) { try $0[0].reshaped(result.shape) }
    },
    Function(
      "rows", "t:rows(from, to)", "Rows from .. to of the first dimension, inclusive. Shares memory.",
      results: "a tensor",
      example: "local middle = tensor.randn(5, 2):rows(2, -2)"
    ) { call in
      let object = try call.this(TensorObject.self), tensor = object.tensor
      guard let size = tensor.shape.first else { throw call.error("a tensor of shape [] has no rows", kind: .shape) }
      func place(_ index: Int, _ fallback: Int) throws -> Int {
        guard let value = try call.optionalArgument(index)?.integer() else { return fallback }
        return value < 0 ? size + value + 1 : value
      }
      let from = try place(1, 1), to = try place(2, size)
      guard from >= 1, to <= size, from <= to + 1 else {
        throw call.error("rows \(from) to \(to) are not in a tensor of shape \(shapeText(tensor.shape))", kind: .shape)
      }
      return call.push(try tensor.rows((from - 1)..<to), from: [object]) { try $0[0].rows((from - 1)..<to) }
    },
    Function(
      "clone", "t:clone()", "A copy with memory of its own.", results: "a tensor",
      example: "local copy = tensor.ones(3):clone()", retries: true
    ) { call in
      let object = try call.this(TensorObject.self)
      return call.push(try object.tensor.cloned(), from: [object]) { $0[0] }
    },
    Function(
      "free", "t:free()",
      "Gives the memory back now. Rows of it that are still held keep what they share. Twice is fine.",
      results: "nothing", example: "local t = tensor.zeros(1000, 1000) t:free()"
    ) { call in
      act_free_object(call.stack.pointer, 1)
      return 0
    },
  ]

  /// Sums and the like: over all values, or along one dimension.
  static let reductionRows: [Function] = [
    reduction(
      "sum", "The sum", all: { $0.sum() }, along: { try $0.sum(dimension: $1) },
      variable: { variable, dimension in try dimension.map { try variable.sum(dimension: $0) } ?? variable.sum() }),
    reduction(
      "mean", "The mean", all: { try $0.mean() }, along: { try $0.mean(dimension: $1) },
      variable: { variable, dimension in try dimension.map { try variable.mean(dimension: $0) } ?? variable.mean() }),
    reduction("norm", "The Euclidean norm", all: { $0.norm() }, along: { try $0.norm(dimension: $1) }),
    reduction("max", "The largest value", all: { Double(try $0.maximum()) }, along: { try $0.maximum(dimension: $1) }),
    reduction("min", "The smallest value", all: { Double(try $0.minimum()) }, along: { try $0.minimum(dimension: $1) }),
    Function(
      "argmax", "t:argmax()", "The 1-based place of the largest value of a vector, the first of equals.",
      results: "an integer", example: "print(tensor.from({ 1, 5, 2 }):argmax())"
    ) { call in
      let tensor = try call.tensor
      guard tensor.rank == 1 else { throw call.error("\(shapeText(tensor.shape)) is not a vector", kind: .shape) }
      return call.push(try tensor.argmax() + 1)
    },
    Function(
      "softmax", "t:softmax(dim)", "exp(x) / sum exp(x) along a dimension, the last unless given.", results: "a tensor",
      example: "local p = tensor.randn(2, 5):softmax(2)", retries: true
    ) { call in
      let tensor = try call.tensor
      guard tensor.rank > 0 else { throw call.error("a tensor of shape [] has no dimension", kind: .shape) }
      let dimension = call.isGiven(1) ? try call.dimension(1, of: tensor) : tensor.rank - 1
      return call.push(try tensor.softmax(dimension: dimension), from: [try call.this(TensorObject.self)]) {
        try $0[0].softmax(dimension: dimension)
      }
    },
    Function(
      "topk", "t:topk(k)", "The k largest values of the last dimension, largest first, and their 1-based places.",
      results: "a tensor of values and a list of places (of lists, for a matrix)",
      example: "local values, places = tensor.from({ 3, 9, 4 }):topk(2)", retries: true
    ) { call in
      let tensor = try call.detachedTensor("topk")
      let k = try call.argument(1).integer(in: 1...max(1, tensor.lastDimension))
      let (values, indices) = try tensor.topk(k)
      let places = indices.map { $0 + 1 }
      if tensor.rank == 1 { return call.push(values.asLua, places) }
      return call.push(values.asLua, stride(from: 0, to: places.count, by: k).map { Array(places[$0..<($0 + k)]) })
    },
  ]

  /// Products and comparison.
  static let productRows: [Function] = [
    Function(
      "matmul", "t:matmul(u)",
      "The matrix product: [m, k] x [k, n]; a vector on the left is a row, on the right a column, and its dimension "
        + "disappears.", results: "a tensor, [] for two vectors",
      example: "local y = tensor.randn(2, 3):matmul(tensor.randn(3, 4))", retries: true
    ) { call in
      let left = try call.this(TensorObject.self), right = try call.argument(1).object(TensorObject.self)
      let result = try left.tensor.matmul(right.tensor)
      guard left.tracksGradient || right.tracksGradient else { return call.push(result) }
      // Vectors as matrices: a row on the left, a column on the right.
      let a = left.tensor.rank == 1 ? [1, left.tensor.count] : left.tensor.shape
      let b = right.tensor.rank == 1 ? [right.tensor.count, 1] : right.tensor.shape
      return call.push(result, from: [left, right]) {
        try $0[0].reshaped(a).matmul($0[1].reshaped(b)).reshaped(result.shape)
      }
    },
    Function(
      "allclose", "t:allclose(u, { atol =, rtol = })", "Whether |t - u| <= atol + rtol |u| everywhere.",
      options: [
        Option("atol", "number", .number(1e-8), "Absolute tolerance."),
        Option("rtol", "number", .number(1e-5), "Relative tolerance."),
      ], results: "a boolean", example: "assert(tensor.ones(3):allclose(tensor.ones(3) * 1.000001, { rtol = 1e-4 }))"
    ) { call in
      let options = try call.options(2)
      let atol = try options.number("atol", in: 0...Double.infinity)
      let rtol = try options.number("rtol", in: 0...Double.infinity)
      return call.push(try call.tensor.allClose(call.argument(1).tensor(), atol: atol, rtol: rtol))
    },
  ]

  /// LAPACK.
  static let algebraRows: [Function] = [
    Function(
      "svd", "t:svd()", "Thin singular value decomposition of a matrix: t = u diag(s) vt, s falling.",
      results: "three tensors: u [m, k], s [k], vt [k, n]", example: "local u, s, vt = tensor.randn(4, 3):svd()",
      retries: true
    ) { call in
      let (u, s, vt) = try call.detachedTensor("svd").svd()
      return call.push(u.asLua, s.asLua, vt.asLua)
    },
    Function(
      "solve", "t:solve(b)", "x with t x = b, for a square matrix and a vector or a matrix b.", results: "a tensor",
      example: "local x = tensor.from({ { 2, 0 }, { 0, 4 } }):solve(tensor.from({ 1, 1 }))", retries: true
    ) { call in call.push(try call.detachedTensor("solve").solve(call.argument(1).tensor())) },
    Function(
      "cholesky", "t:cholesky()", "The lower triangle l with t = l l^T of a symmetric positive definite matrix.",
      results: "a tensor", example: "local l = tensor.from({ { 4, 2 }, { 2, 3 } }):cholesky()", retries: true
    ) { call in call.push(try call.detachedTensor("cholesky").cholesky()) },
    Function(
      "eigh", "t:eigh()", "Eigenvalues, rising, and eigenvectors (columns) of a symmetric matrix.",
      results: "two tensors: values [n], vectors [n, n]",
      example: "local values, vectors = tensor.from({ { 2, 1 }, { 1, 2 } }):eigh()", retries: true
    ) { call in
      let (values, vectors) = try call.detachedTensor("eigh").eigh()
      return call.push(values.asLua, vectors.asLua)
    },
  ]
}

private func reduction(
  _ name: String, _ words: String, all: @escaping @Sendable (Tensor) throws -> Double,
  along: @escaping @Sendable (Tensor, Int) throws -> Tensor,
  variable: (@Sendable (Variable, Int?) throws -> Variable)? = nil
) -> Function {
  Function(
    name, "t:\(name)(dim)", "\(words) of all values, or along a dimension, which then disappears.",
    results: "a number (a tensor of shape [] where gradients are kept); with a dimension a tensor",
    example: "print(tensor.ones(2, 3):\(name)(), tensor.ones(2, 3):\(name)(1))", retries: true
  ) { call in
    let object = try call.this(TensorObject.self), tensor = object.tensor
    let dimension = call.isGiven(1) ? try call.dimension(1, of: tensor) : nil
    if object.tracksGradient, let variable {
      let result = try dimension.map { try along(tensor, $0) } ?? Tensor([Float(try all(tensor))], shape: [])
      return call.push(result, from: [object]) { try variable($0[0], dimension) }
    }
    guard let dimension else { return call.push(try all(tensor)) }
    return call.push(try along(try call.detachedTensor(name), dimension))
  }
}
