extension Tensor {
  /// Whether `|a - b| <= atol + rtol * |b|` everywhere, as NumPy's `allclose`: NaN is close to nothing, an infinity to
  /// itself. Throws `.shape` when the shapes differ.
  public func allClose(_ other: Tensor, atol: Double = 1e-8, rtol: Double = 1e-5) throws -> Bool {
    guard shape == other.shape else {
      throw EngineError(.shape, "allclose: shapes \(shapeText(shape)) and \(shapeText(other.shape)) differ")
    }
    for i in 0..<count {
      let a = Double(pointer[i]), b = Double(other.pointer[i])
      guard a == b || (b.isFinite && abs(a - b) <= atol + rtol * abs(b)) else { return false }
    }
    return true
  }

  /// Largest `|a - b|`; NaN where there is one. Throws `.shape` when the shapes differ.
  public func maximumDifference(_ other: Tensor) throws -> Double {
    guard shape == other.shape else {
      throw EngineError(.shape, "difference: shapes \(shapeText(shape)) and \(shapeText(other.shape)) differ")
    }
    var largest = 0.0
    for i in 0..<count {
      let difference = abs(Double(pointer[i]) - Double(other.pointer[i]))
      if difference > largest || difference.isNaN { largest = difference }
      if largest.isNaN { break }
    }
    return largest
  }
}
