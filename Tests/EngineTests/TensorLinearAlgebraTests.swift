import Engine
import Testing

/// Largest difference from the plain triple loop in Double.
private func reference(_ a: Tensor, _ b: Tensor) -> [Double] {
  let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
  var out = Array(repeating: 0.0, count: m * n)
  for i in 0..<m {
    for p in 0..<k {
      let x = Double(a.pointer[i * k + p])
      for j in 0..<n { out[i * n + j] += x * Double(b.pointer[p * n + j]) }
    }
  }
  return out
}

@Suite struct TensorLinearAlgebraTests {
  @Test(arguments: [(1, 1, 1), (3, 5, 2), (64, 65, 63), (257, 130, 33), (17, 300, 401), (1, 576, 640), (400, 7, 1)])
  func productsEqualTheTripleLoop(m: Int, k: Int, n: Int) throws {
    let a = try Tensor.normal([m, k], seed: 1), b = try Tensor.normal([k, n], seed: 2)
    let expected = reference(a, b)
    let got = try a.matmul(b), linear = try a.matmul(transposed: b.transposed())
    // Float sums of k products of order 1: rounding grows as sqrt(k) * 6e-8 * sqrt(k).
    let bound = 1e-6 * Double(k).squareRoot() * 4
    for i in 0..<(m * n) {
      #expect(abs(Double(got.pointer[i]) - expected[i]) < bound)
      #expect(abs(Double(linear.pointer[i]) - expected[i]) < bound)
    }
    let column = try a.matmul(b.transposed().row(0)), row = try a.row(0).matmul(b)
    #expect(column.shape == [m] && row.shape == [n])
    for i in 0..<m { #expect(abs(Double(column.pointer[i]) - expected[i * n]) < bound) }
    for j in 0..<n { #expect(abs(Double(row.pointer[j]) - expected[j]) < bound) }
    #expect(try abs(a.row(0).matmul(a.row(0)).item() - Float(a.row(0).norm() * a.row(0).norm())) < 1e-3)
  }

  @Test func productsNameBothShapes() throws {
    let a = try Tensor.zeros([2, 3])
    let error = #expect(throws: EngineError.self) { try a.matmul(a) }
    #expect(error?.message.contains("[2, 3] x [2, 3]") == true)
    #expect(throws: EngineError.self) { try Tensor.zeros([]).matmul(a) }
    #expect(throws: EngineError.self) { try Tensor.zeros([2, 2, 2]).matmul(Tensor.zeros([3, 2, 2])) }
    #expect(throws: EngineError.self) { try Tensor.zeros([2, 2, 2]).matmul(Tensor.zeros([3, 2])) }
  }

  @Test(arguments: [[5, 5], [40, 7], [7, 40], [1, 3], [130, 130]])
  func singularValuesReconstructTheMatrix(shape: [Int]) throws {
    let a = try Tensor.normal(shape, seed: 3)
    let (u, s, vt) = try a.svd()
    // LAPACK's backward error: a small multiple of eps * largest singular value (here under 30).
    #expect(try (u * s).matmul(vt).allClose(a, atol: 1e-4, rtol: 0))
    let k = min(shape[0], shape[1])
    let identity = try identityMatrix(k)
    #expect(try u.transposed().matmul(u).allClose(identity, atol: 1e-5, rtol: 0))
    #expect(try vt.matmul(vt.transposed()).allClose(identity, atol: 1e-5, rtol: 0))
    #expect(zip(s.values, s.values.dropFirst()).allSatisfy { $0 >= $1 })
    #expect(abs(s.norm() - a.norm()) < 1e-4 * a.norm())
  }

  @Test func solvingLeavesNoResidual() throws {
    let a = try Tensor.normal([60, 60], seed: 4), b = try Tensor.normal([60, 3], seed: 5)
    let x = try a.solve(b)
    #expect(x.shape == [60, 3])
    // Residual of LU with pivoting: eps * n * |a| |x|.
    #expect(try a.matmul(x).allClose(b, atol: 2e-3, rtol: 0))
    let column = try b.transposed().row(1)
    #expect(try a.matmul(a.solve(column)).allClose(column, atol: 2e-3, rtol: 0))
    let error = #expect(throws: EngineError.self) { try Tensor([1, 2, 2, 4], shape: [2, 2]).solve(Tensor([1, 1])) }
    #expect(error?.kind == .numeric)
    #expect(throws: EngineError.self) { try a.solve(Tensor.zeros([59])) }
    #expect(throws: EngineError.self) { try a.rows(0..<59).solve(column) }
    #expect(throws: EngineError.self) { try a.solve(Tensor(repeating: .nan, shape: [60])) }
  }

  @Test func choleskyIsLowerAndSquaresBack() throws {
    let x = try Tensor.normal([40, 25], seed: 6)
    let gram = try x.transposed().matmul(x)
    let l = try gram.cholesky()
    #expect(try l.matmul(l.transposed()).allClose(gram, atol: 1e-4, rtol: 1e-5))
    for i in 0..<25 { for j in (i + 1)..<25 { #expect(l.pointer[i * 25 + j] == 0) } }
    #expect(throws: EngineError.self) { try Tensor([1, 2, 2, 1], shape: [2, 2]).cholesky() }
    #expect(throws: EngineError.self) { try Tensor([1, 2, 0, 1], shape: [2, 2]).cholesky() }
  }

  @Test func eigenvectorsAreColumnsAndDiagonalise() throws {
    let x = try Tensor.normal([30, 30], seed: 7)
    let a = try (x + x.transposed()) / 2
    let (w, v) = try a.eigh()
    #expect(zip(w.values, w.values.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(try a.matmul(v).allClose(v * w, atol: 1e-4, rtol: 0))
    #expect(try v.transposed().matmul(v).allClose(identityMatrix(30), atol: 1e-5, rtol: 0))
    #expect(throws: EngineError.self) { try x.eigh() }
    #expect(throws: EngineError.self) { try Tensor([1, .nan, .nan, 1], shape: [2, 2]).eigh() }
  }

  private func identityMatrix(_ n: Int) throws -> Tensor {
    let out = try Tensor.zeros([n, n])
    for i in 0..<n { out.mutablePointer[i * n + i] = 1 }
    return out
  }
}
