import COpenBLAS

/// LAPACK on row-major tensors. A row-major matrix is its transpose in LAPACK's column order; the routines below use
/// that where they can and transpose where they must. Each throws `.shape` for a wrong shape and `.numeric` where the
/// matrix holds NaN or infinity or has no such decomposition.
extension Tensor {
  /// Thin singular value decomposition (sgesdd): `self [m, n] = u [m, k] * diag(s [k]) * vt [k, n]`, k = min(m, n), s
  /// falling.
  public func svd() throws -> (u: Tensor, s: Tensor, vt: Tensor) {
    let (m, n) = try matrixSizes("svd")
    let k = min(m, n)
    let u = try Tensor.zeros([m, k]), s = try Tensor.zeros([k]), vt = try Tensor.zeros([k, n])
    guard k > 0 else { return (u, s, vt) }
    // LAPACK sees the transpose, v s u^T, so its left vectors are our vt and its right ones our u.
    let copy = try cloned()
    var job = CChar(bitPattern: UInt8(ascii: "S"))
    var rows = Int32(n), columns = Int32(m), thin = Int32(k), size = Int32(-1), info = Int32(0)
    var whole = Array(repeating: Int32(0), count: 8 * k), best: Float = 0
    sgesdd_(
      &job, &rows, &columns, copy.mutablePointer, &rows, s.mutablePointer, vt.mutablePointer, &rows,
      u.mutablePointer, &thin, &best, &size, &whole, &info)
    let work = try Tensor(uninitialized: [Int(best.nextUp) + 1])
    size = Int32(work.count)
    sgesdd_(
      &job, &rows, &columns, copy.mutablePointer, &rows, s.mutablePointer, vt.mutablePointer, &rows,
      u.mutablePointer, &thin, work.mutablePointer, &size, &whole, &info)
    guard info == 0 else { throw EngineError(.numeric, "svd: no convergence on a matrix of shape \(shapeText(shape))") }
    return (u, s, vt)
  }

  /// x with `self [n, n] * x = b` for b `[n]` or `[n, k]` (sgesv, LU with partial pivoting).
  public func solve(_ b: Tensor) throws -> Tensor {
    let n = try squareSize("solve")
    guard (1...2).contains(b.rank), b.shape[0] == n else {
      throw EngineError(
        .shape, "solve: a right side of shape \(shapeText(b.shape)) does not fit a matrix of shape \(shapeText(shape))")
    }
    try b.requireFinite("solve")
    guard b.count > 0 else { return b }
    let matrix = try transposed(), right = b.rank == 1 ? try b.cloned() : try b.transposed()
    var order = Int32(n), sides = Int32(b.count / n), info = Int32(0)
    var pivots = Array(repeating: Int32(0), count: n)
    sgesv_(&order, &sides, matrix.mutablePointer, &order, &pivots, right.mutablePointer, &order, &info)
    guard info == 0 else {
      throw EngineError(.numeric, "solve: the matrix of shape \(shapeText(shape)) is singular (pivot \(info) is 0)")
    }
    return b.rank == 1 ? right : try right.transposed()
  }

  /// Lower triangular l with `self = l * l^T` (spotrf), for a symmetric positive definite matrix.
  public func cholesky() throws -> Tensor {
    let n = try squareSize("cholesky")
    try requireSymmetric("cholesky")
    let out = try cloned()
    guard n > 0 else { return out }
    var upper = CChar(bitPattern: UInt8(ascii: "U")), order = Int32(n), info = Int32(0)
    spotrf_(&upper, &order, out.mutablePointer, &order, &info)
    guard info == 0 else {
      throw EngineError(
        .numeric, "cholesky: the matrix is not positive definite (its leading minor of order \(info) is not)")
    }
    for i in 0..<n { for j in (i + 1)..<max(n, i + 1) { out.mutablePointer[i * n + j] = 0 } }
    return out
  }

  /// Eigenvalues `[n]`, rising, and eigenvectors as the columns of `[n, n]`, of a symmetric matrix (ssyevd).
  public func eigh() throws -> (values: Tensor, vectors: Tensor) {
    let n = try squareSize("eigh")
    try requireSymmetric("eigh")
    let vectors = try cloned(), values = try Tensor.zeros([n])
    guard n > 0 else { return (values, vectors) }
    var job = CChar(bitPattern: UInt8(ascii: "V")), upper = CChar(bitPattern: UInt8(ascii: "U"))
    var order = Int32(n), size = Int32(-1), wholeSize = Int32(-1), info = Int32(0), best: Float = 0,
      wholeBest = Int32(0)
    ssyevd_(
      &job, &upper, &order, vectors.mutablePointer, &order, values.mutablePointer, &best, &size, &wholeBest,
      &wholeSize, &info)
    let work = try Tensor(uninitialized: [Int(best.nextUp) + 1])
    var whole = Array(repeating: Int32(0), count: Int(wholeBest))
    (size, wholeSize) = (Int32(work.count), wholeBest)
    ssyevd_(
      &job, &upper, &order, vectors.mutablePointer, &order, values.mutablePointer, work.mutablePointer, &size, &whole,
      &wholeSize, &info)
    guard info == 0 else {
      throw EngineError(.numeric, "eigh: no convergence on a matrix of shape \(shapeText(shape))")
    }
    return (values, try vectors.transposed())
  }

  private func matrixSizes(_ operation: String) throws -> (Int, Int) {
    _ = MatrixProduct.singleThreaded
    guard rank == 2 else { throw EngineError(.shape, "\(operation): \(shapeText(shape)) is not a matrix") }
    guard shape[0] < 1 << 20, shape[1] < 1 << 20, count < Int(Int32.max) else {
      throw EngineError(.shape, "\(operation): a matrix of shape \(shapeText(shape)) is too large")
    }
    try requireFinite(operation)
    return (shape[0], shape[1])
  }

  private func squareSize(_ operation: String) throws -> Int {
    let (m, n) = try matrixSizes(operation)
    guard m == n else { throw EngineError(.shape, "\(operation): \(shapeText(shape)) is not square") }
    return n
  }

  /// LAPACK may never return on NaN.
  private func requireFinite(_ operation: String) throws {
    for i in 0..<count where !pointer[i].isFinite {
      throw EngineError(.numeric, "\(operation): the tensor of shape \(shapeText(shape)) holds NaN or infinity")
    }
  }

  /// Rounding of a float32 product may break symmetry by about 1e-5 of the largest entry; more is a mistake.
  private func requireSymmetric(_ operation: String) throws {
    let n = shape[0]
    var largest: Float = 0, difference: Float = 0, place = (0, 0)
    for i in 0..<n {
      for j in 0...i {
        let a = pointer[i * n + j], b = pointer[j * n + i]
        largest = max(largest, abs(a), abs(b))
        if abs(a - b) > difference { (difference, place) = (abs(a - b), (i, j)) }
      }
    }
    guard difference <= 1e-3 * largest else {
      throw EngineError(
        .numeric,
        "\(operation): the matrix is not symmetric: entries (\(place.0), \(place.1)) and (\(place.1), "
          + "\(place.0)) differ by \(difference)")
    }
  }
}
