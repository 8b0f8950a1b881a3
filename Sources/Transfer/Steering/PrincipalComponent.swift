import Engine

/// First principal component of paired differences, uncentred: the direction v that explains most of
/// `sum ((positive_i - negative_i) . v)^2`. Centring would remove the mean difference, which is the signal; the sign
/// is the mean difference's. Unit norm. `masked` dimensions take no part.
public func principalComponent(positive: Tensor, negative: Tensor, masked: [Int] = []) throws -> Tensor {
  guard positive.rank == 2, positive.shape == negative.shape, positive.count > 0 else {
    throw EngineError(
      .shape,
      "principal component: needs pairs, as many positive as negative prompts; activations are "
        + "\(shapeText(positive.shape)) and \(shapeText(negative.shape))")
  }
  let differences = try (positive - negative).zeroing(masked)
  let component = try differences.svd().vt.row(0), mean = try differences.mean(dimension: 0)
  guard differences.norm() > 0 else {
    throw EngineError(.numeric, "principal component: positive and negative activations are equal")
  }
  let sign = try component.matmul(mean).item()
  return try component * Float((sign < 0 ? -1 : 1) / component.norm())
}
