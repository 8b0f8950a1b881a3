import Engine

/// Random controls with a vector's mask: what a direction must beat.
extension SteeringVector {
  /// Every direction equally likely. In a stream with a few large dimensions such a vector leaves the region where
  /// activations live, and breaks the model sooner than the vector it stands for; see `randomLike(activations:)`.
  /// `orthogonal`: without any part of the vector itself.
  public func randomLike(seed: Int, orthogonal: Bool = false) throws -> SteeringVector {
    try control(Tensor.normal([width], seed: seed), method: "random isotropic", seed: seed, orthogonal: orthogonal)
  }

  /// A random combination of activations less their class's mean: directions in which activations do vary, as often as
  /// they do. `classes`: one tensor `[n, d]` for each class; they need not be the vector's own prompts. Throws `.shape`
  /// for another width, `.argument` when no class has two rows.
  public func randomLike(activations classes: [Tensor], seed: Int, orthogonal: Bool = false) throws -> SteeringVector {
    var generator = RandomGenerator(seed: seed)
    var sum = try Tensor.zeros([width]), used = 0
    for rows in classes {
      try requireRows(rows)
      guard rows.shape[0] >= 2 else { continue }
      used += rows.shape[0]
      let weights = try Tensor((0..<rows.shape[0]).map { _ in Float(generator.normal()) })
      sum = try sum + weights.matmul(rows - rows.mean(dimension: 0))
    }
    guard used > 0 else {
      throw EngineError(.argument, "random_like: kind = \"covariance\" needs activations, at least two rows of a class")
    }
    return try control(sum, method: "random covariance", seed: seed, orthogonal: orthogonal)
  }

  /// The difference of means with the labels of the prompts shuffled: all that the contrast has but its meaning. It
  /// carries means, so that a map takes it as it takes the vector; its norm is its own. `positive`, `negative`: one
  /// tensor `[rows, d]` for each prompt, whose rows stay together.
  ///
  /// By chance a share of about 1 / sqrt(prompts) of the contrast remains, which grows with the vector where it is
  /// rescaled to a larger norm. `balanced` leaves none: each side has half of either label, weighted alike.
  /// Throws `.shape` for another width, `.argument` for fewer than two prompts of a label.
  public func permutedLike(
    positive: [Tensor], negative: [Tensor], balanced: Bool = false, seed: Int
  ) throws -> SteeringVector {
    guard positive.count >= 2, negative.count >= 2 else {
      throw EngineError(
        .argument,
        "random_like: kind = \"permuted\" needs two prompts or more of each label, found \(positive.count) and "
          + "\(negative.count)")
    }
    let all = positive + negative
    try all.forEach(requireRows)
    var generator = RandomGenerator(seed: seed)
    func mean(_ places: [Int]) throws -> Tensor {
      try Tensor.concatenated(places.map { all[$0] }).mean(dimension: 0)
    }
    let sides: (Tensor, Tensor)
    if balanced {
      func halves(_ range: Range<Int>) -> ([Int], [Int]) {
        let order = generator.permutation(range.count).map { range.lowerBound + $0 }, half = range.count / 2
        // An odd one goes to either side.
        let cut = range.count % 2 == 1 && generator.below(2) == 1 ? half + 1 : half
        return (Array(order[..<cut]), Array(order[cut...]))
      }
      let (p, n) = (halves(0..<positive.count), halves(positive.count..<all.count))
      sides = (try (mean(p.0) + mean(n.0)) * 0.5, try (mean(p.1) + mean(n.1)) * 0.5)
    } else {
      var chosen: Set<Int>
      let own = Set(positive.indices)
      // The true labels, and where there are as many of both their exchange, are no control.
      repeat {
        chosen = Set(generator.permutation(all.count).prefix(positive.count))
      } while chosen == own || (positive.count == negative.count && chosen.isDisjoint(with: own))
      sides = (
        try mean(all.indices.filter(chosen.contains)), try mean(all.indices.filter { !chosen.contains($0) })
      )
    }
    var origin = self.origin
    (origin.method, origin.seed) = ("random permuted" + (balanced ? ", balanced" : ""), seed)
    (origin.positiveCount, origin.negativeCount) = (positive.count, negative.count)
    return try SteeringVector(
      difference: ActivationMeans(positive: sides.0, negative: sides.1), site: site ?? .residPost, layer: layer,
      position: position, stream: stream, origin: origin)
  }

  private func requireRows(_ rows: Tensor) throws {
    guard rows.rank == 2, rows.shape[1] == width else {
      throw EngineError(
        .shape, "random_like: activations of shape \(shapeText(rows.shape)) do not fit a vector of \(width)")
    }
  }

  private func control(
    _ values: Tensor, method: String, seed: Int, orthogonal: Bool
  ) throws -> SteeringVector {
    var origin = self.origin
    (origin.method, origin.seed, origin.positiveCount, origin.negativeCount) = (method, seed, nil, nil)
    var values = try values.zeroing(origin.maskedDimensions)
    if orthogonal {
      guard norm > 0 else {
        throw EngineError(.numeric, "random_like: the vector is zero, so nothing is orthogonal to it")
      }
      values = try values - direction * Float(Double(values.matmul(direction).item()) / (norm * norm))
      origin.method += ", orthogonal"
    }
    return try SteeringVector(
      direction: values, site: site, layer: layer, position: position, stream: stream, origin: origin
    ).rescaled(to: norm)
  }
}
