import CKernels
import Foundation
import Testing

@testable import Engine

/// Products with packed and quantised weights, against plain sums in double.
@Suite struct WeightMatrixTests {
  private func normals(_ count: Int, _ random: inout RandomGenerator) -> [Float] {
    (0..<count).map { _ in Float(random.normal()) }
  }

  private func multiply(_ matrix: any WeightMatrix, _ x: [Float], rows: Int) -> [Float] {
    var y = [Float](repeating: .nan, count: rows * matrix.outputs)
    y.withUnsafeMutableBufferPointer {
      matrix.multiply(x, rows: rows, ldx: matrix.inputs, into: $0.baseAddress!, ldy: matrix.outputs)
    }
    return y
  }

  private func rounded(_ x: [Float]) -> [Float] {
    var out = x
    ck_round_bf16(x.count, x, &out)
    return out
  }

  /// Largest error of 300 values of the product, in units of the sum of absolute products.
  private func error(_ y: [Float], _ x: [Float], _ w: [Float], inputs: Int, _ random: inout RandomGenerator) -> Double {
    let rows = x.count / inputs, outputs = w.count / inputs
    return (0..<300).map { _ in
      let r = random.below(rows), o = random.below(outputs)
      let products = (0..<inputs).map { Double(x[r * inputs + $0]) * Double(w[o * inputs + $0]) }
      return abs(products.reduce(0, +) - Double(y[r * outputs + o])) / max(1e-30, products.reduce(0) { $0 + abs($1) })
    }.max()!
  }

  @Test func packedProductsEqualPlainSums() throws {
    var random = RandomGenerator(seed: 3)
    for round in 0..<40 {
      let outputs = 1 + random.below(700), inputs = 1 + random.below(round % 8 == 0 ? 2500 : 300)
      let rows = 1 + random.below(200)
      let w = normals(outputs * inputs, &random), x = normals(rows * inputs, &random)
      func fill(_ range: Range<Int>, _ target: UnsafeMutablePointer<Float>) {
        for (i, index) in (range.lowerBound * inputs..<range.upperBound * inputs).enumerated() { target[i] = w[index] }
      }
      // Sums of up to 2500 products in float32, one after the other: each addition rounds by 6e-8 of the sum so far.
      let limit = 3e-6
      let matrix = try PanelMatrix(.f32, outputs: outputs, inputs: inputs, fill: fill)
      let worst = error(multiply(matrix, x, rows: rows), x, w, inputs: inputs, &random)
      #expect(worst < limit, "\(rows) x \(outputs) x \(inputs)")
      // bf16: products of rounded values are exact in float32.
      let half = try PanelMatrix(.bf16, outputs: outputs, inputs: inputs, fill: fill)
      let halfWorst = error(multiply(half, x, rows: rows), rounded(x), rounded(w), inputs: inputs, &random)
      #expect(halfWorst < limit, "bf16: \(rows) x \(outputs) x \(inputs)")
    }
  }

  @Test func bf16RoundsToNearestEvenAndKeepsNaN() {
    let ulp = Float(bitPattern: 0x3f81_0000) - 1  // 2^-7
    let x: [Float] = [1, 1 + ulp / 2, 1 + ulp * 1.5, 1 + ulp * 0.51, -1 - ulp * 0.49, .infinity, -0.0]
    let expected: [Float] = [1, 1, 1 + 2 * ulp, 1 + ulp, -1, .infinity, -0.0]
    #expect(rounded(x) == expected)
    #expect(rounded([Float.nan])[0].isNaN)
  }

  /// Random blocks of a format whose half-precision scales are ordinary numbers.
  private func blocks(_ type: GGMLType, rows: Int, inputs: Int, _ random: inout RandomGenerator) -> [UInt8] {
    let (values, bytes) = type.block, count = rows * inputs / values
    var data = (0..<count * bytes).map { _ in UInt8(random.below(256)) }
    let scales: [Int] =
      switch type {
      case .q6_k: [208]
      case .q4_1, .q5_1, .q4_k, .q5_k: [0, 2]
      default: [0]
      }
    for block in 0..<count {
      for place in scales {  // 2^-7 to 2^-6
        data[block * bytes + place + 1] = 0x20 + UInt8(random.below(4))
      }
    }
    return data
  }

  static let formats: [GGMLType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_k, .q5_k, .q6_k]

  @Test(arguments: formats) func integerProductsEqualTheReference(type: GGMLType) {
    var random = RandomGenerator(seed: Int(type.rawValue))
    for _ in 0..<20 {
      let inputs = 256 * (1 + random.below(4)), rows = 1 + random.below(40), m = 1 + random.below(9)
      let weights = blocks(type, rows: rows, inputs: inputs, &random), x = normals(m * inputs, &random)
      let groups = inputs / 32, rowBytes = weights.count / rows
      var q = [Int8](repeating: 0, count: m * inputs), pairs = [Float](repeating: 0, count: 2 * m * groups)
      for r in 0..<m {
        q.withUnsafeMutableBufferPointer { q in
          pairs.withUnsafeMutableBufferPointer { pairs in
            x.withUnsafeBufferPointer {
              ck_quantize_row(
                inputs, $0.baseAddress! + r * inputs, q.baseAddress! + r * inputs, pairs.baseAddress! + 2 * r * groups)
            }
          }
        }
      }
      var fast = [Float](repeating: 0, count: m * rows), plain = fast
      ck_quantized_multiply(type.rawValue, m, rows, inputs, q, pairs, weights, rowBytes, &fast, rows)
      ck_quantized_multiply_reference(type.rawValue, m, rows, inputs, q, pairs, weights, rowBytes, &plain, rows)
      let scale = plain.map(abs).max()!
      // Exact within a group of 32; up to 32 groups are summed in float32.
      #expect(maxDifference("\(type.name) \(m) x \(rows) x \(inputs)", fast, plain) <= 2e-6 * scale)
      // Rounding x to 8 bits in groups moves each value by half of the largest's 127th at most.
      for g in 0..<groups {
        let part = g * 32..<(g + 1) * 32, top = x[part].map(abs).max()!
        #expect(part.allSatisfy { abs(pairs[2 * g] * Float(q[$0]) - x[$0]) <= top / 254 * 1.001 })
        let sum = part.reduce(0) { $0 + Int(q[$1]) }
        #expect(pairs[2 * g + 1] == pairs[2 * g] * Float(sum))
      }
    }
  }

  @Test func valuesThatAreNotFiniteAreNotRoundedAway() {
    var x = [Float](repeating: 1, count: 64), q = [Int8](repeating: 0, count: 64)
    var pairs = [Float](repeating: 0, count: 4)
    for bad in [Float.nan, .infinity, -.infinity] {
      x[40] = bad
      ck_quantize_row(64, x, &q, &pairs)
      #expect(pairs[0] == 1.0 / 127 && pairs[2].isNaN && pairs[3].isNaN)
    }
  }
}
