/// Arithmetic with NumPy's broadcasting, as on tensors; a gradient is summed over repeated dimensions.
extension Variable {
  public static func + (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value
    return try left.tape.record(a + b, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      for (input, shape) in [a.shape, b.shape].enumerated() where gradients.isWanted(input) {
        try gradients.add(upstream.summed(to: shape), to: input)
      }
    }
  }

  public static func - (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value
    return try left.tape.record(a - b, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add(upstream.summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add(-upstream.summed(to: b.shape), to: 1) }
    }
  }

  public static func * (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value
    return try left.tape.record(a * b, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add((upstream * b).summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add((upstream * a).summed(to: b.shape), to: 1) }
    }
  }

  public static func / (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value, out = try a / b
    return try left.tape.record(out, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add((upstream / b).summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add(-(upstream * out / b).summed(to: b.shape), to: 1) }
    }
  }

  /// Times a constant.
  public func scaled(by factor: Float) throws -> Variable {
    try tape.record(value * factor, inputs: [self]) { try $0.add($0.upstream * factor, to: 0) }
  }
}

extension Tensor {
  /// The sum over every dimension that broadcasting from `target` repeated: the adjoint of broadcasting.
  func summed(to target: [Int]) throws -> Tensor {
    guard shape != target else { return self }
    var out = self
    while out.rank > target.count { out = try out.sum(dimension: 0) }
    for (dimension, size) in target.enumerated() where size == 1 && out.shape[dimension] != 1 {
      let kept = out.shape
      out = try out.sum(dimension: dimension).reshaped(kept[..<dimension] + [1] + kept[(dimension + 1)...])
    }
    return out
  }

  /// The values repeated to `target`, which the shape broadcasts to.
  func broadcast(to target: [Int]) throws -> Tensor {
    shape == target ? self : try .pairs(.add, self, Tensor(repeating: 0, shape: target))
  }
}
