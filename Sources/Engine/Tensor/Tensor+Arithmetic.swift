import CKernels

/// A function of two numbers, element by element.
public enum PairFunction: String, Sendable {
  case add, subtract, multiply, divide
  case power = "pow"
  // 1 where it holds, else 0; with NaN only `notEqual` holds.
  case greater = "gt"
  case less = "lt"
  case equal = "eq"
  case greaterOrEqual = "ge"
  case lessOrEqual = "le"
  case notEqual = "ne"

  var kernel: ck_pair {
    switch self {
    case .add: CK_PAIR_ADD
    case .subtract: CK_PAIR_SUBTRACT
    case .multiply: CK_PAIR_MULTIPLY
    case .divide: CK_PAIR_DIVIDE
    case .power: CK_PAIR_POWER
    case .greater: CK_PAIR_GREATER
    case .less: CK_PAIR_LESS
    case .equal: CK_PAIR_EQUAL
    case .greaterOrEqual: CK_PAIR_GREATER_EQUAL
    case .lessOrEqual: CK_PAIR_LESS_EQUAL
    case .notEqual: CK_PAIR_NOT_EQUAL
    }
  }
}

/// Element-wise arithmetic and comparison with NumPy's broadcasting; scalars stand on either side. Each throws `.shape`,
/// naming both shapes, where they do not broadcast, and `.memory` beyond the budget.
extension Tensor {
  public static func + (left: Tensor, right: Tensor) throws -> Tensor { try .pairs(.add, left, right) }
  public static func - (left: Tensor, right: Tensor) throws -> Tensor { try .pairs(.subtract, left, right) }
  public static func * (left: Tensor, right: Tensor) throws -> Tensor { try .pairs(.multiply, left, right) }
  public static func / (left: Tensor, right: Tensor) throws -> Tensor { try .pairs(.divide, left, right) }

  public static func + (left: Tensor, right: Float) throws -> Tensor { try left.paired(.add, with: right) }
  public static func - (left: Tensor, right: Float) throws -> Tensor { try left.paired(.subtract, with: right) }
  public static func * (left: Tensor, right: Float) throws -> Tensor { try left.paired(.multiply, with: right) }
  public static func / (left: Tensor, right: Float) throws -> Tensor { try left.paired(.divide, with: right) }
  public static func + (left: Float, right: Tensor) throws -> Tensor { try right.paired(.add, with: left) }
  public static func - (left: Float, right: Tensor) throws -> Tensor { try pairs(.subtract, number(left), right) }
  public static func * (left: Float, right: Tensor) throws -> Tensor { try right.paired(.multiply, with: left) }
  public static func / (left: Float, right: Tensor) throws -> Tensor { try pairs(.divide, number(left), right) }

  public static prefix func - (operand: Tensor) throws -> Tensor { try operand.paired(.multiply, with: -1) }

  /// max(x, 0) of every element.
  public func relu() throws -> Tensor { try applying(.relu) }

  /// A tensor of shape [].
  static func number(_ value: Float) throws -> Tensor { try Tensor(repeating: value, shape: []) }

  /// `function` of every pair, broadcast.
  public static func pairs(_ function: PairFunction, _ left: Tensor, _ right: Tensor) throws -> Tensor {
    let plan = try Broadcast(function.rawValue, left.shape, right.shape)
    let out = try Tensor(uninitialized: plan.shape)
    plan.apply(left.pointer, right.pointer, into: out.mutablePointer, function)
    return out
  }

  private func paired(_ function: PairFunction, with number: Float) throws -> Tensor {
    try .pairs(function, self, .number(number))
  }
}
