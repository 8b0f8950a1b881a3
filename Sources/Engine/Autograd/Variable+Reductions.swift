/// Reductions along a dimension, and element-wise functions of the prompt.
extension Variable {
  /// Sums along a 0-based dimension, which disappears.
  public func sum(dimension: Int) throws -> Variable {
    let before = shape
    return try tape.record(value.sum(dimension: dimension), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.repeated(along: dimension, as: before), to: 0)
    }
  }

  /// Means along a 0-based dimension, which disappears. Throws `.shape` where it has no entries.
  public func mean(dimension: Int) throws -> Variable {
    guard shape[dimension] > 0 else { throw EngineError(.shape, "mean: dimension \(dimension + 1) has no entries") }
    return try sum(dimension: dimension).scaled(by: 1 / Float(shape[dimension]))
  }

  /// Rows of the first dimension.
  public func rows(_ range: Range<Int>) throws -> Variable {
    let before = shape, width = shape.dropFirst().reduce(1, *)
    return try tape.record(value.rows(range), inputs: [self]) { gradients in
      let upstream = gradients.upstream
      try gradients.accumulate(into: 0, shape: before) { target, beta in
        if beta == 0 { target.update(repeating: 0, count: before.reduce(1, *)) }
        for i in 0..<upstream.count { target[range.lowerBound * width + i] += upstream.pointer[i] }
      }
    }
  }

  /// exp(x) / sum exp(x) along a 0-based dimension.
  public func softmax(dimension: Int) throws -> Variable {
    let out = try value.softmax(dimension: dimension), before = shape
    return try tape.record(out, inputs: [self]) { gradients in
      // dx = p (g - sum(g p)).
      let product = try gradients.upstream * out
      let sums = try product.sum(dimension: dimension).repeated(along: dimension, as: before)
      try gradients.add(product - out * sums, to: 0)
    }
  }
}

extension Tensor {
  /// Each value again for every entry of a dimension of `shape` that summing removed.
  fileprivate func repeated(along dimension: Int, as shape: [Int]) throws -> Tensor {
    let kept = Array(shape[..<dimension]) + [1] + Array(shape[(dimension + 1)...])
    return try reshaped(kept) + Tensor.zeros(shape)
  }
}
