import Engine

/// One vector for each of several layers and positions: what difference methods give in one pass.
public struct Directions: Sendable {
  public let site: Site
  public let layers: [Int]
  public let positions: [PositionSelector]
  /// For positions that not every prompt has: which, and how many of either side have it. Means are over those alone.
  public private(set) var gaps: [String] = []
  /// Layer by layer, position by position.
  private let vectors: [SteeringVector]

  public init(site: Site, layers: [Int], positions: [PositionSelector], vectors: [SteeringVector]) {
    precondition(vectors.count == layers.count * positions.count)
    (self.site, self.layers, self.positions, self.vectors) = (site, layers, positions, vectors)
  }

  /// Differences of means of two sets of activations, at every layer and position gathered (slot i is position i).
  public init(
    positive: ActivationSums, negative: ActivationSums, site: Site, positions: [PositionSelector], origin: VectorOrigin
  ) throws {
    let both = positive.merged(with: negative)
    var vectors: [SteeringVector] = []
    for layer in positive.layers {
      for (slot, position) in positions.enumerated() {
        var origin = origin
        origin.positiveCount = try positive.count(layer: layer, slot: slot)
        origin.negativeCount = try negative.count(layer: layer, slot: slot)
        vectors.append(
          try SteeringVector(
            difference: ActivationMeans(
              positive: positive.mean(layer: layer, slot: slot), negative: negative.mean(layer: layer, slot: slot)),
            site: site, layer: layer, position: position,
            stream: both.stream(layer: layer, slot: slot, masked: origin.maskedDimensions), origin: origin))
      }
    }
    self.init(site: site, layers: positive.layers, positions: positions, vectors: vectors)
    for (slot, position) in positions.enumerated() {
      let sides = [("positive", positive), ("negative", negative)]
      guard sides.contains(where: { $0.1.prompts[slot] < $0.1.promptTotal }) else { continue }
      let counts = sides.map { "\($0.1.prompts[slot]) of \($0.1.promptTotal) \($0.0)" }
      gaps.append("position \(position.fileText): \(counts.joined(separator: ", ")) prompts have it")
    }
  }

  /// The vector of a layer, and of a position where there are several. Throws `.layer` or `.position`, naming what
  /// there is.
  public func at(_ layer: Int, position: PositionSelector? = nil) throws -> SteeringVector {
    guard let row = layers.firstIndex(of: layer) else {
      throw EngineError(
        .layer, "no direction at layer \(layer); there are layers \(Directions.list(layers.map(String.init)))")
    }
    if position == nil, positions.count == 1 { return vectors[row] }
    guard let wanted = position, let column = positions.firstIndex(where: { $0.fileText == wanted.fileText }) else {
      throw EngineError(
        .position,
        (position.map { "no direction at position \($0.fileText)" } ?? "which position?")
          + "; there are positions \(Directions.list(positions.map(\.fileText)))")
    }
    return vectors[row * positions.count + column]
  }

  /// Every vector, layer by layer, position by position.
  public var all: [SteeringVector] { vectors }

  /// The vectors of one of the positions, at every layer. Throws `.position`, naming what there is.
  public func at(position: PositionSelector) throws -> Directions {
    Directions(
      site: site, layers: layers, positions: [position], vectors: try layers.map { try at($0, position: position) })
  }

  /// The same layers and positions with other vectors.
  public func mapping(_ body: (SteeringVector) throws -> SteeringVector) rethrows -> Directions {
    Directions(site: site, layers: layers, positions: positions, vectors: try vectors.map(body))
  }

  /// Vector by vector. Throws `.argument` where layers or positions differ.
  public func combined(
    with other: Directions, _ body: (SteeringVector, SteeringVector) throws -> SteeringVector
  ) throws -> Directions {
    guard layers == other.layers, positions.map(\.fileText) == other.positions.map(\.fileText) else {
      throw EngineError(.argument, "directions are combined layer by layer, and these have other layers or positions")
    }
    return Directions(
      site: site, layers: layers, positions: positions,
      vectors: try zip(vectors, other.vectors).map { try body($0, $1) })
  }

  private static func list(_ names: [String]) -> String {
    names.count <= 12 ? names.joined(separator: ", ") : "\(names[0]), \(names[1]), ... \(names[names.count - 1])"
  }
}
