/// Element-wise arithmetic with NumPy's broadcasting; scalars stand on either side. Each throws `.shape`, naming both
/// shapes, where they do not broadcast, and `.memory` beyond the budget.
extension Tensor {
  public static func + (left: Tensor, right: Tensor) throws -> Tensor {
    let plan = try Broadcast("add", left.shape, right.shape)
    let out = try Tensor(uninitialized: plan.shape)
    plan.apply(left.pointer, right.pointer, into: out.mutablePointer) { $0 + $1 }
    return out
  }

  public static func - (left: Tensor, right: Tensor) throws -> Tensor {
    let plan = try Broadcast("subtract", left.shape, right.shape)
    let out = try Tensor(uninitialized: plan.shape)
    plan.apply(left.pointer, right.pointer, into: out.mutablePointer) { $0 - $1 }
    return out
  }

  public static func * (left: Tensor, right: Tensor) throws -> Tensor {
    let plan = try Broadcast("multiply", left.shape, right.shape)
    let out = try Tensor(uninitialized: plan.shape)
    plan.apply(left.pointer, right.pointer, into: out.mutablePointer) { $0 * $1 }
    return out
  }

  public static func / (left: Tensor, right: Tensor) throws -> Tensor {
    let plan = try Broadcast("divide", left.shape, right.shape)
    let out = try Tensor(uninitialized: plan.shape)
    plan.apply(left.pointer, right.pointer, into: out.mutablePointer) { $0 / $1 }
    return out
  }

  public static func + (left: Tensor, right: Float) throws -> Tensor { try left.mapped { $0 + right } }
  public static func - (left: Tensor, right: Float) throws -> Tensor { try left.mapped { $0 - right } }
  public static func * (left: Tensor, right: Float) throws -> Tensor { try left.mapped { $0 * right } }
  public static func / (left: Tensor, right: Float) throws -> Tensor { try left.mapped { $0 / right } }
  public static func + (left: Float, right: Tensor) throws -> Tensor { try right.mapped { left + $0 } }
  public static func - (left: Float, right: Tensor) throws -> Tensor { try right.mapped { left - $0 } }
  public static func * (left: Float, right: Tensor) throws -> Tensor { try right.mapped { left * $0 } }
  public static func / (left: Float, right: Tensor) throws -> Tensor { try right.mapped { left / $0 } }

  public static prefix func - (operand: Tensor) throws -> Tensor { try operand.mapped { -$0 } }

  /// max(x, 0) of every element.
  public func relu() throws -> Tensor { try mapped { $0 < 0 ? 0 : $0 } }

  /// `body` of every element, in parallel where there are many.
  @inline(__always)
  func mapped(_ body: (Float) -> Float) throws -> Tensor {
    let out = try Tensor(uninitialized: shape)
    let source = pointer, target = out.mutablePointer
    parallelRanges(count, minimum: Broadcast.grain) { range in
      for i in range { target[i] = body(source[i]) }
    }
    return out
  }
}
