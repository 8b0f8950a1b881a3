import COpenBLAS

/// A symmetric positive definite system in Double, for normal equations: factored once (dpotrf), then solved for any
/// number of right sides, split over the engine's pool.
public struct PositiveDefiniteSystem {
  public let order: Int
  private var factor: [Double]

  /// `matrix`: `order * order` values, symmetric. Throws `.numeric` where it is not positive definite.
  public init(_ matrix: [Double], order: Int) throws {
    precondition(matrix.count == order * order)
    _ = MatrixProduct.singleThreaded
    self.order = order
    factor = matrix
    guard order > 0 else { return }
    guard order < 1 << 15, !matrix.contains(where: { !$0.isFinite }) else {
      throw EngineError(.numeric, "normal equations of order \(order) hold NaN or infinity, or are too large")
    }
    var upper = CChar(bitPattern: UInt8(ascii: "U")), size = Int32(order), info = Int32(0)
    dpotrf_(&upper, &size, &factor, &size, &info)
    guard info == 0 else {
      throw EngineError(
        .numeric,
        "normal equations of order \(order) are not positive definite (leading minor \(info)); "
          + "raise lambda or use more rows")
    }
  }

  /// Solutions for `sides`, one right side of `order` values after the other, in their place.
  public func solve(_ sides: inout [Double]) {
    guard order > 0, !sides.isEmpty else { return }
    precondition(sides.count % order == 0)
    let count = sides.count / order, order = order
    sides.withUnsafeMutableBufferPointer { buffer in
      factor.withUnsafeBufferPointer { factor in
        let base = buffer.baseAddress!, factor = factor.baseAddress!
        parallelRanges(count, minimum: 16) { range in
          var upper = CChar(bitPattern: UInt8(ascii: "U")), size = Int32(order), some = Int32(range.count),
            info = Int32(0)
          dpotrs_(&upper, &size, &some, factor, &size, base + range.lowerBound * order, &size, &info)
        }
      }
    }
  }
}
