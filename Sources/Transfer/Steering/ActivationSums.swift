import Engine

/// Streaming means and second moments of activations, kept apart by layer and by slot (a position, or any other
/// grouping of rows). Memory is layers x slots x d, however many rows stream by. Sums are in Double.
public struct ActivationSums: Sendable {
  public let layers: [Int]
  public let slots: Int
  public let width: Int
  private let places: [Int: Int]
  private var sums: [Double]
  private var squares: [Double]
  private var magnitudes: [Double]
  private var counts: [Int]
  /// How many prompts had a row in each slot, and how many there were; zeros where nobody counted.
  public private(set) var prompts: [Int]
  public private(set) var promptTotal = 0

  public init(layers: [Int], slots: Int, width: Int) {
    (self.layers, self.slots, self.width) = (layers, slots, width)
    places = Dictionary(layers.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    sums = Array(repeating: 0, count: layers.count * slots * width)
    squares = sums
    magnitudes = sums
    counts = Array(repeating: 0, count: layers.count * slots)
    prompts = Array(repeating: 0, count: slots)
  }

  /// Notes how many prompts were read, and how many of them had a row in each slot.
  mutating func countPrompts(_ bySlot: [Int], of total: Int) {
    precondition(bySlot.count == slots)
    (prompts, promptTotal) = (bySlot, total)
  }

  private func place(_ layer: Int, _ slot: Int) throws -> Int {
    guard let place = places[layer] else {
      throw EngineError(
        .layer, "layer \(layer) was not gathered; layers \(layers.map(String.init).joined(separator: ", ")) were")
    }
    precondition(slot >= 0 && slot < slots)
    return place * slots + slot
  }

  /// Adds one row of `width` values.
  public mutating func add(_ row: UnsafePointer<Float>, layer: Int, slot: Int = 0) throws {
    let place = try place(layer, slot), start = place * width, width = width
    counts[place] += 1
    sums.withUnsafeMutableBufferPointer { sums in
      squares.withUnsafeMutableBufferPointer { squares in
        magnitudes.withUnsafeMutableBufferPointer { magnitudes in
          for i in 0..<width {
            let value = Double(row[i])
            sums[start + i] += value
            squares[start + i] += value * value
            magnitudes[start + i] += abs(value)
          }
        }
      }
    }
  }

  public func count(layer: Int, slot: Int = 0) throws -> Int { counts[try place(layer, slot)] }

  /// Mean row `[d]`. Throws `.position` where no row came.
  public func mean(layer: Int, slot: Int = 0) throws -> Tensor { try tensor(sums, layer, slot) }

  /// Mean absolute value of every dimension.
  public func meanMagnitude(layer: Int, slot: Int = 0) throws -> Tensor { try tensor(magnitudes, layer, slot) }

  private func tensor(_ values: [Double], _ layer: Int, _ slot: Int) throws -> Tensor {
    let place = try place(layer, slot)
    guard counts[place] > 0 else { throw EngineError(.position, "no row was gathered at layer \(layer), slot \(slot)") }
    return try Tensor(values[place * width..<(place + 1) * width].map { Float($0 / Double(counts[place])) })
  }

  /// Mean squared norm of rows, per dimension.
  public func meanSquares(layer: Int, slot: Int = 0) throws -> [Double] {
    let place = try place(layer, slot)
    return squares[place * width..<(place + 1) * width].map { $0 / Double(max(1, counts[place])) }
  }

  /// Mean and root mean square norm of the rows, `masked` dimensions left out.
  public func stream(layer: Int, slot: Int = 0, masked: [Int] = []) throws -> StreamStatistics {
    var meanSquares = try meanSquares(layer: layer, slot: slot)
    for dimension in masked where meanSquares.indices.contains(dimension) { meanSquares[dimension] = 0 }
    return StreamStatistics(
      mean: try mean(layer: layer, slot: slot).zeroing(masked), norm: meanSquares.reduce(0, +).squareRoot())
  }

  /// The sums over both sets of rows. Both must have been made alike.
  public func merged(with other: ActivationSums) -> ActivationSums {
    precondition(layers == other.layers && slots == other.slots && width == other.width)
    var out = self
    for i in sums.indices {
      out.sums[i] += other.sums[i]
      out.squares[i] += other.squares[i]
      out.magnitudes[i] += other.magnitudes[i]
    }
    for i in counts.indices { out.counts[i] += other.counts[i] }
    return out
  }
}
