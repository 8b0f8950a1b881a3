import Engine
import Foundation

/// How alike two models' activations of the same rows are, whatever their widths: `x [rows, dX]`, `y [rows, dY]`.
public enum Similarity {
  /// Linear centred kernel alignment (Kornblith et al. 2019): 1 for equal up to rotation and scale, 0 for unrelated.
  /// `unbiased`: the estimator of Song et al. 2012, as Nguyen et al. 2021 use it, which few rows do not raise.
  public static func cka(_ x: Tensor, _ y: Tensor, unbiased: Bool = false) throws -> Double {
    try check(x, y, "cka", least: unbiased ? 4 : 2)
    let a = try centred(x), b = try centred(y)
    if unbiased {
      // Grams of raw rows have the means' size; centring changes nothing of the estimator but the rounding.
      let k = try gram(a), l = try gram(b), n = x.shape[0]
      let value = hsic(k, l, n) / (hsic(k, k, n) * hsic(l, l, n)).squareRoot()
      return try finite(value, "cka")
    }
    func squared(_ t: Tensor) -> Double { t.norm() * t.norm() }
    let cross = squared(try a.crossProduct(b))
    let own = (squared(try a.crossProduct(a)) * squared(try b.crossProduct(b))).squareRoot()
    return try finite(cross / own, "cka")
  }

  /// Representational similarity analysis (Kriegeskorte et al. 2008): Spearman's correlation of the two sides' distances
  /// between rows.
  public enum Distance: String, CaseIterable, Sendable { case correlation, cosine, euclidean }

  public static func rsa(_ x: Tensor, _ y: Tensor, distance: Distance = .correlation) throws -> Double {
    try check(x, y, "rsa", least: 3)
    let a = ranks(try distances(x, distance)), b = ranks(try distances(y, distance))
    return try finite(pearson(a, b), "rsa")
  }

  /// Singular vector canonical correlation (Raghu et al. 2017): each side reduced to the components that explain
  /// `variance` of it; mean canonical correlation. Needs more rows than components, else everything correlates.
  public static func svcca(_ x: Tensor, _ y: Tensor, variance: Double = 0.99) throws -> Double {
    try check(x, y, "svcca", least: 3)
    guard variance > 0, variance <= 1 else {
      throw EngineError(.argument, "svcca: variance = \(variance) is not above 0 and up to 1")
    }
    let a = try basis(centred(x), variance), b = try basis(centred(y), variance)
    let most = a.shape[1] + b.shape[1]
    guard most < x.shape[0] else {
      throw EngineError(
        .argument,
        "svcca: \(a.shape[1]) and \(b.shape[1]) components of \(x.shape[0]) rows correlate whatever they are; give more "
          + "rows or a smaller variance")
    }
    let values = try a.crossProduct(b).svd().s
    return min(1, values.sum() / Double(values.count))
  }

  private static func check(_ x: Tensor, _ y: Tensor, _ name: String, least: Int) throws {
    guard x.rank == 2, y.rank == 2, x.shape[0] == y.shape[0], x.shape[1] > 0, y.shape[1] > 0 else {
      throw EngineError(
        .shape, "\(name): \(shapeText(x.shape)) and \(shapeText(y.shape)) are not [rows, d] of the same rows")
    }
    guard x.shape[0] >= least else {
      throw EngineError(.argument, "\(name): \(x.shape[0]) rows are too few, \(least) or more are needed")
    }
    if x.nanCount() + y.nanCount() > 0 { throw EngineError(.numeric, "\(name): an activation is NaN") }
  }

  private static func finite(_ value: Double, _ name: String) throws -> Double {
    guard value.isFinite else {
      throw EngineError(.numeric, "\(name): one side does not vary, so nothing can be alike")
    }
    return value
  }

  private static func centred(_ x: Tensor) throws -> Tensor { try x - x.mean(dimension: 0) }

  private static func gram(_ x: Tensor) throws -> [Double] {
    let n = x.shape[0], product = try x.matmul(transposed: x)
    return (0..<n * n).map { $0 % (n + 1) == 0 ? 0 : Double(product.pointer[$0]) }
  }

  /// Unbiased estimate from Gram matrices without their diagonals.
  private static func hsic(_ k: [Double], _ l: [Double], _ n: Int) -> Double {
    var trace = 0.0, both = 0.0, sumK = 0.0, sumL = 0.0
    for i in 0..<n {
      var rowK = 0.0, rowL = 0.0
      for j in 0..<n {
        trace += k[i * n + j] * l[i * n + j]
        rowK += k[i * n + j]
        rowL += l[i * n + j]
      }
      both += rowK * rowL
      sumK += rowK
      sumL += rowL
    }
    let m = Double(n)
    return (trace + sumK * sumL / ((m - 1) * (m - 2)) - 2 * both / (m - 2)) / (m * (m - 3))
  }

  private static func distances(_ x: Tensor, _ distance: Distance) throws -> [Double] {
    var rows = x
    if distance == .correlation { rows = try x - x.mean(dimension: 1).reshaped([x.shape[0], 1]) }
    let n = rows.shape[0], d = rows.shape[1]
    let lengths = (0..<n).map { row in
      (0..<d).reduce(0.0) { $0 + Double(rows.pointer[row * d + $1]) * Double(rows.pointer[row * d + $1]) }
    }
    var out: [Double] = []
    out.reserveCapacity(n * (n - 1) / 2)
    for i in 0..<n {
      try Interrupt.check()
      for j in i + 1..<max(n, i + 1) {
        var dot = 0.0, square = 0.0
        let a = rows.pointer + i * d, b = rows.pointer + j * d
        for k in 0..<d {
          dot += Double(a[k]) * Double(b[k])
          square += (Double(a[k]) - Double(b[k])) * (Double(a[k]) - Double(b[k]))
        }
        out.append(distance == .euclidean ? square.squareRoot() : 1 - dot / (lengths[i] * lengths[j]).squareRoot())
      }
    }
    return out
  }

  /// Orthonormal columns that span the leading components.
  private static func basis(_ x: Tensor, _ variance: Double) throws -> Tensor {
    let (u, s, _) = try x.svd()
    let squares = s.values.map { Double($0) * Double($0) }, total = squares.reduce(0, +)
    guard total > 0 else { throw EngineError(.numeric, "svcca: one side does not vary, so nothing can be alike") }
    var kept = 0, sum = 0.0
    while kept < squares.count, sum < variance * total * (1 - 1e-7), squares[kept] > 1e-12 * squares[0] {
      sum += squares[kept]
      kept += 1
    }
    return try u.transposed().rows(0..<kept).transposed()
  }

  private static func pearson(_ a: [Double], _ b: [Double]) -> Double {
    let x = Moments(a), y = Moments(b)
    let covariance = zip(a, b).reduce(0) { $0 + ($1.0 - x.mean) * ($1.1 - y.mean) } / Double(a.count - 1)
    return covariance / (x.variance * y.variance).squareRoot()
  }

  /// Ranks from 1, ties at their mean.
  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = Array(repeating: 0.0, count: values.count), start = 0
    while start < order.count {
      var end = start
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + end + 1) / 2 }
      start = end
    }
    return ranks
  }
}
