import CKernels
import Foundation
import Testing

@testable import Engine

/// Products with packed float32 and bf16 weights, on every set of instructions, between guard pages.
@Suite struct PackedWeightTests {
  private let types: [ck_weight_type] = [CK_WEIGHT_F32, CK_WEIGHT_BF16]

  private func pack(_ type: ck_weight_type, _ w: [Float], outputs: Int, inputs: Int) -> GuardedMemory<UInt8> {
    let panels = GuardedMemory<UInt8>(ck_weight_bytes(type, outputs, inputs), of: 0xff, aligned: true)
    let source = GuardedMemory(w)
    ck_pack_weights(type, outputs, inputs, source.base, inputs, panels.base)
    return panels
  }

  /// y `[m, outputs]` at distance `ldy` from rows at distance `ldx`; what lies between the rows of y must not change.
  private func multiply(
    _ type: ck_weight_type, _ panels: GuardedMemory<UInt8>, _ x: [Float], m: Int, outputs: Int, inputs: Int,
    gap: Int = 0,
    adding start: Float? = nil
  ) -> [Float] {
    let ldx = inputs + gap, ldy = outputs + gap
    let rows = GuardedMemory<Float>((m - 1) * ldx + inputs, of: .nan)
    for r in 0..<m { for i in 0..<inputs { rows.base[r * ldx + i] = x[r * inputs + i] } }
    let packed = GuardedMemory<Float>(m * ck_packed_row(type, inputs), of: .nan)
    ck_pack_rows(type, m, inputs, rows.base, ldx, 0, ck_strips(type, m), packed.base)
    let y = GuardedMemory<Float>((m - 1) * ldy + outputs, of: start ?? 7)
    ck_multiply_packed(type, m, outputs, inputs, packed.base, panels.base, y.base, ldy, start == nil ? 0 : 1)
    for r in 0..<m - 1 { for i in 0..<gap where y.base[r * ldy + outputs + i] != start ?? 7 { return [] } }
    return (0..<m).flatMap { r in (0..<outputs).map { y.base[r * ldy + $0] } }
  }

  private func reference(
    _ type: ck_weight_type, _ panels: GuardedMemory<UInt8>, _ x: [Float], m: Int, outputs: Int, inputs: Int,
    start: Float
  ) -> [Float] {
    var y = [Float](repeating: start, count: m * outputs)
    ck_multiply_weights_reference(type, m, outputs, inputs, x, inputs, panels.base, &y, outputs, 1)
    return y
  }

  @Test func productsEqualPlainSumsOnEveryCPU() {
    var random = RandomGenerator(seed: 11)
    for (inputs, widths) in [
      (1, [1, 33]), (2, [31]), (31, [16, 96]), (32, [32]), (576, [1, 96]), (2049, [33]), (4097, [31]),
    ] {
      for outputs in widths {
        let w = normals(outputs * inputs, &random), x = normals(41 * inputs, &random)
        for type in types {
          for level in cpuLevels {
            withCPU(level) {
              let panels = pack(type, w, outputs: outputs, inputs: inputs)
              for m in [1, 2, 3, 5, 6, 7, 13, 14, 15, 29, 41] {
                let plain = reference(type, panels, x, m: m, outputs: outputs, inputs: inputs, start: 0.5)
                let y = multiply(
                  type, panels, x, m: m, outputs: outputs, inputs: inputs, gap: m % 3 * 5, adding: 0.5)
                // k additions each round by up to 6e-8 of a sum that has grown to the root of their number: together
                // by the root of their number again.
                let limit = 1.5e-7 * Float(inputs + 30)
                #expect(
                  y.count == plain.count && zip(y, plain).allSatisfy { abs($0 - $1) <= limit },
                  "\(type) level \(level) \(m) x \(outputs) x \(inputs)")
              }
            }
          }
        }
      }
    }
  }

  @Test func aRowIsTheSameWhateverRowsStandBesideIt() {
    var random = RandomGenerator(seed: 12)
    for (outputs, inputs) in [(40, 65), (33, 2100)] {
      let w = normals(outputs * inputs, &random), x = normals(130 * inputs, &random)
      for type in types {
        for level in cpuLevels {
          withCPU(level) {
            let panels = pack(type, w, outputs: outputs, inputs: inputs)
            let all = multiply(type, panels, x, m: 130, outputs: outputs, inputs: inputs)
            for m in 1..<130 where inputs < 1000 || m % 9 == 1 {
              let some = multiply(type, panels, x, m: m, outputs: outputs, inputs: inputs)
              #expect(sameBits(some, all.prefix(m * outputs)), "\(type) level \(level) rows \(m)")
              // The same row last of another block.
              let moved = Array(x[(130 - m) * inputs..<130 * inputs])
              let last = multiply(type, panels, moved, m: m, outputs: outputs, inputs: inputs).suffix(outputs)
              #expect(sameBits(last, all.suffix(outputs)), "\(type) level \(level) last of \(m)")
            }
          }
        }
      }
    }
  }

  @Test func aSliceOfPanelsGivesTheSameNumbers() {
    var random = RandomGenerator(seed: 13)
    let outputs = 130, inputs = 70, m = 17
    let w = normals(outputs * inputs, &random), x = normals(m * inputs, &random)
    for type in types {
      let whole = multiply(
        type, pack(type, w, outputs: outputs, inputs: inputs), x, m: m, outputs: outputs, inputs: inputs)
      let part = multiply(
        type, pack(type, Array(w[64 * inputs..<100 * inputs]), outputs: 36, inputs: inputs), x, m: m, outputs: 36,
        inputs: inputs)
      for r in 0..<m {
        #expect(sameBits(whole[r * outputs + 64..<r * outputs + 100], part[r * 36..<(r + 1) * 36]))
      }
    }
  }

  @Test func bf16PairsAreTwoFusedMultiplyAddsOddFirst() {
    var random = RandomGenerator(seed: 14)
    let outputs = 50, inputs = 333, m = 9
    let w = normals(outputs * inputs, &random), x = normals(m * inputs, &random)
    func rounded(_ values: [Float]) -> [Float] {
      var halves = [UInt16](repeating: 0, count: values.count)
      ck_encode_bf16(values, values.count, &halves)
      return halves.map { Float(bitPattern: UInt32($0) << 16) }
    }
    let a = rounded(x), b = rounded(w)
    let expected = (0..<m * outputs).map { place -> Float in
      let row = place / outputs * inputs, output = place % outputs * inputs
      var sum: Float = 0
      for i in stride(from: 0, to: inputs, by: 2) {
        if i + 1 < inputs { sum.addProduct(a[row + i + 1], b[output + i + 1]) }
        sum.addProduct(a[row + i], b[output + i])
      }
      return sum
    }
    for level in cpuLevels where level != CK_CPU_PORTABLE && ck_has_avx2() {  // without FMA each product rounds
      withCPU(level) {
        let panels = pack(CK_WEIGHT_BF16, w, outputs: outputs, inputs: inputs)
        let y = multiply(CK_WEIGHT_BF16, panels, x, m: m, outputs: outputs, inputs: inputs)
        #expect(sameBits(y, expected), "level \(level)")
      }
    }
  }

  @Test func packingLosesNothingAndSetsTheRestToZero() {
    var random = RandomGenerator(seed: 15)
    for (outputs, inputs) in [(1, 1), (31, 7), (33, 40), (96, 33), (17, 64)] {
      var w = normals(outputs * inputs, &random)
      w[0] = .nan
      w[w.count - 1] = -.infinity
      w[w.count / 2] = 700 * .leastNonzeroMagnitude
      for type in types {
        for level in cpuLevels {
          withCPU(level) {
            let panels = pack(type, w, outputs: outputs, inputs: inputs)
            var row = [Float](repeating: 0, count: inputs)
            for o in 0..<(outputs + 31) / 32 * 32 {
              ck_unpack_weights(type, inputs, panels.base, o, &row)
              guard o < outputs else {
                #expect(row.allSatisfy { $0 == 0 })
                continue
              }
              var expected = Array(w[o * inputs..<(o + 1) * inputs])
              if type == CK_WEIGHT_BF16 {
                var halves = [UInt16](repeating: 0, count: inputs)
                ck_encode_bf16(expected, inputs, &halves)
                expected = halves.map { Float(bitPattern: UInt32($0) << 16) }
              }
              #expect(sameBits(row, expected), "\(type) level \(level) output \(o) of \(outputs) x \(inputs)")
            }
            // The transpose packs to the same panels.
            let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
            let columns = GuardedMemory<UInt8>(panels.count, of: 0xee, aligned: true)
            for first in stride(from: 0, to: inputs, by: 6) {
              ck_pack_weight_columns(
                type, first, min(6, inputs - first), outputs, Array(turned[(first * outputs)...]), outputs, inputs,
                columns.base)
            }
            #expect(columns.values == panels.values)
          }
        }
      }
    }
  }

  @Test func valuesThatAreNotFiniteReachTheirRowAlone() {
    var x = [Float](repeating: 1, count: 20 * 64)
    x[3 * 64 + 5] = .nan
    x[7 * 64 + 63] = .infinity
    let w = [Float](repeating: 0.5, count: 40 * 64)
    for type in types {
      for level in cpuLevels {
        withCPU(level) {
          let y = multiply(type, pack(type, w, outputs: 40, inputs: 64), x, m: 20, outputs: 40, inputs: 64)
          for (i, value) in y.enumerated() {
            switch i / 40 {
            case 3: #expect(value.isNaN)
            case 7: #expect(value == .infinity)
            default: #expect(value == 32)
            }
          }
        }
      }
    }
  }
}
