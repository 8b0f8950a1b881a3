import Foundation

/// Distribution functions that tests and intervals need, in Double.
enum Distribution {
  /// P(Z <= z) of the standard normal.
  static func normal(_ z: Double) -> Double { 0.5 * erfc(-z / 2.0.squareRoot()) }

  /// z with P(Z <= z) = p.
  static func normalQuantile(_ p: Double) -> Double { solve(p, normal) }

  /// P(T <= t) of Student's t with `freedom` degrees.
  static func student(_ t: Double, _ freedom: Double) -> Double {
    guard t.isFinite else { return t.isNaN ? .nan : t > 0 ? 1 : 0 }
    let tail = 0.5 * incompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return t > 0 ? 1 - tail : tail
  }

  /// t with P(T <= t) = p.
  static func studentQuantile(_ p: Double, _ freedom: Double) -> Double { solve(p) { student($0, freedom) } }

  /// Two-sided exact p of `hits` of `count` fair coins: outcomes no likelier than this one.
  static func fairCoins(_ hits: Int, of count: Int) -> Double {
    let least = min(hits, count - hits)
    guard 2 * least < count else { return 1 }
    let n = Double(count), all = lgamma(n + 1) - n * log(2.0)
    var tail = 0.0
    for k in 0...least {
      let hits = Double(k)
      tail += exp(all - lgamma(hits + 1) - lgamma(n - hits + 1))
    }
    return min(1, 2 * tail)
  }

  /// The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction.
  static func incompleteBeta(_ a: Double, _ b: Double, _ x: Double) -> Double {
    guard x > 0 else { return 0 }
    guard x < 1 else { return 1 }
    // The fraction converges fast on one side of the mean only.
    return x <= (a + 1) / (a + b + 2) ? betaFraction(a, b, x) : 1 - betaFraction(b, a, 1 - x)
  }

  private static func betaFraction(_ a: Double, _ b: Double, _ x: Double) -> Double {
    let front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    let tiny = 1e-300
    func away(_ value: Double) -> Double { abs(value) < tiny ? tiny : value }
    var c = 1.0, d = 1 / away(1 - (a + b) * x / (a + 1)), fraction = d
    for m in 1...1000 {
      let k = Double(m)
      for coefficient in [
        k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)),
        -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1)),
      ] {
        d = 1 / away(1 + coefficient * d)
        c = away(1 + coefficient / c)
        fraction *= c * d
      }
      if abs(c * d - 1) < 1e-15 { break }
    }
    return front * fraction
  }

  /// x with `rising(x) = p`, by bisection.
  private static func solve(_ p: Double, _ rising: (Double) -> Double) -> Double {
    guard p > 0 else { return -.infinity }
    guard p < 1 else { return .infinity }
    var low = -1.0, high = 1.0
    while rising(low) > p { low *= 2 }
    while rising(high) < p { high *= 2 }
    for _ in 0..<200 where high - low > 1e-15 * max(1, abs(low)) {
      let middle = (low + high) / 2
      if rising(middle) < p { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }
}

/// Mean, and deviation with n - 1.
struct Moments {
  let count: Int
  let mean: Double, variance: Double

  init(_ values: [Double]) {
    count = values.count
    let mean = values.reduce(0, +) / Double(values.count)
    self.mean = mean
    variance =
      values.count > 1
      ? values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1) : .nan
  }
}

/// The value below which the share `q` of sorted values lies, interpolated between neighbours (R's type 7, as NumPy).
func quantile(_ sorted: [Double], _ q: Double) -> Double {
  guard let last = sorted.last else { return .nan }
  let place = q * Double(sorted.count - 1), low = Int(place.rounded(.down))
  guard low + 1 < sorted.count else { return last }
  return sorted[low] + (place - Double(low)) * (sorted[low + 1] - sorted[low])
}
