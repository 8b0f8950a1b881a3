/// Matrix products on the tape. Gradients are matrix products too and add into their place by BLAS's beta.
extension Variable {
  /// `[m, k] x [k, n] -> [m, n]`.
  public func matmul(_ other: Variable) throws -> Variable {
    let a = value, b = other.value
    guard a.rank == 2, b.rank == 2, a.shape[1] == b.shape[0] else {
      throw EngineError(
        .shape,
        "matmul: \(shapeText(a.shape)) x \(shapeText(b.shape)): columns on the left must equal rows on the right")
    }
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
    let out = try tape.buffer([m, n])
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
    let out = try tape.buffer([rows, dOut])
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
