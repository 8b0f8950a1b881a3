import CKernels
import Foundation
import Testing

@testable import Engine

/// What one row of attention may depend on.
@Suite struct AttentionRowTests {
  private struct Cache {
    let keys: GuardedMemory<Float>, values: GuardedMemory<Float>
    let capacity: Int, d: Int

    init(positions: Int, d: Int, keys plainKeys: [Float], values plainValues: [Float]) {
      capacity = (positions + 15) / 16 * 16
      self.d = d
      keys = GuardedMemory(d * capacity, of: 0)
      values = GuardedMemory(capacity * ((d + 15) / 16 * 16), of: 0)
      ck_store_head(positions, 0, d, capacity, plainKeys, plainValues, d, keys.base, values.base)
    }

    func attend(_ rule: ck_score_rule, _ q: [Float], rows: Int, groups: Int, first: Int) -> [Float] {
      var cache = ck_head_cache(keys: keys.base, values: values.base, capacity: capacity, d_head: d)
      let source = GuardedMemory(q), z = GuardedMemory<Float>(rows * groups * d, of: .nan)
      ck_attention(&cache, rule, rows, groups, first, source.base, groups * d, z.base, groups * d)
      return z.values
    }
  }

  @Test func aRowIsTheSameAloneAndInABlock() {
    var random = RandomGenerator(seed: 21)
    for (d, groups, first, rows, window, cap) in [
      (16, 1, 0, 70, 0, Float(0)), (40, 3, 250, 40, 0, 0), (64, 3, 700, 33, 300, 0), (80, 2, 5, 60, 20, 30),
      (128, 4, 511, 30, 0, 0), (256, 1, 90, 50, 64, 50), (64, 60, 3, 4, 0, 0),
    ] {
      let positions = first + rows
      let cache = Cache(
        positions: positions, d: d, keys: normals(positions * d, &random), values: normals(positions * d, &random))
      let q = normals(rows * groups * d, &random), width = groups * d
      let rule = ck_score_rule(scale: 1 / Float(d).squareRoot(), soft_cap: cap, window: window)
      for level in cpuLevels {
        withCPU(level) {
          let all = cache.attend(rule, q, rows: rows, groups: groups, first: first)
          for r in 0..<rows {
            let own = Array(q[r * width..<(r + 1) * width])
            let alone = cache.attend(rule, own, rows: 1, groups: groups, first: first + r)
            #expect(sameBits(alone, all[r * width..<(r + 1) * width]), "level \(level) d \(d) row \(r)")
          }
        }
      }
    }
  }

  @Test func oneVisibleKeyGivesItsValueAndEqualKeysTheirMean() {
    var random = RandomGenerator(seed: 22)
    let d = 48, values = normals(40 * d, &random)
    let cache = Cache(positions: 40, d: d, keys: [Float](repeating: 0.25, count: 40 * d), values: values)
    for level in cpuLevels {
      withCPU(level) {
        let q = normals(d, &random)
        let alone = cache.attend(ck_score_rule(scale: 1, soft_cap: 0, window: 1), q, rows: 1, groups: 1, first: 20)
        #expect(alone == Array(values[20 * d..<21 * d]))
        let mean = cache.attend(ck_score_rule(scale: 1, soft_cap: 0, window: 0), q, rows: 1, groups: 1, first: 39)
        for i in 0..<d {
          let expected = (0..<40).reduce(Float(0)) { $0 + values[$1 * d + i] } / 40
          #expect(abs(mean[i] - expected) < 1e-6)
        }
      }
    }
  }

  @Test func aQueryThatIsNotFiniteSpoilsItsRowAlone() {
    var random = RandomGenerator(seed: 23)
    let d = 32, rows = 30
    let cache = Cache(positions: rows, d: d, keys: normals(rows * d, &random), values: normals(rows * d, &random))
    var q = normals(rows * d, &random)
    q[9 * d + 3] = .nan
    q[17 * d] = .infinity
    for level in cpuLevels {
      withCPU(level) {
        let z = cache.attend(ck_score_rule(scale: 0.2, soft_cap: 0, window: 0), q, rows: rows, groups: 1, first: 0)
        for (i, value) in z.enumerated() { #expect(value.isNaN == (i / d == 9 || i / d == 17), "row \(i / d)") }
      }
    }
  }
}
