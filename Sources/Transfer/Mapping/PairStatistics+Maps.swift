import Engine

/// Closed-form maps beside ridge: the baselines a fitted map must beat, from the same sums.
extension PairStatistics {
  /// The map of a method that has a closed form.
  func map(_ options: MapperOptions) throws -> AffineMap {
    switch options.method {
    case .identity: try identity()
    case .meanShift: try meanShift()
    case .procrustes: try procrustes()
    case .lowRank: try lowRank(options.resolvedRank(sourceWidth, targetWidth), lambda: options.lambda)
    case .ridge, .shuffled: try ridge(lambda: options.lambda)
    case .affine, .autoencoder: preconditionFailure("\(options.method) is trained")
    }
  }

  /// y = x. Throws `.shape` for different widths.
  public func identity() throws -> AffineMap {
    try requireEqualWidths("identity")
    let weight = try Tensor.zeros([targetWidth, sourceWidth])
    for i in 0..<sourceWidth { weight.mutablePointer[i * sourceWidth + i] = 1 }
    return try AffineMap(weight: weight, bias: Tensor.zeros([targetWidth]))
  }

  /// y = x + (mean of the target - mean of the source). Throws `.shape` for different widths.
  public func meanShift() throws -> AffineMap {
    try requireEqualWidths("mean_shift")
    try requireRows()
    let from = sourceMoments(), to = targetMoments()
    return try AffineMap(
      weight: identity().weight, bias: Tensor(zip(to.means, from.means).map { Float($0 - $1) }))
  }

  /// Orthogonal Procrustes (Schonemann 1966; Schonemann and Carroll 1970): both sides centred, not standardised, then
  /// one rotation or reflection R and one scale s, `y = s R (x - mean) + mean`. With C = U S V^T the covariance of target
  /// and source, R = U V^T `[dTo, dFrom]`: orthogonal for equal widths; else the shorter of rows and columns are
  /// orthonormal (into more dimensions R keeps all distances; into fewer it drops some). s is the best one for that R.
  public func procrustes() throws -> AffineMap {
    try requireRows()
    let d = sourceWidth, n = Double(count)
    let covariance = try Tensor(crossCovariance().map { Float($0) }).reshaped([targetWidth, d])
    let (u, values, vt) = try covariance.svd()
    let rotation = try u.matmul(vt)
    // Squared length of R (x - mean), mean over rows.
    var length = 0.0
    let mean = sourceSum.map { $0 / n }
    if targetWidth >= d {
      for i in 0..<d { length += gram[i * d + i] / n - mean[i] * mean[i] }
    } else {
      var spread = Array(repeating: Float(0), count: d * d)
      for i in 0..<d { for j in 0..<d { spread[i * d + j] = Float(gram[i * d + j] / n - mean[i] * mean[j]) } }
      length = try (rotation.matmul(Tensor(spread).reshaped([d, d])) * rotation).sum()
    }
    guard length > 0 else { throw EngineError(.numeric, "procrustes: the source's activations are all equal") }
    return try centred(weight: rotation * Float(values.sum() / length))
  }

  /// Reduced-rank regression (Izenman 1975; with a penalty, Mukherjee and Zhu 2011): the ridge map followed by the
  /// projection, in deviations of the target, to the `rank` directions in which its predictions vary most.
  public func lowRank(_ rank: Int, lambda: Double) throws -> AffineMap {
    let (coefficients, scale) = try ridgeCoefficients(lambda: lambda), d = sourceWidth
    let spread = targetMoments().scales
    // B and the covariance S^T of the standardised target with the standardised source, both [dTo, dFrom].
    let covariance = crossCovariance()
    func tensor(_ values: [Double], _ factor: (Int, Int) -> Double) throws -> Tensor {
      let out = try Tensor(uninitialized: [targetWidth, d])
      for j in 0..<targetWidth {
        for i in 0..<d { out.mutablePointer[j * d + i] = Float(values[j * d + i] * factor(j, i)) }
      }
      return out
    }
    let b = try tensor(coefficients) { j, _ in 1 / spread[j] }
    let s = try tensor(covariance) { j, i in scale[i] / spread[j] }
    var predicted = try s.matmul(transposed: b)
    predicted = try (predicted + predicted.transposed()) * 0.5
    let vectors = try predicted.eigh().vectors, dTo = targetWidth
    // The last columns belong to the largest eigenvalues.
    let top = try Tensor(uninitialized: [rank, dTo])
    for k in 0..<rank {
      for j in 0..<dTo { top.mutablePointer[k * dTo + j] = vectors.pointer[j * dTo + dTo - 1 - k] }
    }
    let weight = try top.crossProduct(top.matmul(b))
    for j in 0..<dTo {
      for i in 0..<d {
        let value = Double(weight.pointer[j * d + i]) * spread[j] * scale[i]
        weight.mutablePointer[j * d + i] = Float(value)
      }
    }
    return try centred(weight: weight)
  }

  /// The affine map of a weight that takes the source's mean to the target's.
  private func centred(weight: Tensor) throws -> AffineMap {
    let from = sourceMoments(), to = targetMoments(), d = sourceWidth
    let bias = try Tensor(uninitialized: [targetWidth])
    for j in 0..<targetWidth {
      var offset = to.means[j]
      for i in 0..<d { offset -= Double(weight.pointer[j * d + i]) * from.means[i] }
      bias.mutablePointer[j] = Float(offset)
    }
    return try AffineMap(weight: weight, bias: bias)
  }

  private func requireEqualWidths(_ method: String) throws {
    guard sourceWidth == targetWidth else {
      throw EngineError(
        .shape,
        "\(method) takes activations as they are, so widths must agree, and the source has \(sourceWidth), the target "
          + "\(targetWidth); \"procrustes\" is a baseline for different widths")
    }
  }
}
