/// Reductions to the one number that `Tape.backward` starts from. Accumulated in Double.
extension Variable {
  /// Sum of all elements, a tensor of shape [].
  public func sum() throws -> Variable { try reduced(value.sum(), weight: 1) }

  /// Mean of all elements, a tensor of shape []. Throws `.shape` for an empty tensor.
  public func mean() throws -> Variable { try reduced(value.mean(), weight: 1 / Float(value.count)) }

  private func reduced(_ result: Double, weight: Float) throws -> Variable {
    let shape = shape
    return try tape.record(Tensor([Float(result)], shape: []), inputs: [self]) { gradients in
      let share = gradients.upstream.pointer[0] * weight
      try gradients.accumulate(into: 0, shape: shape) { target, beta in
        let count = shape.reduce(1, *)
        if beta == 0 {
          target.update(repeating: share, count: count)
        } else {
          for i in 0..<count { target[i] += share }
        }
      }
    }
  }

  /// Mean of `(self - target)^2` over all elements, a tensor of shape []. Both of one shape.
  public func meanSquaredError(_ target: Variable) throws -> Variable {
    guard shape == target.shape else {
      throw EngineError(
        .shape, "mean squared error: prediction \(shapeText(shape)) and target \(shapeText(target.shape)) differ")
    }
    let difference = try Tensor(uninitialized: shape)
    let a = value.pointer, b = target.value.pointer, out = difference.mutablePointer
    parallelRanges(difference.count, minimum: Broadcast.grain) { range in
      for i in range { out[i] = a[i] - b[i] }
    }
    let norm = difference.norm(), count = Double(max(1, difference.count))
    let loss = try Tensor([Float(norm * norm / count)], shape: [])
    return try tape.record(loss, inputs: [self, target]) { gradients in
      let factor = gradients.upstream.pointer[0] * Float(2 / count)
      for (input, sign) in [Float(1), -1].enumerated() {
        try gradients.accumulate(into: input, shape: difference.shape) { target, beta in
          let source = difference.pointer
          parallelRanges(difference.count, minimum: Broadcast.grain) { range in
            if beta == 0 {
              for i in range { target[i] = sign * factor * source[i] }
            } else {
              for i in range { target[i] += sign * factor * source[i] }
            }
          }
        }
      }
    }
  }
}
