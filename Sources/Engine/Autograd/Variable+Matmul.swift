/// Matrix products on the tape. Gradients are matrix products too and add into their place by BLAS's beta.
extension Variable {
  /// `[..., m, k] x [..., k, n] -> [..., m, n]`, leading sizes broadcast; a vector on the left is a row, on the right a
  /// column, and its dimension disappears. Throws `.shape`, naming both shapes, otherwise.
  public func matmul(_ other: Variable) throws -> Variable {
    let a = shape, b = other.shape
    func failure(_ reason: String) -> EngineError {
      EngineError(.shape, "matmul: \(shapeText(a)) x \(shapeText(b)): \(reason)")
    }
    guard let inner = a.last, !b.isEmpty, inner == b[max(0, b.count - 2)] else {
      throw failure(
        "the last size of the left operand must equal the last but one of the right one (its only one if it is a "
          + "vector)")
    }
    let left = a.count == 1 ? try reshaped([1, inner]) : self
    let right = b.count == 1 ? try other.reshaped([inner, 1]) : other
    let m = left.shape[left.shape.count - 2], n = right.shape[right.shape.count - 1]
    let leadA = Array(left.shape.dropLast(2)), leadB = Array(right.shape.dropLast(2))
    let product: Variable
    let lead: [Int]
    if leadB.isEmpty {
      // One matrix on the right: all rows of the left at once.
      lead = leadA
      let rows = leadA.reduce(m, *)
      product = try (leadA.isEmpty ? left : left.reshaped([rows, inner])).matrixProduct(right)
    } else {
      guard let plan = try? Broadcast("matmul", leadA, leadB) else { throw failure("leading sizes do not broadcast") }
      lead = plan.shape
      let count = lead.reduce(1, *)
      product = try left.repeated(to: lead + [m, inner]).reshaped([count, m, inner])
        .batchedProduct(right.repeated(to: lead + [inner, n]).reshaped([count, inner, n]))
    }
    let result = lead + (a.count == 1 ? [] : [m]) + (b.count == 1 ? [] : [n])
    return product.shape == result ? product : try product.reshaped(result)
  }

  /// The values repeated to a shape they broadcast to.
  func repeated(to target: [Int]) throws -> Variable {
    let before = shape
    guard before != target else { return self }
    return try tape.record(value.broadcast(to: target), inputs: [self]) {
      try $0.add($0.upstream.summed(to: before), to: 0)
    }
  }

  /// `[m, k] x [k, n] -> [m, n]`.
  private func matrixProduct(_ other: Variable) throws -> Variable {
    let a = value, b = other.value
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
    let out = try Tensor(uninitialized: [m, n])
    try MatrixProduct.multiply(
      rows: m, columns: n, inner: k, .init(a.pointer, stride: k), .init(b.pointer, stride: n),
      into: out.mutablePointer, stride: n)
    return try tape.record(out, inputs: [self, other]) { gradients in
      let g = gradients.upstream
      // dA = G B^T, dB = A^T G.
      try gradients.accumulate(into: 0, shape: [m, k]) { target, beta in
        try MatrixProduct.multiply(
          rows: m, columns: k, inner: n, .init(g.pointer, stride: n), .init(b.pointer, stride: n, transposed: true),
          into: target, stride: k, beta: beta)
      }
      try gradients.accumulate(into: 1, shape: [k, n]) { target, beta in
        try MatrixProduct.multiply(
          rows: k, columns: n, inner: m, .init(a.pointer, stride: k, transposed: true), .init(g.pointer, stride: n),
          into: target, stride: n, beta: beta)
      }
    }
  }

  /// `[count, m, k] x [count, k, n] -> [count, m, n]`.
  private func batchedProduct(_ other: Variable) throws -> Variable {
    let a = value, b = other.value
    let (count, m, k, n) = (a.shape[0], a.shape[1], a.shape[2], b.shape[2])
    let out = try Tensor(uninitialized: [count, m, n]), target = out.mutablePointer
    try MatrixProduct.batch(count) { i in
      try MatrixProduct.multiply(
        rows: m, columns: n, inner: k, .init(a.pointer + i * m * k, stride: k), .init(b.pointer + i * k * n, stride: n),
        into: target + i * m * n, stride: n)
    }
    return try tape.record(out, inputs: [self, other]) { gradients in
      let g = gradients.upstream
      try gradients.accumulate(into: 0, shape: [count, m, k]) { target, beta in
        try MatrixProduct.batch(count) { i in
          try MatrixProduct.multiply(
            rows: m, columns: k, inner: n, .init(g.pointer + i * m * n, stride: n),
            .init(b.pointer + i * k * n, stride: n, transposed: true), into: target + i * m * k, stride: k, beta: beta)
        }
      }
      try gradients.accumulate(into: 1, shape: [count, k, n]) { target, beta in
        try MatrixProduct.batch(count) { i in
          try MatrixProduct.multiply(
            rows: k, columns: n, inner: m, .init(a.pointer + i * m * k, stride: k, transposed: true),
            .init(g.pointer + i * m * n, stride: n), into: target + i * k * n, stride: n, beta: beta)
        }
      }
    }
  }

  /// A linear layer as checkpoints store it: x `[rows, dIn]`, weight `[dOut, dIn]`, bias `[dOut]`:
  /// `x weight^T + bias`, `[rows, dOut]`.
  public func linear(_ weight: Variable, bias: Variable? = nil) throws -> Variable {
    let x = value, w = weight.value
    guard x.rank == 2, w.rank == 2, x.shape[1] == w.shape[1], bias == nil || bias!.shape == [w.shape[0]] else {
      throw EngineError(
        .shape,
        "linear: input \(shapeText(x.shape)), weight \(shapeText(w.shape))"
          + (bias.map { ", bias \(shapeText($0.shape))" } ?? "") + " do not fit [rows, in], [out, in], [out]")
    }
    let (rows, dIn, dOut) = (x.shape[0], x.shape[1], w.shape[0])
    let out = try Tensor(uninitialized: [rows, dOut])
    if let bias {
      for row in 0..<rows { (out.mutablePointer + row * dOut).update(from: bias.value.pointer, count: dOut) }
    }
    try MatrixProduct.multiply(
      rows: rows, columns: dOut, inner: dIn, .init(x.pointer, stride: dIn),
      .init(w.pointer, stride: dIn, transposed: true), into: out.mutablePointer, stride: dOut,
      beta: bias == nil ? 0 : 1)
    return try tape.record(out, inputs: [self, weight] + (bias.map { [$0] } ?? [])) {
      [hasBias = bias != nil] gradients in
      let g = gradients.upstream
      // dX = G W, dW = G^T X, db = column sums of G.
      try gradients.accumulate(into: 0, shape: [rows, dIn]) { target, beta in
        try MatrixProduct.multiply(
          rows: rows, columns: dIn, inner: dOut, .init(g.pointer, stride: dOut), .init(w.pointer, stride: dIn),
          into: target, stride: dIn, beta: beta)
      }
      try gradients.accumulate(into: 1, shape: [dOut, dIn]) { target, beta in
        try MatrixProduct.multiply(
          rows: dOut, columns: dIn, inner: rows, .init(g.pointer, stride: dOut, transposed: true),
          .init(x.pointer, stride: dIn), into: target, stride: dIn, beta: beta)
      }
      if hasBias, gradients.isWanted(2) { try gradients.add(g.sum(dimension: 0), to: 2) }
    }
  }
}
