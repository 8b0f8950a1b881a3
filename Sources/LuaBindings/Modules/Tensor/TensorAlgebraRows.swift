import Engine

extension TensorObject {
  /// Products.
  static let productRows: [Function] = [
    Function(
      "matmul", "t:matmul(u)",
      "The matrix product of the last two dimensions: [..., m, k] x [..., k, n]; leading sizes broadcast. A vector on the "
        + "left is a row, on the right a column, and its dimension disappears.",
      results: "a tensor, [] for two vectors",
      example: "local y = tensor.randn(2, 3):matmul(tensor.randn(3, 4))", retries: true
    ) { call in
      let left = try call.tensorObject, right = try call.argument(1).object(TensorObject.self)
      guard left.tracksGradient || right.tracksGradient else { return call.push(try left.tensor.matmul(right.tensor)) }
      return try call.push(from: [left, right]) { try $0[0].matmul($0[1]) }
    }
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
    ) { call in call.push(try call.detachedTensor("solve").solve(call.argument(1).detachedTensor())) },
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
