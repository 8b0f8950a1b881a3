import Engine

/// A function from one model's activations to another's.
public protocol Mapper: Sendable {
  var sourceWidth: Int { get }
  var targetWidth: Int { get }
  /// Parameters under the names they are saved by.
  var tensors: [(name: String, tensor: Tensor)] { get }
  /// `[rows, dFrom]` to `[rows, dTo]`. Throws `.shape` for another width.
  func callAsFunction(_ x: Tensor) throws -> Tensor
}

extension Mapper {
  /// A single row `[dFrom]` to `[dTo]`.
  public func row(_ x: Tensor) throws -> Tensor { try self(x.reshaped([1, -1])).row(0) }

  func requireRows(_ x: Tensor) throws {
    guard x.rank == 2, x.shape[1] == sourceWidth else {
      throw EngineError(.shape, "map: takes [rows, \(sourceWidth)], not \(shapeText(x.shape))")
    }
  }
}

/// `W x + b`.
public struct AffineMap: Mapper {
  /// `[dTo, dFrom]`
  public let weight: Tensor
  /// `[dTo]`
  public let bias: Tensor

  public init(weight: Tensor, bias: Tensor) throws {
    guard weight.rank == 2, bias.shape == [weight.shape[0]] else {
      throw EngineError(.shape, "affine map: weight \(shapeText(weight.shape)) and bias \(shapeText(bias.shape))")
    }
    self.weight = weight
    self.bias = bias
  }

  public var sourceWidth: Int { weight.shape[1] }
  public var targetWidth: Int { weight.shape[0] }
  public var tensors: [(name: String, tensor: Tensor)] { [("weight", weight), ("bias", bias)] }

  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    try requireRows(x)
    return try x.matmul(transposed: weight) + bias
  }
}

/// `D relu(E x + e) + d`: the paper's autoencoder.
public struct AutoencoderMap: Mapper {
  /// `[hidden, dFrom]`, `[hidden]`
  public let encoderWeight: Tensor, encoderBias: Tensor
  /// `[dTo, hidden]`, `[dTo]`
  public let decoderWeight: Tensor, decoderBias: Tensor

  public init(encoderWeight: Tensor, encoderBias: Tensor, decoderWeight: Tensor, decoderBias: Tensor) throws {
    guard encoderWeight.rank == 2, decoderWeight.rank == 2, encoderBias.shape == [encoderWeight.shape[0]],
      decoderWeight.shape[1] == encoderWeight.shape[0], decoderBias.shape == [decoderWeight.shape[0]]
    else {
      let shapes = [encoderWeight, encoderBias, decoderWeight, decoderBias].map { shapeText($0.shape) }
      throw EngineError(.shape, "autoencoder map: shapes \(shapes.joined(separator: ", ")) do not fit together")
    }
    self.encoderWeight = encoderWeight
    self.encoderBias = encoderBias
    self.decoderWeight = decoderWeight
    self.decoderBias = decoderBias
  }

  public var sourceWidth: Int { encoderWeight.shape[1] }
  public var targetWidth: Int { decoderWeight.shape[0] }
  public var hidden: Int { encoderWeight.shape[0] }
  public var tensors: [(name: String, tensor: Tensor)] {
    [
      ("encoder.weight", encoderWeight), ("encoder.bias", encoderBias), ("decoder.weight", decoderWeight),
      ("decoder.bias", decoderBias),
    ]
  }

  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    try requireRows(x)
    let hidden = try x.matmul(transposed: encoderWeight) + encoderBias
    return try hidden.relu().matmul(transposed: decoderWeight) + decoderBias
  }
}
