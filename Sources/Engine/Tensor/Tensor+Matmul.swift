/// Matrix products.
extension Tensor {
  /// `[m, k] x [k, n] -> [m, n]`; a vector on the left is a row, on the right a column, and its dimension disappears:
  /// `[k] x [k, n] -> [n]`, `[m, k] x [k] -> [m]`, `[k] x [k] -> []` (accumulated in Double). More dimensions are those
  /// of `Variable.matmul`. Throws `.shape`, naming both shapes, otherwise.
  public func matmul(_ other: Tensor) throws -> Tensor {
    guard (1...2).contains(rank), (1...2).contains(other.rank), shape[rank - 1] == other.shape[0] else {
      let tape = Tape()
      return try tape.constant(self).matmul(tape.constant(other)).value
    }
    let inner = other.shape[0]
    switch (rank, other.rank) {
    case (1, 1):
      var sum = 0.0
      for i in 0..<inner { sum += Double(pointer[i]) * Double(other.pointer[i]) }
      return try Tensor([Float(sum)], shape: [])
    case (1, 2):
      let out = try Tensor.product([other.shape[1]], inner: inner)
      try MatrixProduct.multiply(
        rows: other.shape[1], inner: inner, .init(other.pointer, stride: other.shape[1], transposed: true),
        vector: pointer, into: out.mutablePointer)
      return out
    case (2, 1):
      let out = try Tensor.product([shape[0]], inner: inner)
      try MatrixProduct.multiply(
        rows: shape[0], inner: inner, .init(pointer, stride: inner), vector: other.pointer, into: out.mutablePointer)
      return out
    default:
      let columns = other.shape[1]
      let out = try Tensor.product([shape[0], columns], inner: inner)
      try MatrixProduct.multiply(
        rows: shape[0], columns: columns, inner: inner, .init(pointer, stride: inner),
        .init(other.pointer, stride: columns), into: out.mutablePointer, stride: columns)
      return out
    }
  }

  /// `[rows, dIn] x weight[dOut, dIn]^T -> [rows, dOut]`: a linear layer as checkpoints store it.
  public func matmul(transposed weight: Tensor) throws -> Tensor {
    guard rank == 2, weight.rank == 2, shape[1] == weight.shape[1] else {
      throw EngineError(
        .shape, "matmul: \(shapeText(shape)) x transpose of \(shapeText(weight.shape)): the last sizes must be equal")
    }
    let out = try Tensor.product([shape[0], weight.shape[0]], inner: shape[1])
    try MatrixProduct.multiply(
      rows: shape[0], columns: weight.shape[0], inner: shape[1], .init(pointer, stride: shape[1]),
      .init(weight.pointer, stride: shape[1], transposed: true), into: out.mutablePointer, stride: weight.shape[0])
    return out
  }

  /// `self[rows, m]^T x other[rows, n] -> [m, n]`: what Gram matrices are made of.
  public func crossProduct(_ other: Tensor) throws -> Tensor {
    guard rank == 2, other.rank == 2, shape[0] == other.shape[0] else {
      throw EngineError(
        .shape, "cross product: transpose of \(shapeText(shape)) x \(shapeText(other.shape)): rows must be equal")
    }
    let out = try Tensor.product([shape[1], other.shape[1]], inner: shape[0])
    try MatrixProduct.multiply(
      rows: shape[1], columns: other.shape[1], inner: shape[0], .init(pointer, stride: shape[1], transposed: true),
      .init(other.pointer, stride: other.shape[1]), into: out.mutablePointer, stride: other.shape[1])
    return out
  }

  /// Room for a product; zeros where there is nothing to sum, since BLAS may then leave the memory alone.
  private static func product(_ shape: [Int], inner: Int) throws -> Tensor {
    inner == 0 ? try Tensor(repeating: 0, shape: shape) : try Tensor(uninitialized: shape)
  }
}
