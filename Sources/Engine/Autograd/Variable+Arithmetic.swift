/// Element-wise operations with NumPy's broadcasting, as on tensors; a gradient is summed over repeated dimensions.
extension Variable {
  public static func + (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value, plan = try Broadcast("add", a.shape, b.shape)
    let out = try left.tape.buffer(plan.shape)
    plan.apply(a.pointer, b.pointer, into: out.mutablePointer) { $0 + $1 }
    return try left.tape.record(out, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      for (input, shape) in [a.shape, b.shape].enumerated() where gradients.isWanted(input) {
        try gradients.add(upstream.summed(to: shape), to: input)
      }
    }
  }

  public static func - (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value, plan = try Broadcast("subtract", a.shape, b.shape)
    let out = try left.tape.buffer(plan.shape)
    plan.apply(a.pointer, b.pointer, into: out.mutablePointer) { $0 - $1 }
    return try left.tape.record(out, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add(upstream.summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add(-upstream.summed(to: b.shape), to: 1) }
    }
  }

  public static func * (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value, plan = try Broadcast("multiply", a.shape, b.shape)
    let out = try left.tape.buffer(plan.shape)
    plan.apply(a.pointer, b.pointer, into: out.mutablePointer) { $0 * $1 }
    return try left.tape.record(out, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add((upstream * b).summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add((upstream * a).summed(to: b.shape), to: 1) }
    }
  }

  public static func / (left: Variable, right: Variable) throws -> Variable {
    let a = left.value, b = right.value, plan = try Broadcast("divide", a.shape, b.shape)
    let out = try left.tape.buffer(plan.shape)
    plan.apply(a.pointer, b.pointer, into: out.mutablePointer) { $0 / $1 }
    return try left.tape.record(out, inputs: [left, right]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) { try gradients.add((upstream / b).summed(to: a.shape), to: 0) }
      if gradients.isWanted(1) { try gradients.add(-(upstream * out / b).summed(to: b.shape), to: 1) }
    }
  }

  /// Times a constant.
  public func scaled(by factor: Float) throws -> Variable {
    let out = try tape.buffer(shape)
    let source = value.pointer, target = out.mutablePointer
    parallelRanges(out.count, minimum: Broadcast.grain) { range in
      for i in range { target[i] = source[i] * factor }
    }
    return try tape.record(out, inputs: [self]) { gradients in
      let upstream = gradients.upstream
      try gradients.accumulate(into: 0, shape: upstream.shape) { target, beta in
        let source = upstream.pointer
        parallelRanges(upstream.count, minimum: Broadcast.grain) { range in
          if beta == 0 {
            for i in range { target[i] = source[i] * factor }
          } else {
            for i in range { target[i] += source[i] * factor }
          }
        }
      }
    }
  }

  /// max(x, 0); the gradient at 0 is 0.
  public func relu() throws -> Variable {
    let out = try tape.buffer(shape)
    let source = value.pointer, target = out.mutablePointer
    parallelRanges(out.count, minimum: Broadcast.grain) { range in
      for i in range { target[i] = source[i] < 0 ? 0 : source[i] }
    }
    return try tape.record(out, inputs: [self]) { gradients in
      let upstream = gradients.upstream
      try gradients.accumulate(into: 0, shape: out.shape) { target, beta in
        let result = out.pointer, source = upstream.pointer
        parallelRanges(out.count, minimum: Broadcast.grain) { range in
          if beta == 0 {
            for i in range { target[i] = result[i] > 0 ? source[i] : 0 }
          } else {
            for i in range { target[i] += result[i] > 0 ? source[i] : 0 }
          }
        }
      }
    }
  }

  /// The same values in another shape.
  public func reshaped(_ sizes: [Int]) throws -> Variable {
    let before = shape
    return try tape.record(value.reshaped(sizes), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.reshaped(before), to: 0)
    }
  }

  /// `[rows, columns]` into `[columns, rows]`.
  public func transposed() throws -> Variable {
    try tape.record(value.transposed(), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.transposed(), to: 0)
    }
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
}
