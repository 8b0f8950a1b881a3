import Engine

/// Sums over pairs of rows from which means, deviations and closed-form maps follow; the rows themselves are not kept.
/// Products of float32 blocks, taken about the first block's mean so that large means do not drown small variances,
/// are added up in Double.
public struct PairStatistics {
  public let sourceWidth: Int, targetWidth: Int
  public private(set) var count = 0
  private var sourceShift: [Float] = [], targetShift: [Float] = []
  /// Sums of shifted rows, and of their squares in the target.
  private(set) var sourceSum: [Double], targetSum: [Double]
  private var targetSquares: [Double]
  /// X^T X `[dFrom, dFrom]` and X^T Y `[dFrom, dTo]` of shifted rows.
  private(set) var gram: [Double], cross: [Double]

  public init(sourceWidth: Int, targetWidth: Int) {
    (self.sourceWidth, self.targetWidth) = (sourceWidth, targetWidth)
    sourceSum = Array(repeating: 0, count: sourceWidth)
    targetSum = Array(repeating: 0, count: targetWidth)
    targetSquares = targetSum
    gram = Array(repeating: 0, count: sourceWidth * sourceWidth)
    cross = Array(repeating: 0, count: sourceWidth * targetWidth)
  }

  /// Adds rows `[n, dFrom]` and `[n, dTo]`. Throws `.shape` for others.
  public mutating func add(source: Tensor, target: Tensor) throws {
    guard source.rank == 2, target.rank == 2, source.shape[1] == sourceWidth, target.shape[1] == targetWidth,
      source.shape[0] == target.shape[0]
    else {
      throw EngineError(
        .shape,
        "pair statistics of widths \(sourceWidth) and \(targetWidth) cannot take \(shapeText(source.shape)) and "
          + "\(shapeText(target.shape))")
    }
    let block = 2048
    for start in stride(from: 0, to: source.shape[0], by: block) {
      let range = start..<min(source.shape[0], start + block)
      try addBlock(source.rows(range), target.rows(range))
    }
  }

  private mutating func addBlock(_ source: Tensor, _ target: Tensor) throws {
    if count == 0 {
      sourceShift = try source.mean(dimension: 0).values
      targetShift = try target.mean(dimension: 0).values
    }
    let x = try source - Tensor(sourceShift), y = try target - Tensor(targetShift)
    try PairStatistics.accumulate(x.crossProduct(x), into: &gram)
    try PairStatistics.accumulate(x.crossProduct(y), into: &cross)
    try PairStatistics.accumulate(x.sum(dimension: 0), into: &sourceSum)
    try PairStatistics.accumulate(y.sum(dimension: 0), into: &targetSum)
    try PairStatistics.accumulate((y * y).sum(dimension: 0), into: &targetSquares)
    count += source.shape[0]
  }

  private static func accumulate(_ block: Tensor, into sums: inout [Double]) {
    let source = block.pointer
    sums.withUnsafeMutableBufferPointer { buffer in
      let target = buffer.baseAddress!
      parallelRanges(buffer.count, minimum: 1 << 15) { range in
        for i in range { target[i] += Double(source[i]) }
      }
    }
  }

  /// Mean and deviation of every source dimension.
  public func sourceMoments() -> Standardisation {
    Standardisation(
      means: zip(sourceShift, sourceSum).map { Double($0) + $1 / Double(count) },
      deviations: (0..<sourceWidth).map { i in
        PairStatistics.deviation(sum: sourceSum[i], squares: gram[i * sourceWidth + i], count: count)
      })
  }

  /// Mean and deviation of every target dimension.
  public func targetMoments() -> Standardisation {
    Standardisation(
      means: zip(targetShift, targetSum).map { Double($0) + $1 / Double(count) },
      deviations: (0..<targetWidth).map { i in
        PairStatistics.deviation(sum: targetSum[i], squares: targetSquares[i], count: count)
      })
  }

  private static func deviation(sum: Double, squares: Double, count: Int) -> Double {
    max(0, squares / Double(count) - sum / Double(count) * (sum / Double(count))).squareRoot()
  }

  /// The affine map of least squared error plus `lambda` times the mean diagonal of the source's correlation matrix
  /// (which is 1) times the squared coefficients of the standardised source. Hoerl and Kennard 1970, in closed form.
  /// Throws `.argument` without rows or for a negative lambda, `.numeric` where lambda is too small for the data.
  public func ridge(lambda: Double) throws -> AffineMap {
    let from = sourceMoments(), to = targetMoments(), d = sourceWidth
    let (sides, scale) = try ridgeCoefficients(lambda: lambda)
    let weight = try Tensor(uninitialized: [targetWidth, d]), bias = try Tensor(uninitialized: [targetWidth])
    for j in 0..<targetWidth {
      var offset = to.means[j]
      for i in 0..<d {
        let coefficient = sides[j * d + i] * scale[i]
        weight.mutablePointer[j * d + i] = Float(coefficient)
        offset -= coefficient * from.means[i]
      }
      bias.mutablePointer[j] = Float(offset)
    }
    return try AffineMap(weight: weight, bias: bias)
  }

  /// Ridge coefficients `[dTo, dFrom]` of the standardised source on the raw target, and what each source dimension is
  /// multiplied by (0 where it never changes).
  func ridgeCoefficients(lambda: Double) throws -> (coefficients: [Double], scale: [Double]) {
    guard lambda >= 0, lambda.isFinite else {
      throw EngineError(.argument, "lambda = \(lambda) is not a number from 0 up")
    }
    try requireRows()
    let d = sourceWidth, n = Double(count)
    // Dimensions that never change take no part.
    let scale = sourceMoments().deviations.map { $0 > 0 ? 1 / $0 : 0 }
    let mean = sourceSum.map { $0 / n }
    var matrix = Array(repeating: 0.0, count: d * d)
    for i in 0..<d {
      for j in 0..<d { matrix[i * d + j] = (gram[i * d + j] / n - mean[i] * mean[j]) * scale[i] * scale[j] }
    }
    let diagonal = (0..<d).reduce(0) { $0 + matrix[$1 * d + $1] } / Double(max(1, d))
    for i in 0..<d { matrix[i * d + i] += scale[i] == 0 ? 1 : lambda * diagonal }
    var sides = crossCovariance()
    for j in 0..<targetWidth { for i in 0..<d { sides[j * d + i] *= scale[i] } }
    try PositiveDefiniteSystem(matrix, order: d).solve(&sides)
    return (sides, scale)
  }

  /// Covariances `[dTo, dFrom]` of target and source dimensions.
  func crossCovariance() -> [Double] {
    let d = sourceWidth, n = Double(count)
    let mean = sourceSum.map { $0 / n }, targetMean = targetSum.map { $0 / n }
    var covariance = Array(repeating: 0.0, count: targetWidth * d)
    for i in 0..<d {
      for j in 0..<targetWidth { covariance[j * d + i] = cross[i * targetWidth + j] / n - mean[i] * targetMean[j] }
    }
    return covariance
  }

  func requireRows() throws {
    guard count > 0 else { throw EngineError(.argument, "there are no rows to fit a map to") }
  }
}
