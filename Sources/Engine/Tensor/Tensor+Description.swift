import Foundation

/// What a tensor's header says. Mean, deviation and norm leave NaN out.
public struct TensorSummary: Sendable, Equatable {
  public let shape: [Int]
  public let mean: Double
  public let standardDeviation: Double
  public let norm: Double
  public let nanCount: Int

  public init(_ tensor: Tensor) {
    var sum = 0.0, squares = 0.0, nan = 0
    let source = tensor.pointer, count = tensor.count
    for i in 0..<count {
      let value = Double(source[i])
      if value.isNaN {
        nan += 1
      } else {
        sum += value
        squares += value * value
      }
    }
    let number = Double(max(1, count - nan)), average = sum / number
    var spread = 0.0
    for i in 0..<count where !source[i].isNaN {
      spread += (Double(source[i]) - average) * (Double(source[i]) - average)
    }
    shape = tensor.shape
    mean = average
    standardDeviation = (spread / number).squareRoot()
    norm = squares.squareRoot()
    nanCount = nan
  }

  /// `f32 [2, 3]  mean 0.5  sd 0.2  norm 1.3`, with ` NaN 2` where there are any.
  public var header: String {
    let numbers = "mean \(numberText(mean))  sd \(numberText(standardDeviation))  norm \(numberText(norm))"
    return "f32 \(shapeText(shape))  \(numbers)" + (nanCount > 0 ? "  NaN \(nanCount)" : "")
  }
}

/// Four significant digits, as `%.4g` writes them.
public func numberText(_ value: Double) -> String { value.isNaN ? "nan" : String(format: "%.4g", value) }

extension Tensor: CustomStringConvertible {
  public var summary: TensorSummary { TensorSummary(self) }

  /// One header line, then the values: all where there are few, else the first and last three of each dimension.
  public var description: String {
    if rank == 0 { return "f32 []  \(numberText(Double(pointer[0])))" }
    return summary.header + (count == 0 ? "" : "\n" + edges(shape[...], at: 0, indent: 0))
  }

  private func edges(_ sizes: ArraySlice<Int>, at place: Int, indent: Int) -> String {
    guard let size = sizes.first else { return numberText(Double(pointer[place])) }
    let rest = sizes.dropFirst(), width = rest.reduce(1, *)
    // Beyond a matrix only the outermost entries, so that any tensor fits a screen.
    let edge = rest.count >= 2 ? 1 : 3
    let shown = size <= 2 * edge + 1 ? Array(0..<size) : Array(0..<edge) + [-1] + Array((size - edge)..<size)
    let parts = shown.map { index in
      index < 0 ? "..." : edges(rest, at: place + index * width, indent: indent + 1)
    }
    let separator = rest.isEmpty ? " " : "\n" + String(repeating: " ", count: indent + 1)
    return "[" + parts.joined(separator: separator) + "]"
  }
}
