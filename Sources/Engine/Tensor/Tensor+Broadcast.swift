import CKernels

/// How two shapes line up by NumPy's rule: sizes are compared from the right; equal sizes match and a size of 1
/// repeats.
struct Broadcast {
  let shape: [Int]
  /// Dimensions joined where both operands run on without a gap; the last one is the inner loop.
  private(set) var sizes: [Int] = []
  private(set) var leftStrides: [Int] = []
  private(set) var rightStrides: [Int] = []

  /// Throws `.shape`, naming both shapes, when they do not match.
  init(_ operation: String, _ left: [Int], _ right: [Int]) throws {
    let rank = max(left.count, right.count)
    let a = Array(repeating: 1, count: rank - left.count) + left
    let b = Array(repeating: 1, count: rank - right.count) + right
    guard zip(a, b).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      throw EngineError(.shape, "\(operation): shapes \(shapeText(left)) and \(shapeText(right)) do not broadcast")
    }
    shape = zip(a, b).map { $0 == 1 ? $1 : $0 }
    let strideA = Broadcast.strides(a), strideB = Broadcast.strides(b)
    for dimension in 0..<rank where shape[dimension] != 1 {
      let size = shape[dimension]
      if let last = sizes.indices.last, leftStrides[last] == strideA[dimension] * size,
        rightStrides[last] == strideB[dimension] * size
      {
        sizes[last] *= size
        leftStrides[last] = strideA[dimension]
        rightStrides[last] = strideB[dimension]
      } else {
        sizes.append(size)
        leftStrides.append(strideA[dimension])
        rightStrides.append(strideB[dimension])
      }
    }
    if sizes.isEmpty { (sizes, leftStrides, rightStrides) = ([1], [0], [0]) }
  }

  /// Element strides of a contiguous tensor, 0 where its size is 1.
  private static func strides(_ shape: [Int]) -> [Int] {
    var strides = Array(repeating: 0, count: shape.count), step = 1
    for dimension in shape.indices.reversed() {
      if shape[dimension] != 1 { strides[dimension] = step }
      step *= shape[dimension]
    }
    return strides
  }

  /// Offsets of both operands at outer index `index` (a row of the inner loop).
  func offsets(_ index: Int) -> (left: Int, right: Int) {
    var rest = index, left = 0, right = 0
    for dimension in stride(from: sizes.count - 2, through: 0, by: -1) {
      let (quotient, place) = rest.quotientAndRemainder(dividingBy: sizes[dimension])
      left += place * leftStrides[dimension]
      right += place * rightStrides[dimension]
      rest = quotient
    }
    return (left, right)
  }

  /// Applies `function` to every pair, in parallel over outer rows (or over the inner one where there is a single row).
  func apply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>,
    _ function: PairFunction
  ) {
    let inner = sizes[sizes.count - 1], outer = sizes.dropLast().reduce(1, *), kernel = function.kernel
    guard inner > 0, outer > 0 else { return }
    let stepA = leftStrides[sizes.count - 1], stepB = rightStrides[sizes.count - 1]
    if outer == 1 {
      parallelRanges(inner, minimum: Broadcast.grain) { range in
        let low = range.lowerBound
        ck_pairwise(kernel, range.count, a + low * stepA, stepA, b + low * stepB, stepB, out + low)
      }
    } else {
      parallelRanges(outer, minimum: max(1, Broadcast.grain / inner)) { rows in
        for row in rows {
          let place = offsets(row)
          ck_pairwise(kernel, inner, a + place.left, stepA, b + place.right, stepB, out + row * inner)
        }
      }
    }
  }

  /// Elements below which a second thread costs more than it brings.
  static let grain = 1 << 15
}
