import CKernels
import Foundation
import Testing

@testable import Engine

/// Products with packed quantised weights, on every set of instructions, between guard pages.
@Suite struct PackedBlockTests {
  private func pack(_ type: GGMLType, _ stored: [UInt8], rows: Int, inputs: Int) -> GuardedMemory<UInt8> {
    let panels = GuardedMemory<UInt8>(ck_block_bytes(type.rawValue, rows, inputs), of: 0, aligned: true)
    let panelBytes = ck_block_bytes(type.rawValue, 32, inputs), rowBytes = stored.count / rows
    for row in 0..<rows {
      let source = GuardedMemory<UInt8>(rowBytes, of: 0)
      for i in 0..<rowBytes { source.base[i] = stored[row * rowBytes + i] }
      ck_pack_block_row(type.rawValue, inputs, source.base, panels.base + row / 32 * panelBytes, row % 32)
    }
    return panels
  }

  private func multiply(
    _ type: GGMLType, _ panels: GuardedMemory<UInt8>, _ x: [Float], m: Int, rows: Int, inputs: Int
  ) -> [Float] {
    let source = GuardedMemory(x), packed = GuardedMemory<CChar>(m * inputs / 32 * Int(CK_ROUNDED_GROUP), of: 0)
    ck_round_rows(m, inputs, source.base, inputs, 0, ck_rounded_strips(m), packed.base)
    let y = GuardedMemory<Float>(m * rows, of: .nan)
    ck_multiply_blocks(type.rawValue, m, rows, inputs, packed.base, panels.base, y.base, rows)
    return y.values
  }

  /// The product from dequantised weights, in double.
  private func reference(_ type: GGMLType, _ stored: [UInt8], _ x: [Float], m: Int, rows: Int, inputs: Int) -> [Float] {
    let groups = inputs / 32
    var q = [Int8](repeating: 0, count: m * inputs), pairs = [Float](repeating: 0, count: 2 * m * groups)
    for r in 0..<m {
      q.withUnsafeMutableBufferPointer { q in
        pairs.withUnsafeMutableBufferPointer { pairs in
          ck_quantize_row(
            inputs, Array(x[r * inputs..<(r + 1) * inputs]), q.baseAddress! + r * inputs,
            pairs.baseAddress! + 2 * r * groups)
        }
      }
    }
    var y = [Float](repeating: 0, count: m * rows)
    ck_quantized_multiply_reference(type.rawValue, m, rows, inputs, q, pairs, stored, stored.count / rows, &y, rows)
    return y
  }

  private func dequantized(_ type: GGMLType, _ stored: [UInt8], _ count: Int) -> [Float] {
    var out = [Float](repeating: 0, count: count)
    _ = ck_dequantize(type.rawValue, stored, count, &out)
    return out
  }

  @Test(arguments: WeightMatrixTests.formats) func packingLosesNothing(type: GGMLType) {
    var random = RandomGenerator(seed: Int(type.rawValue))
    for (rows, inputs) in [(1, 256), (31, 512), (32, 768), (33, 256), (70, 1024)] {
      let stored = randomBlocks(type, rows: rows, inputs: inputs, &random)
      let panels = pack(type, stored, rows: rows, inputs: inputs)
      let panelBytes = ck_block_bytes(type.rawValue, 32, inputs), plain = dequantized(type, stored, rows * inputs)
      var row = [Float](repeating: 0, count: inputs)
      for o in 0..<rows {
        ck_unpack_block_row(type.rawValue, inputs, panels.base + o / 32 * panelBytes, o % 32, &row)
        #expect(sameBits(row, plain[o * inputs..<(o + 1) * inputs]), "output \(o) of \(rows) x \(inputs)")
      }
    }
  }

  @Test(arguments: WeightMatrixTests.formats) func productsEqualTheReferenceForEveryNumberOfRows(type: GGMLType) {
    var random = RandomGenerator(seed: 100 + Int(type.rawValue))
    for (rows, inputs) in [(1, 256), (45, 512), (32, 2048)] {
      let stored = randomBlocks(type, rows: rows, inputs: inputs, &random), x = normals(130 * inputs, &random)
      let panels = pack(type, stored, rows: rows, inputs: inputs)
      let plain = reference(type, stored, x, m: 130, rows: rows, inputs: inputs), scale = plain.map(abs).max()!
      var everywhere: [Float]?
      for level in cpuLevels {
        withCPU(level) {
          let all = multiply(type, panels, x, m: 130, rows: rows, inputs: inputs)
          // Exact within a group of 32; 64 groups at most are summed in float32.
          #expect(maxDifference("\(type.name) \(rows) x \(inputs) level \(level.rawValue)", all, plain) <= 3e-6 * scale)
          // All that have fused multiply-adds give the same.
          if level != CK_CPU_PORTABLE, ck_has_avx2() {
            if let everywhere { #expect(sameBits(all, everywhere)) }
            everywhere = all
          }
          for m in 1..<130 where inputs == 512 && level != CK_CPU_PORTABLE || m % 11 == 1 {
            let some = multiply(type, panels, x, m: m, rows: rows, inputs: inputs)
            #expect(sameBits(some, all.prefix(m * rows)), "\(type.name) level \(level) rows \(m)")
          }
        }
      }
    }
  }

  @Test(arguments: WeightMatrixTests.formats) func extremesStayExact(type: GGMLType) {
    let inputs = 512, rows = 33
    for byte: UInt8 in [0x00, 0x0f, 0xf0, 0x7f, 0x80, 0xff] {
      var random = RandomGenerator(seed: 3)
      var stored = randomBlocks(type, rows: rows, inputs: inputs, &random), (values, bytes) = type.block
      values = rows * inputs / values
      for block in 0..<values {  // every byte that is no half-precision scale
        for i in 0..<bytes where !scalePlaces(type).contains(i) { stored[block * bytes + i] = byte }
      }
      // Groups whose values all round to 127 or -127, a group of zeros, one of the smallest numbers.
      var x = (0..<5 * inputs).map { $0 % 64 < 32 ? Float(1) : -1 }
      for i in 0..<32 { x[inputs + i] = 0 }
      for i in 0..<32 { x[2 * inputs + 64 + i] = .leastNonzeroMagnitude * Float(i) }
      let plain = reference(type, stored, x, m: 5, rows: rows, inputs: inputs), scale = plain.map(abs).max()!
      let weights = dequantized(type, stored, rows * inputs).map(abs).max()!
      let panels = pack(type, stored, rows: rows, inputs: inputs)
      for level in cpuLevels {
        let y = withCPU(level) { multiply(type, panels, x, m: 5, rows: rows, inputs: inputs) }
        #expect(
          maxDifference("\(type.name) \(byte)", y, plain) <= 2e-6 * max(scale, weights * Float(inputs)),
          "byte \(byte) level \(level)")
      }
    }
  }

  @Test func roundingIsThatOfOneRow() {
    var random = RandomGenerator(seed: 9)
    let inputs = 96
    var x = normals(13 * inputs, &random)
    x[40] = .nan
    x[200] = .infinity
    x[300] = -700 * .leastNonzeroMagnitude
    for i in 320..<352 { x[i] = 0 }
    for level in cpuLevels { withCPU(level) { checkRounding(x, m: 13, inputs: inputs) } }
  }

  private func checkRounding(_ x: [Float], m: Int, inputs: Int) {
    let groups = inputs / 32, source = GuardedMemory(x), strips = ck_rounded_strips(m)
    let packed = GuardedMemory<CChar>(m * groups * Int(CK_ROUNDED_GROUP), of: 1)
    ck_round_rows(m, inputs, source.base, inputs, 0, strips, packed.base)
    for strip in 0..<strips {
      let low = m * strip / strips, count = m * (strip + 1) / strips - low
      for r in 0..<count {
        var q = [Int8](repeating: 0, count: inputs), pairs = [Float](repeating: 0, count: 2 * groups)
        ck_quantize_row(inputs, Array(x[((low + r) * inputs)..<((low + r + 1) * inputs)]), &q, &pairs)
        for g in 0..<groups {
          let place = UnsafeRawPointer(packed.base) + ((low * groups + g * count + r) * Int(CK_ROUNDED_GROUP))
          let head = place.loadUnaligned(as: ck_rounded.self), own = q[32 * g..<32 * g + 32]
          let bytes = (0..<32).map { place.load(fromByteOffset: 16 + $0, as: Int8.self) }
          #expect(bytes == Array(own) && sameBits([head.scale, head.sum], pairs[2 * g..<2 * g + 2]))
          let all = own.reduce(Int32(0)) { $0 + Int32($1) }, first = own.prefix(16).reduce(Int32(0)) { $0 + Int32($1) }
          #expect(head.all == -all && head.first == -first)
        }
      }
    }
  }

  @Test func aPoisonedGroupReachesItsRowAlone() {
    var random = RandomGenerator(seed: 10)
    let stored = randomBlocks(.q4_1, rows: 40, inputs: 64, &random)
    var x = normals(8 * 64, &random)
    x[5 * 64 + 33] = .nan
    let panels = pack(.q4_1, stored, rows: 40, inputs: 64)
    for level in cpuLevels {
      let y = withCPU(level) { multiply(.q4_1, panels, x, m: 8, rows: 40, inputs: 64) }
      for (i, value) in y.enumerated() { #expect(value.isNaN == (i / 40 == 5), "level \(level)") }
    }
  }
}
