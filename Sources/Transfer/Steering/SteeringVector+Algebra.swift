import Engine

/// Vector algebra. Site, layer and position stay where both sides agree; scaling keeps the means, sums drop them.
/// Throws `.shape` for vectors of different widths.
extension SteeringVector {
  public static func + (left: SteeringVector, right: SteeringVector) throws -> SteeringVector {
    try combined(left, right, "sum") { try $0 + $1 }
  }

  public static func - (left: SteeringVector, right: SteeringVector) throws -> SteeringVector {
    try combined(left, right, "difference") { try $0 - $1 }
  }

  public static func * (left: SteeringVector, right: Float) throws -> SteeringVector {
    var out = left
    out.direction = try left.direction * right
    try out.direction.requireNumbers("a steering vector times \(right)")
    out.means?.scale *= right
    return out
  }

  public static func * (left: Float, right: SteeringVector) throws -> SteeringVector { try right * left }

  /// Throws `.argument` for a division by 0.
  public static func / (left: SteeringVector, right: Float) throws -> SteeringVector {
    guard right != 0 else { throw EngineError(.argument, "a steering vector cannot be divided by 0") }
    return try left * (1 / right)
  }

  public static prefix func - (operand: SteeringVector) throws -> SteeringVector { try operand * -1 }

  /// The same direction with another norm. Throws `.numeric` for the zero vector.
  public func rescaled(to norm: Double) throws -> SteeringVector {
    let present = self.norm
    guard present > 0, present.isFinite else {
      throw EngineError(.numeric, "a vector of norm \(present) has no direction to rescale")
    }
    return try self * Float(norm / present)
  }

  private static func combined(
    _ left: SteeringVector, _ right: SteeringVector, _ method: String, _ operation: (Tensor, Tensor) throws -> Tensor
  ) throws -> SteeringVector {
    guard left.width == right.width else {
      throw EngineError(.shape, "\(method) of steering vectors: widths \(left.width) and \(right.width) differ")
    }
    if let owner = left.origin.model, let other = right.origin.model, !owner.isRelated(to: other) {
      throw EngineError(
        .argument,
        "\(method) of steering vectors: one belongs to \(owner.name) with hash \(owner.hash.prefix(12)), the other to "
          + "\(other.name) with hash \(other.hash.prefix(12)); map:vector(v) carries one over to the other's model")
    }
    let agree = left.site == right.site && left.layer == right.layer
    let masked = Set(right.origin.maskedDimensions)
    return try SteeringVector(
      direction: operation(left.direction, right.direction), site: left.site == right.site ? left.site : nil,
      layer: agree ? left.layer : nil,
      position: left.position == right.position ? left.position : nil, stream: agree ? left.stream : nil,
      origin: VectorOrigin(
        method: method, model: left.origin.model ?? right.origin.model,
        modelHint: left.origin.modelHint ?? right.origin.modelHint,
        template: left.origin.template == right.origin.template ? left.origin.template : nil,
        maskedDimensions: left.origin.maskedDimensions.filter(masked.contains)))
  }
}
