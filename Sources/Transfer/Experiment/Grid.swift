import Engine
import OrderedCollections

/// The points of a sweep: every combination of the axes' values, the last axis fastest.
public struct Grid: Sendable {
  public let axes: OrderedDictionary<String, [JSONValue]>

  /// Throws `.argument` for an axis without values and for more than ten million points.
  public init(axes: OrderedDictionary<String, [JSONValue]>) throws {
    var count = 1
    for (name, values) in axes {
      guard !values.isEmpty else { throw EngineError(.argument, "the axis \(name) has no values") }
      count *= values.count
      guard count <= 10_000_000 else {
        throw EngineError(.argument, "the grid has more than 10,000,000 points: give fewer values, or several sweeps")
      }
    }
    self.axes = axes
  }

  public var count: Int { axes.values.reduce(1) { $0 * $1.count } }

  /// Point `index` of `count`.
  public subscript(index: Int) -> OrderedDictionary<String, JSONValue> {
    var rest = index
    var places: [Int] = []
    for values in axes.values.reversed() {
      places.append(rest % values.count)
      rest /= values.count
    }
    return OrderedDictionary(
      uniqueKeysWithValues: zip(axes, places.reversed()).map { ($0.key, $0.value[$1]) })
  }

  /// What a point is found by again, whatever the order of its axes.
  static func key(_ point: OrderedDictionary<String, JSONValue>) -> String {
    JSONValue.object(OrderedDictionary(uniqueKeysWithValues: point.sorted { $0.key < $1.key })).text
  }
}
