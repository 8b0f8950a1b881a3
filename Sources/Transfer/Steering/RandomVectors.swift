import Engine

/// Random controls of a vector's norm, with its mask: what a direction must beat.
extension SteeringVector {
  /// Every direction equally likely. In a stream with a few large dimensions such a vector leaves the region where
  /// activations live, and breaks the model sooner than the vector it stands for; see `randomLike(activations:)`.
  public func randomLike(seed: Int) throws -> SteeringVector {
    try control(Tensor.normal([width], seed: seed), method: "random isotropic", seed: seed)
  }

  /// A random combination of activations less their class's mean: directions in which activations do vary, as often as
  /// they do. `classes`: one tensor `[n, d]` for each class. Throws `.shape` for another width, `.argument` when no
  /// class has two rows.
  public func randomLike(activations classes: [Tensor], seed: Int) throws -> SteeringVector {
    var generator = RandomGenerator(seed: seed)
    var sum = try Tensor.zeros([width]), used = 0
    for rows in classes {
      guard rows.rank == 2, rows.shape[1] == width else {
        throw EngineError(
          .shape, "random_like: activations of shape \(shapeText(rows.shape)) do not fit a vector of \(width)")
      }
      guard rows.shape[0] >= 2 else { continue }
      used += rows.shape[0]
      let weights = try Tensor((0..<rows.shape[0]).map { _ in Float(generator.normal()) })
      sum = try sum + weights.matmul(rows - rows.mean(dimension: 0))
    }
    guard used > 0 else {
      throw EngineError(.argument, "random_like: kind = \"covariance\" needs activations, at least two rows of a class")
    }
    return try control(sum, method: "random covariance", seed: seed)
  }

  private func control(_ values: Tensor, method: String, seed: Int) throws -> SteeringVector {
    var origin = self.origin
    (origin.method, origin.seed, origin.positiveCount, origin.negativeCount) = (method, seed, nil, nil)
    return try SteeringVector(
      direction: values.zeroing(origin.maskedDimensions), site: site, layer: layer, position: position, stream: stream,
      origin: origin
    ).rescaled(to: norm)
  }
}
