import COpenBLAS

/// Row-major float32 matrix products, split over the engine's pool with a single-threaded BLAS in each worker.
enum MatrixProduct {
  /// A matrix in memory: `pointer[i * stride + j]`, read as its transpose where `transposed` is set.
  struct Operand {
    let pointer: UnsafePointer<Float>
    let stride: Int
    let transposed: Bool

    init(_ pointer: UnsafePointer<Float>, stride: Int, transposed: Bool = false) {
      self.pointer = pointer
      self.stride = stride
      self.transposed = transposed
    }

    /// Where row `index` of the matrix as read begins.
    func row(_ index: Int) -> UnsafePointer<Float> { pointer + (transposed ? index : index * stride) }
    /// Where column `index` of the matrix as read begins.
    func column(_ index: Int) -> UnsafePointer<Float> { pointer + (transposed ? index * stride : index) }
  }

  /// One pool only: OpenBLAS's own threads would spin against the engine's.
  static let singleThreaded: Void = openblas_set_num_threads(1)

  /// `c = alpha * a * b + beta * c` for a `[m, k]`, b `[k, n]`, c `[m, n]` (as read). Sizes beyond 2^31 are refused.
  static func multiply(
    rows m: Int, columns n: Int, inner k: Int, _ a: Operand, _ b: Operand, into c: UnsafeMutablePointer<Float>,
    stride: Int, alpha: Float = 1, beta: Float = 0
  ) throws {
    guard m > 0, n > 0 else { return }
    // With nothing to sum BLAS may leave the memory alone.
    if k == 0, beta == 0 { for row in 0..<m { (c + row * stride).update(repeating: 0, count: n) } }
    let largest = max(m, n, k, a.stride, b.stride, stride)
    guard largest <= Int(Int32.max) else { throw EngineError(.shape, "matmul: a size of \(largest) is beyond 2^31") }
    _ = singleThreaded
    let parts = m * n * max(1, k) < 1 << 18 ? 1 : threadCount
    // The longer side is split, in multiples of 16 rows or columns so that kernels see whole tiles.
    let side = max(m, n), unit = 16
    let units = (side + unit - 1) / unit
    parallel(min(parts, units)) { part in
      let count = min(parts, units)
      let low = min(side, units * part / count * unit), high = min(side, units * (part + 1) / count * unit)
      guard low < high else { return }
      let byRows = m >= n
      cblas_sgemm(
        CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
        blasint(byRows ? high - low : m), blasint(byRows ? n : high - low), blasint(k), alpha,
        byRows ? a.row(low) : a.pointer, blasint(max(1, a.stride)), byRows ? b.pointer : b.column(low),
        blasint(max(1, b.stride)), beta, c + (byRows ? low * stride : low), blasint(max(1, stride)))
    }
  }

  /// `product(0) ... product(count - 1)`, spread over the pool where there are enough of them.
  static func batch(_ count: Int, _ product: (Int) throws -> Void) throws {
    guard count >= 2 * threadCount else { return try (0..<count).forEach(product) }
    let failure = FirstError()
    parallel(count) { i in failure.catching { try product(i) } }
    try failure.rethrow()
  }

  /// `y = a * x` for a `[m, k]` (as read).
  static func multiply(
    rows m: Int, inner k: Int, _ a: Operand, vector x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let largest = max(m, k, a.stride)
    guard largest <= Int(Int32.max) else { throw EngineError(.shape, "matmul: a size of \(largest) is beyond 2^31") }
    _ = singleThreaded
    parallelRanges(m, minimum: max(16, (1 << 16) / max(1, k))) { range in
      cblas_sgemv(
        CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, blasint(a.transposed ? k : range.count),
        blasint(a.transposed ? range.count : k), 1, a.row(range.lowerBound), blasint(max(1, a.stride)), x, 1, 0,
        y + range.lowerBound, 1)
    }
  }
}
