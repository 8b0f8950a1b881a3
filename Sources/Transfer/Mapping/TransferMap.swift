import Engine

/// One end of a map: a model, a place in it, and how large activations are there.
public struct MapSide: Sendable, Codable, Equatable {
  public let model: ModelIdentity
  public let layer: Int
  public let width: Int
  /// Massive dimensions of the model, left out of `streamNorm` and, in the target, of mapped vectors.
  public let maskedDimensions: [Int]
  /// Root mean square norm of the activations paired.
  public let streamNorm: Double

  public init(model: ModelIdentity, layer: Int, width: Int, maskedDimensions: [Int], streamNorm: Double) {
    self.model = model
    self.layer = layer
    self.width = width
    self.maskedDimensions = maskedDimensions
    self.streamNorm = streamNorm
  }
}

/// What a saved map remembers beside its parameters.
public struct MapCard: Sendable, Codable, Equatable {
  public var source: MapSide
  public var target: MapSide
  public var site: String
  public var options: MapperOptions
  public var report: MapReport
  /// Whether texts were wrapped in each model's chat template.
  public var chat: Bool

  public init(source: MapSide, target: MapSide, site: Site, options: MapperOptions, report: MapReport, chat: Bool) {
    (self.source, self.target, self.site) = (source, target, site.rawValue)
    (self.options, self.report, self.chat) = (options, report, chat)
  }
}

/// A fitted map between two models: carries activations and steering vectors from one to the other.
public struct TransferMap: Sendable {
  public let mapper: any Mapper
  public let card: MapCard

  public enum VectorMode: String, CaseIterable, Sendable {
    /// `M(mean+) - M(mean-)`: what the map is given are activations.
    case means
    /// `M(v) - M(0)`: a vector is no activation, so a map that is not affine is off its ground here.
    case direct
  }

  public enum VectorNorm: Equatable, Sendable {
    /// As it comes out of the map.
    case mapped
    /// The same fraction of the stream's norm as in the source.
    case relative
    case given(Double)
  }

  public init(mapper: any Mapper, card: MapCard) throws {
    guard mapper.sourceWidth == card.source.width, mapper.targetWidth == card.target.width else {
      throw EngineError(
        .shape,
        "map: parameters take \(mapper.sourceWidth) to \(mapper.targetWidth) dimensions, the card says "
          + "\(card.source.width) to \(card.target.width)")
    }
    self.mapper = mapper
    self.card = card
  }

  /// `[rows, dFrom]` to `[rows, dTo]`.
  public func callAsFunction(_ x: Tensor) throws -> Tensor { try mapper(x) }

  /// The vector in the target model, at the map's layer, the target's massive dimensions masked; its means are mapped
  /// too. Throws `.argument` where the vector belongs to another model, site or layer, or lacks the means that `mode`
  /// or the stream's norm that `norm` needs.
  public func vector(
    _ vector: SteeringVector, mode: VectorMode = .means, norm: VectorNorm = .mapped
  ) throws -> SteeringVector {
    try check(vector)
    let site = Site(rawValue: card.site) ?? .residPost
    var origin = vector.origin
    origin.method += " mapped (\(card.options.method.rawValue), \(mode.rawValue))"
    (origin.model, origin.modelHint) = (card.target.model, nil)
    origin.maskedDimensions = card.target.maskedDimensions
    let result: SteeringVector
    switch mode {
    case .means:
      guard let means = vector.means else {
        throw EngineError(
          .argument,
          "map: this vector (\(vector.origin.method)) carries no means; use mode = \"direct\", which gives "
            + "M(v) - M(0)")
      }
      let mapped = try ActivationMeans(
        positive: mapper.row(means.positive), negative: mapper.row(means.negative), scale: means.scale)
      result = try SteeringVector(
        difference: mapped, site: site, layer: card.target.layer, position: vector.position, origin: origin)
    case .direct:
      let difference = try mapper.row(vector.direction) - mapper.row(Tensor.zeros([vector.width]))
      result = try SteeringVector(
        direction: difference.zeroing(origin.maskedDimensions), site: site, layer: card.target.layer,
        position: vector.position, origin: origin)
    }
    switch norm {
    case .mapped: return result
    case .given(let value):
      guard value > 0, value.isFinite else { throw EngineError(.argument, "map: norm = \(value) must be above 0") }
      return try result.rescaled(to: value)
    case .relative:
      guard card.source.streamNorm > 0 else {
        throw EngineError(.argument, "map: the source's stream has norm 0, so norm = \"relative\" means nothing")
      }
      return try result.rescaled(to: vector.norm / card.source.streamNorm * card.target.streamNorm)
    }
  }

  private func check(_ vector: SteeringVector) throws {
    let wants = "the map takes \(card.site) of layer \(card.source.layer) of \(card.source.model.name)"
    guard vector.width == card.source.width else {
      throw EngineError(.shape, "map: a vector of width \(vector.width); \(wants), width \(card.source.width)")
    }
    if let model = vector.origin.model, model.hash != card.source.model.hash {
      throw EngineError(
        .argument,
        "map: a vector of \(model.name) (hash \(model.hash.prefix(12))); \(wants)"
          + " (hash \(card.source.model.hash.prefix(12)))")
    }
    guard vector.site == nil || vector.site?.rawValue == card.site,
      vector.layer == nil || vector.layer == card.source.layer
    else {
      throw EngineError(
        .argument,
        "map: a vector of \(vector.site?.rawValue ?? "no site")\(vector.layer.map { " of layer \($0)" } ?? ""); \(wants)"
      )
    }
  }
}
