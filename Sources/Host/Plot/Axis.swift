import Foundation

/// The ticks of an axis: multiples of 1, 2 or 5 times a power of ten inside a range.
struct Axis {
  let low: Double
  let high: Double

  /// The range of the finite values, widened where it is empty. 0 ... 1 without any.
  init(_ values: [Double]) {
    let finite = values.filter(\.isFinite)
    guard let least = finite.min(), let most = finite.max() else {
      (low, high) = (0, 1)
      return
    }
    let margin = least == most ? max(abs(least) * 0.1, 0.5) : 0
    (low, high) = (least - margin, most + margin)
  }

  func ticks(_ count: Int) -> [Double] {
    let span = high - low
    guard span.isFinite, span > 0, count > 0 else { return [low] }
    let raw = span / Double(count)
    let power = pow(10, floor(log10(raw)))
    let step = [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= raw } ?? power * 10
    guard step > 0, step.isFinite else { return [low, high] }
    let first = (low / step).rounded(.up)
    let candidates: [Double] = (0...(2 * count)).map { (first + Double($0)) * step }
    return candidates.filter { $0 <= high + step * 1e-9 }.map { abs($0) < step * 1e-9 ? 0 : $0 }
  }

  /// Where a value lies between 0 (low) and 1 (high).
  func fraction(_ value: Double) -> Double { high > low ? (value / 2 - low / 2) / (high / 2 - low / 2) : 0.5 }
}
