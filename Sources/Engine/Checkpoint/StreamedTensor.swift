/// A tensor on its way to a file: its values are asked for a stretch of rows at a time, so that no second copy of the
/// weights is ever in memory.
///
/// ```swift
/// let merged = StreamedTensor(name: "w", shape: [4096, 4096]) { rows, target in
///   try base.read("w", rows: rows, into: target)                                  // then add the update's rows
/// }
/// ```
public struct StreamedTensor {
  public let name: String
  /// Row-major; one of `[a, b, c]` has `a * b` rows of `c` values, one of `[c]` is one row.
  public let shape: [Int]
  /// Writes `rows.count * width` float32 values to the target. Rows are asked for once and in order.
  public let fill: (_ rows: Range<Int>, _ target: UnsafeMutablePointer<Float>) throws -> Void

  public init(
    name: String, shape: [Int],
    fill: @escaping (_ rows: Range<Int>, _ target: UnsafeMutablePointer<Float>) throws -> Void
  ) {
    (self.name, self.shape, self.fill) = (name, shape, fill)
  }

  /// A tensor that is in memory.
  public init(name: String, tensor: Tensor) {
    let width = tensor.shape.last ?? 1
    self.init(name: name, shape: tensor.shape) { rows, target in
      target.update(from: tensor.pointer + rows.lowerBound * width, count: rows.count * width)
    }
  }

  /// A tensor of another checkpoint as it is. Throws `.missing` for an unknown name.
  public init(name: String, from source: any WeightSource) throws {
    guard let shape = source.shape(of: name) else { throw source.missing(name) }
    self.init(name: name, shape: shape) { try source.read(name, rows: $0, into: $1) }
  }

  /// Values in a row, rows, and bytes when each value takes `size` bytes. Throws `.shape` for impossible sizes.
  func extent(size: Int) throws -> (width: Int, rows: Int, bytes: Int) {
    var bytes = size
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow, product < 1 << 50 else {
        throw EngineError(.shape, "tensor \(name) cannot have shape \(shapeText(shape))")
      }
      bytes = product
    }
    return (shape.last ?? 1, shape.dropLast().reduce(1, *), bytes)
  }
}
