import Engine

/// A model as files remember it.
public struct ModelIdentity: Sendable, Equatable, Codable {
  public let name: String
  /// Hex of the weights' content.
  public let hash: String
  /// Hashes of models that its weights come from: base model, and what that was trained or merged from.
  public let ancestors: [String]?
  /// As control vector files name it.
  public let architecture: String?

  public init(name: String, hash: String, ancestors: [String]? = nil, architecture: String? = nil) {
    self.name = name.printable
    self.hash = hash.printable
    self.ancestors = ancestors
    self.architecture = architecture?.printable
  }

  /// Whether one comes from the other, or both from a third by training, merging, saving or attached adapters: their
  /// activations have the same axes.
  public func isRelated(to other: ModelIdentity) -> Bool {
    !Set([hash] + (ancestors ?? [])).isDisjoint(with: [other.hash] + (other.ancestors ?? []))
  }
}

/// Where a steering vector comes from.
public struct VectorOrigin: Sendable, Equatable {
  /// `mean_difference`, `prompt_difference`, ...; sums and products say so.
  public var method: String
  public var model: ModelIdentity?
  /// What a control vector's file says it is for, where it does not name the model.
  public var modelHint: String?
  /// Name of the chat template its prompts were wrapped in; nil for plain text.
  public var template: String?
  public var positiveCount: Int?
  public var negativeCount: Int?
  public var seed: Int?
  /// Stream dimensions set to zero in the direction.
  public var maskedDimensions: [Int]

  public init(
    method: String, model: ModelIdentity? = nil, modelHint: String? = nil, template: String? = nil,
    positiveCount: Int? = nil,
    negativeCount: Int? = nil, seed: Int? = nil, maskedDimensions: [Int] = []
  ) {
    self.method = method.printable
    self.model = model
    self.modelHint = modelHint?.printable
    self.template = template?.printable
    self.positiveCount = positiveCount
    self.negativeCount = negativeCount
    self.seed = seed
    self.maskedDimensions = maskedDimensions
  }
}

/// The activations a difference was taken of, unmasked, so that a map can take them one by one.
public struct ActivationMeans: Sendable {
  /// `[d]`
  public let positive: Tensor, negative: Tensor
  /// The vector is `scale * (positive - negative)`, masked.
  public var scale: Float

  public init(positive: Tensor, negative: Tensor, scale: Float = 1) {
    self.positive = positive
    self.negative = negative
    self.scale = scale
  }
}

/// The residual stream (or another site) at the rows a vector was read from: what its size is compared with.
public struct StreamStatistics: Sendable {
  /// Mean activation `[d]`.
  public let mean: Tensor
  /// Root mean square of the activations' norm. Masked dimensions are left out of both, as they are of the vector.
  public let norm: Double

  public init(mean: Tensor, norm: Double) {
    self.mean = mean
    self.norm = norm
  }
}

/// A direction in one model's activations, and what is known of it.
public struct SteeringVector: Sendable {
  /// `[d]`
  public var direction: Tensor
  /// nil where it is not tied to a site: sums over different sites.
  public var site: Site?
  /// nil where it is not tied to a layer: sums over different layers.
  public var layer: Int?
  public var position: PositionSelector?
  public var means: ActivationMeans?
  public var stream: StreamStatistics?
  public var origin: VectorOrigin

  /// Throws `.shape` when `direction` is not a vector, `.numeric` where it has NaN or infinite values.
  public init(
    direction: Tensor, site: Site? = .residPost, layer: Int? = nil, position: PositionSelector? = nil,
    means: ActivationMeans? = nil, stream: StreamStatistics? = nil, origin: VectorOrigin
  ) throws {
    guard direction.rank == 1, direction.count > 0 else {
      throw EngineError(.shape, "a steering vector is one row [d], not \(shapeText(direction.shape))")
    }
    try direction.requireNumbers("a steering vector")
    self.direction = direction
    self.site = site
    self.layer = layer
    self.position = position
    self.means = means
    self.stream = stream
    self.origin = origin
  }

  /// The difference of two means, masked: `positive - negative` with `maskedDimensions` of the origin set to zero.
  public init(
    difference means: ActivationMeans, site: Site, layer: Int?, position: PositionSelector?,
    stream: StreamStatistics? = nil, origin: VectorOrigin
  ) throws {
    let difference = try (means.positive - means.negative) * means.scale
    try self.init(
      direction: difference.zeroing(origin.maskedDimensions), site: site, layer: layer, position: position,
      means: means, stream: stream, origin: origin)
  }

  public var width: Int { direction.count }
  public var norm: Double { direction.norm() }

  /// Norm as a fraction of the stream's.
  public var relativeNorm: Double? { stream.flatMap { $0.norm > 0 ? norm / $0.norm : nil } }

  /// Cosine to the mean activation.
  public var cosineToStream: Double? { stream.flatMap { try? cosine(direction, $0.mean) } }

  /// `resid_post 12 at -1  d 640  norm 12.3, 0.18 of the stream  cosine to its mean 0.05  42 dimensions masked`.
  public var summary: String {
    var parts = [
      (site?.rawValue ?? "no site") + (layer.map { " \($0)" } ?? "") + (position.map { " at \($0.fileText)" } ?? ""),
      "d \(width)",
    ]
    parts.append("norm \(numberText(norm))" + (relativeNorm.map { ", \(numberText($0)) of the stream" } ?? ""))
    if let cosine = cosineToStream { parts.append("cosine to its mean \(numberText(cosine))") }
    let masked = origin.maskedDimensions.count
    if masked > 0 { parts.append("\(masked) dimension\(masked == 1 ? "" : "s") masked") }
    return parts.joined(separator: "  ")
  }
}

extension Tensor {
  /// A copy with the entries `dimensions` of the last dimension set to zero. Throws `.shape` for one out of range.
  public func zeroing(_ dimensions: [Int]) throws -> Tensor {
    let width = lastDimension
    if let wrong = dimensions.first(where: { $0 < 0 || $0 >= width }) {
      throw EngineError(.shape, "dimension \(wrong) does not exist in a stream of \(width)")
    }
    let out = try cloned()
    for start in stride(from: 0, to: out.count, by: max(1, width)) {
      for dimension in dimensions { out.mutablePointer[start + dimension] = 0 }
    }
    return out
  }
}
