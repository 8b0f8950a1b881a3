/// Reductions along a 0-based dimension, which disappears. Those of all values reduce the values as one line.
extension Variable {
  /// Sums along a dimension.
  public func sum(dimension: Int) throws -> Variable {
    let before = shape
    return try tape.record(value.sum(dimension: dimension), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.repeated(along: dimension, as: before), to: 0)
    }
  }

  /// Means along a dimension. Throws `.shape` where it has no entries.
  public func mean(dimension: Int) throws -> Variable {
    guard shape[dimension] > 0 else { throw EngineError(.shape, "mean: dimension \(dimension + 1) has no entries") }
    return try sum(dimension: dimension).scaled(by: 1 / Float(shape[dimension]))
  }

  /// All values as one line.
  public func flattened() throws -> Variable { try reshaped([value.count]) }

  /// Euclidean norms along a dimension; the gradient of a norm of 0 is 0.
  public func norm(dimension: Int) throws -> Variable {
    let x = value, out = try x.norm(dimension: dimension)
    return try tape.record(out, inputs: [self]) { gradients in
      let ratio = try gradients.upstream / out
      let share = try Tensor.choosing(Tensor.pairs(.equal, out, .number(0)), .number(0), ratio)
      try gradients.add(x * share.repeated(along: dimension, as: x.shape), to: 0)
    }
  }

  /// Largest values along a dimension; the gradient goes to the first of equals.
  public func maximum(dimension: Int) throws -> Variable {
    try taken(value.argmax(dimension: dimension), along: dimension)
  }

  /// Smallest values along a dimension; the gradient goes to the first of equals.
  public func minimum(dimension: Int) throws -> Variable {
    try taken(value.argmin(dimension: dimension), along: dimension)
  }

  /// Place `places[i]` of each line of a dimension, lines in the order of the other dimensions.
  private func taken(_ places: [Int], along dimension: Int) throws -> Variable {
    let inner = shape[(dimension + 1)...].reduce(1, *), size = shape[dimension]
    var rest = shape
    rest.remove(at: dimension)
    return try picked(
      places.enumerated().map { $0 / inner * inner * size + $1 * inner + $0 % inner }, shape: rest)
  }

  /// The largest of all values, shape []; equals share the gradient evenly. Throws `.shape` for an empty tensor.
  public func maximum() throws -> Variable { try extreme(value.maximum()) }

  /// The smallest of all values, shape []; equals share the gradient evenly. Throws `.shape` for an empty tensor.
  public func minimum() throws -> Variable { try extreme(value.minimum()) }

  private func extreme(_ result: Float) throws -> Variable {
    let x = value
    return try tape.record(.number(result), inputs: [self]) { gradients in
      let equals = try Tensor.pairs(.equal, x, .number(result))
      try gradients.add(equals * (gradients.upstream.pointer[0] / Float(max(1, equals.sum()))), to: 0)
    }
  }

  /// exp(x) / sum exp(x) along a dimension.
  public func softmax(dimension: Int) throws -> Variable {
    let out = try value.softmax(dimension: dimension), before = shape
    return try tape.record(out, inputs: [self]) { gradients in
      // dx = p (g - sum(g p)).
      let product = try gradients.upstream * out
      let sums = try product.sum(dimension: dimension).repeated(along: dimension, as: before)
      try gradients.add(product - out * sums, to: 0)
    }
  }

  /// `x - logsumexp(x)` along a dimension.
  public func logSoftmax(dimension: Int) throws -> Variable {
    try self - logSumExp(dimension: dimension).reshaped(value.keptShape(dimension))
  }
}

extension Tensor {
  /// The shape with size 1 in place of a dimension.
  public func keptShape(_ dimension: Int) -> [Int] {
    Array(shape[..<dimension]) + [1] + Array(shape[(dimension + 1)...])
  }

  /// Each value again for every entry of a dimension of `shape` that a reduction removed.
  func repeated(along dimension: Int, as shape: [Int]) throws -> Tensor {
    let kept = Array(shape[..<dimension]) + [1] + Array(shape[(dimension + 1)...])
    return try reshaped(kept).broadcast(to: shape)
  }
}
