import CKernels

/// A function of one number with a slope, applied element by element: the value and the gradient of one function share
/// a name here and a kernel below.
public enum ElementFunction: Sendable, Equatable {
  /// max(x, 0); the slope at 0 is 0.
  case relu
  /// x Phi(x) (Hendrycks and Gimpel 2016) by the error function, or by its approximation with tanh.
  case gelu, geluTanh
  case exp, log, sqrt
  /// The slope at 0 is 0.
  case abs
  case sigmoid, tanh
  /// Kept between two bounds; the slope is 1 at both, 0 outside.
  case clamp(Float, Float)
  /// x to a constant power.
  case power(Float)
  /// A constant base to the power of x.
  case exponent(base: Float)

  private var kernel: (ck_function, Float, Float) {
    switch self {
    case .relu: (CK_FN_RELU, 0, 0)
    case .gelu: (CK_FN_GELU, 0, 0)
    case .geluTanh: (CK_FN_GELU_TANH, 0, 0)
    case .exp: (CK_FN_EXP, 0, 0)
    case .log: (CK_FN_LOG, 0, 0)
    case .sqrt: (CK_FN_SQRT, 0, 0)
    case .abs: (CK_FN_ABS, 0, 0)
    case .sigmoid: (CK_FN_SIGMOID, 0, 0)
    case .tanh: (CK_FN_TANH, 0, 0)
    case .clamp(let low, let high): (CK_FN_CLAMP, low, high)
    case .power(let exponent): (CK_FN_POWER, exponent, 0)
    case .exponent(let base): (CK_FN_EXPONENT, base, 0)
    }
  }

  func apply(_ x: Tensor, into y: Tensor) {
    let (kernel, a, b) = kernel, source = x.pointer, target = y.mutablePointer
    parallelRanges(x.count, minimum: ElementFunction.grain) { range in
      ck_elementwise(kernel, a, b, range.count, source + range.lowerBound, target + range.lowerBound)
    }
  }

  /// `dy f'(x)` for `y = f(x)`, all of one shape.
  func gradient(_ dy: Tensor, x: Tensor, y: Tensor) throws -> Tensor {
    let (kernel, a, b) = kernel, dx = try Tensor(uninitialized: x.shape)
    let (px, py, pdy, pdx) = (x.pointer, y.pointer, dy.pointer, dx.mutablePointer)
    parallelRanges(x.count, minimum: ElementFunction.grain) { range in
      let low = range.lowerBound
      ck_elementwise_backward(kernel, a, b, range.count, px + low, py + low, pdy + low, pdx + low)
    }
    return dx
  }

  /// Fewer than for sums and products: these cost more for each number.
  private static let grain = Broadcast.grain / 4
}

extension Tensor {
  /// `function` of every element.
  public func applying(_ function: ElementFunction) throws -> Tensor {
    let out = try Tensor(uninitialized: shape)
    function.apply(self, into: out)
    return out
  }
}
