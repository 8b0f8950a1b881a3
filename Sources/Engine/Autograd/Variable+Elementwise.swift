/// Functions of each element, powers and choices.
extension Variable {
  public func applying(_ function: ElementFunction) throws -> Variable {
    let x = value, y = try x.applying(function)
    return try tape.record(y, inputs: [self]) { try $0.add(function.gradient($0.upstream, x: x, y: y), to: 0) }
  }

  public func relu() throws -> Variable { try applying(.relu) }

  /// `self` to the power of `exponent`, broadcast. The gradient of the exponent is `y log x`, 0 where x is 0 and the
  /// exponent is not negative, as in PyTorch.
  public func power(_ exponent: Variable) throws -> Variable {
    let x = value, p = exponent.value, y = try Tensor.pairs(.power, x, p)
    return try tape.record(y, inputs: [self, exponent]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) {
        let slope = try p * Tensor.pairs(.power, x, p - 1)
        // A power of 0 is 1 whatever x is, and 0 times an infinite slope is no number.
        let isConstant = try Tensor.pairs(.equal, p, .number(0))
        try gradients.add(
          (upstream * Tensor.choosing(isConstant, .number(0), slope)).summed(to: x.shape), to: 0)
      }
      if gradients.isWanted(1) {
        let isZero = try Tensor.pairs(.equal, x, .number(0)) * Tensor.pairs(.greaterOrEqual, p, .number(0))
        let slope = try Tensor.choosing(isZero, .number(0), y * x.applying(.log))
        try gradients.add((upstream * slope).summed(to: p.shape), to: 1)
      }
    }
  }

  /// `a` where `condition` is not 0, else `b`; all three broadcast. What is not chosen gets a gradient of 0.
  public static func choosing(_ condition: Tensor, _ a: Variable, _ b: Variable) throws -> Variable {
    let (x, y) = (a.value, b.value), out = try Tensor.choosing(condition, x, y)
    return try a.tape.record(out, inputs: [a, b]) { gradients in
      let upstream = gradients.upstream
      if gradients.isWanted(0) {
        try gradients.add(Tensor.choosing(condition, upstream, .number(0)).summed(to: x.shape), to: 0)
      }
      if gradients.isWanted(1) {
        try gradients.add(Tensor.choosing(condition, .number(0), upstream).summed(to: y.shape), to: 1)
      }
    }
  }
}

extension Tensor {
  /// `a` where `condition` is not 0, else `b`; all three broadcast. Throws `.shape` where they do not.
  static func choosing(_ condition: Tensor, _ a: Tensor, _ b: Tensor) throws -> Tensor {
    let branches = try Broadcast("where", a.shape, b.shape).shape
    let shape = try Broadcast("where", condition.shape, branches).shape
    let c = try condition.broadcast(to: shape)
    let x = try a.broadcast(to: shape), y = try b.broadcast(to: shape), out = try Tensor(uninitialized: shape)
    let (pc, px, py, target) = (c.pointer, x.pointer, y.pointer, out.mutablePointer)
    parallelRanges(out.count, minimum: Broadcast.grain) { range in
      for i in range { target[i] = pc[i] != 0 ? px[i] : py[i] }
    }
    return out
  }
}
