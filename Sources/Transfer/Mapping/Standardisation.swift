import Engine

/// Per-dimension mean and deviation: what activations are shifted and scaled by for training, and what is folded into
/// the map afterwards. A dimension that never changes is scaled by 1.
public struct Standardisation: Sendable {
  public let means: [Double]
  public let deviations: [Double]

  public init(means: [Double], deviations: [Double]) {
    self.means = means
    self.deviations = deviations
  }

  /// Leaves values as they are.
  public static func none(_ width: Int) -> Standardisation {
    Standardisation(means: Array(repeating: 0, count: width), deviations: Array(repeating: 1, count: width))
  }

  var scales: [Double] { deviations.map { $0 > 0 ? $0 : 1 } }

  /// Copies rows `indices` of `data`, standardised, into `[indices.count, width]`.
  func gather(_ indices: ArraySlice<Int>, of data: Tensor, into target: Tensor) {
    let width = means.count, source = data.pointer, out = target.mutablePointer
    let shift = means.map { Float($0) }, factor = scales.map { Float(1 / $0) }, first = indices.startIndex
    shift.withUnsafeBufferPointer { shift in
      factor.withUnsafeBufferPointer { factor in
        parallelRanges(indices.count, minimum: 32) { rows in
          for row in rows {
            let x = source + indices[first + row] * width, y = out + row * width
            for i in 0..<width { y[i] = (x[i] - shift[i]) * factor[i] }
          }
        }
      }
    }
  }

  /// A layer that takes standardised input, as one that takes raw input: `W x' + b` with `x' = (x - mean) / deviation`.
  func foldedIntoInput(weight: Tensor, bias: Tensor) throws -> (weight: Tensor, bias: Tensor) {
    let (dOut, dIn) = (weight.shape[0], weight.shape[1]), scales = scales
    let folded = try weight.cloned(), offset = try bias.cloned()
    for o in 0..<dOut {
      var shift = Double(bias.pointer[o])
      for i in 0..<dIn {
        let coefficient = Double(weight.pointer[o * dIn + i]) / scales[i]
        folded.mutablePointer[o * dIn + i] = Float(coefficient)
        shift -= coefficient * means[i]
      }
      offset.mutablePointer[o] = Float(shift)
    }
    return (folded, offset)
  }

  /// A layer whose output is standardised, as one that gives raw output: `deviation * (W x + b) + mean`.
  func foldedIntoOutput(weight: Tensor, bias: Tensor) throws -> (weight: Tensor, bias: Tensor) {
    let (dOut, dIn) = (weight.shape[0], weight.shape[1]), scales = scales
    let folded = try weight.cloned(), offset = try bias.cloned()
    for o in 0..<dOut {
      for i in 0..<dIn { folded.mutablePointer[o * dIn + i] = Float(Double(weight.pointer[o * dIn + i]) * scales[o]) }
      offset.mutablePointer[o] = Float(Double(bias.pointer[o]) * scales[o] + means[o])
    }
    return (folded, offset)
  }
}
