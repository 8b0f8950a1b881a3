import CKernels
import Foundation
import Testing

@testable import Engine

/// Products with packed and quantised weights, against plain sums in double.
@Suite struct WeightMatrixTests {
  private func multiply(_ matrix: any WeightMatrix, _ x: [Float], rows: Int) -> [Float] {
    var y = [Float](repeating: .nan, count: rows * matrix.outputs)
    y.withUnsafeMutableBufferPointer {
      matrix.multiply(x, rows: rows, ldx: matrix.inputs, into: $0.baseAddress!, ldy: matrix.outputs)
    }
    return y
  }

  private func rounded(_ x: [Float]) -> [Float] {
    var halves = [UInt16](repeating: 0, count: x.count)
    ck_encode_bf16(x, x.count, &halves)
    return halves.map { Float(bitPattern: UInt32($0) << 16) }
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

  /// Gradients of inputs from the panels of the product, in any slice and block of rows.
  @Test func theTransposedViewEqualsPlainSums() throws {
    var random = RandomGenerator(seed: 6)
    for (outputs, inputs, rows) in [
      (1, 1, 1), (33, 14, 32), (70, 100, 45), (1100, 43, 33), (2300, 17, 300), (40, 200, 1300),
    ] {
      let w = normals(outputs * inputs, &random), dy = normals(rows * outputs, &random)
      let matrix = try PanelMatrix(.f32, outputs: outputs, inputs: inputs) { range, target in
        for (i, index) in (range.lowerBound * inputs..<range.upperBound * inputs).enumerated() { target[i] = w[index] }
      }
      guard let view = TransposedView(matrix) else { continue }  // its kernel is tested below on every CPU
      let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
      let dx = multiply(view, dy, rows: rows)
      #expect(error(dx, dy, turned, inputs: outputs, &random) < 3e-6, "\(rows) x \(outputs) x \(inputs)")
      let some = multiply(view, Array(dy[0..<(rows + 1) / 2 * outputs]), rows: (rows + 1) / 2)
      #expect(sameBits(some, dx.prefix(some.count)))
    }
  }

  @Test func gradientsOfInputsEqualPlainSumsOnEveryCPU() {
    var random = RandomGenerator(seed: 7)
    let outputs = 1057, inputs = 99, rows = 61
    let w = normals(outputs * inputs, &random), dy = normals(rows * outputs, &random)
    let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
    for level in cpuLevels {
      withCPU(level) {
        let panels = GuardedMemory<UInt8>(ck_weight_bytes(CK_WEIGHT_F32, outputs, inputs), of: 0, aligned: true)
        let packed = GuardedMemory<UInt8>(ck_weight_bytes(CK_WEIGHT_F32, rows, outputs), of: 0, aligned: true)
        ck_pack_weights(CK_WEIGHT_F32, outputs, inputs, w, inputs, panels.base)
        ck_pack_weights(CK_WEIGHT_F32, rows, outputs, dy, outputs, packed.base)
        let dx = GuardedMemory<Float>(rows * inputs, of: .nan)
        for low in [0, 42, 84] {
          let high = min(inputs, low + 42), sums = GuardedMemory<Float>(ck_back_scratch(rows, high - low), of: .nan)
          packed.base.withMemoryRebound(to: Float.self, capacity: 1) { packed in
            panels.base.withMemoryRebound(to: Float.self, capacity: 1) { panels in
              ck_multiply_back(rows, outputs, inputs, packed, panels, low, high, dx.base, inputs, sums.base)
            }
          }
        }
        #expect(error(dx.values, dy, turned, inputs: outputs, &random) < 3e-6, "level \(level)")
      }
    }
  }

  @Test func bf16RoundsToNearestEvenAndKeepsNaN() {
    let ulp = Float(bitPattern: 0x3f81_0000) - 1  // 2^-7
    let x: [Float] = [1, 1 + ulp / 2, 1 + ulp * 1.5, 1 + ulp * 0.51, -1 - ulp * 0.49, .infinity, -0.0]
    let expected: [Float] = [1, 1, 1 + 2 * ulp, 1 + ulp, -1, .infinity, -0.0]
    #expect(rounded(x) == expected)
    #expect(rounded([Float.nan])[0].isNaN)
  }

  static let formats: [GGMLType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_k, .q5_k, .q6_k]

  @Test func roundingMovesAValueByHalfAStepAtMost() {
    var random = RandomGenerator(seed: 5)
    let x = normals(640, &random)
    var q = [Int8](repeating: 0, count: 640), pairs = [Float](repeating: 0, count: 40)
    ck_quantize_row(640, x, &q, &pairs)
    for g in 0..<20 {
      let part = g * 32..<(g + 1) * 32, top = x[part].map(abs).max()!
      #expect(part.allSatisfy { abs(pairs[2 * g] * Float(q[$0]) - x[$0]) <= top / 254 * 1.001 })
      let sum = part.reduce(0) { $0 + Int(q[$1]) }
      #expect(pairs[2 * g + 1] == pairs[2 * g] * Float(sum))
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
