/// The principal components of rows.
public struct PrincipalComponents: Sendable {
  /// Orthonormal rows `[k, d]`, the largest variance first; the largest entry of each is positive, so that the sign is
  /// the same on every machine.
  public let components: Tensor
  /// `[d]`, taken off the rows before.
  public let mean: Tensor
  /// Variance along each component, divisor rows - 1, `[k]`.
  public let variance: Tensor
  /// The share of each in the variance of all dimensions, `[k]`.
  public let explained: Tensor
}

extension Tensor {
  /// The first `k` principal components of rows `[n, d]` by a singular value decomposition of the centred rows (Jolliffe
  /// 2002, 3.5). Throws `.shape` for other than two rows or more, `.argument` for a k not within 1 ... min(n, d).
  public func principalComponents(_ k: Int) throws -> PrincipalComponents {
    guard rank == 2, shape[0] >= 2 else {
      throw EngineError(.shape, "pca: \(shapeText(shape)) is not two rows or more, [rows, d]")
    }
    let (n, d) = (shape[0], shape[1])
    guard k >= 1, k <= min(n, d) else {
      throw EngineError(
        .argument, "pca: k = \(k) is not between 1 and \(min(n, d)), the smaller size of \(shapeText(shape))")
    }
    let mean = try mean(dimension: 0)
    let (_, s, vt) = try (self - mean).svd()
    let components = try vt.rows(0..<k).cloned()
    for row in 0..<k {
      let values = components.mutablePointer + row * d
      var largest = 0
      for i in 1..<max(1, d) where abs(values[i]) > abs(values[largest]) { largest = i }
      if values[largest] < 0 { for i in 0..<d { values[i] = -values[i] } }
    }
    let variances = s.values.map { Double($0) * Double($0) / Double(n - 1) }, total = variances.reduce(0, +)
    return PrincipalComponents(
      components: components, mean: mean, variance: try Tensor(variances.prefix(k).map(Float.init)),
      explained: try Tensor(variances.prefix(k).map { Float(total > 0 ? $0 / total : 0) }))
  }
}
