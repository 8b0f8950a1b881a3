import Engine

/// Stream dimensions far larger than the rest at almost every token (Sun et al. 2024, "Massive Activations"). A
/// direction with a part in one of them, ablated or added, breaks the model and looks like steering, so they are masked
/// by default.
public struct MassiveDimensions: Sendable, Equatable, Codable {
  /// Dimensions of each layer, rising; layers without any are present with none.
  public let byLayer: [Int: [Int]]
  /// Dimensions that are massive in some layer, rising.
  public let union: [Int]
  /// Their share of the squared norm, by layer.
  public let share: [Int: Double]

  /// How many times the median dimension's mean absolute value a massive one exceeds.
  public static let threshold = 20.0

  /// From sums over the rows of a sample of texts, first tokens left out, one slot.
  public init(_ sums: ActivationSums) throws {
    var byLayer: [Int: [Int]] = [:], share: [Int: Double] = [:]
    for layer in sums.layers {
      let magnitudes = try sums.meanMagnitude(layer: layer).values, squares = try sums.meanSquares(layer: layer)
      let sorted = magnitudes.sorted(), middle = sorted.count / 2
      let median = sorted.count % 2 == 1 ? Double(sorted[middle]) : Double(sorted[middle - 1] + sorted[middle]) / 2
      let massive = magnitudes.indices.filter { Double(magnitudes[$0]) > MassiveDimensions.threshold * median }
      let total = squares.reduce(0, +)
      byLayer[layer] = massive
      share[layer] = total > 0 ? massive.reduce(0) { $0 + squares[$1] } / total : 0
    }
    self.byLayer = byLayer
    self.share = share
    union = Set(byLayer.values.joined()).sorted()
  }
}
