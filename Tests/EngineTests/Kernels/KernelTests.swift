import CKernels
import Foundation
import Testing

@testable import Engine

/// Fast kernels against the plain ones beside them, on random shapes.
struct KernelTests {
  @Test func blockedAttentionEqualsTheReference() {
    var random = RandomGenerator(seed: 1)
    for round in 0..<80 {
      let d = 2 * (1 + random.below(40)), groups = 1 + random.below(5)
      let first = random.below(random.below(4) == 0 ? 700 : 70), rows = 1 + random.below(120)
      let window = random.below(3) == 0 ? 1 + random.below(random.below(2) == 0 ? 40 : 400) : 0
      let capacity = (first + rows + 15) / 16 * 16
      func floats(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
      let plainKeys = floats(d * capacity), plainValues = floats(d * capacity), q = floats(rows * groups * d)
      var keys = [Float](repeating: 0, count: d * capacity)
      var values = [Float](repeating: 0, count: capacity * ((d + 15) / 16 * 16))
      ck_store_head(capacity, 0, d, capacity, plainKeys, plainValues, d, &keys, &values)
      let rule = ck_score_rule(
        scale: 0.3, soft_cap: random.below(2) == 0 ? 0 : 5, window: window)
      var fast = [Float](repeating: 0, count: q.count), plain = fast
      keys.withUnsafeBufferPointer { k in
        values.withUnsafeBufferPointer { v in
          var cache = ck_head_cache(keys: k.baseAddress, values: v.baseAddress, capacity: capacity, d_head: d)
          withCPU(cpuLevels[round % cpuLevels.count]) {
            ck_attention(&cache, rule, rows, groups, first, q, groups * d, &fast, groups * d)
          }
          ck_attention_reference(&cache, rule, rows, groups, first, q, groups * d, &plain, groups * d)
        }
      }
      let worst = zip(fast, plain).map { abs($0 - $1) }.max() ?? 0
      // Sums of up to 820 products of normals in float32, values of size 1 to 4.
      #expect(worst < 2e-5, "d \(d) groups \(groups) first \(first) rows \(rows) window \(window)")
    }
  }

  @Test func gatesEqualTheReference() {
    var random = RandomGenerator(seed: 2)
    let edge: [Float] = [0, -0.0, 1e-8, -1e-8, 0.05, 0.1, -0.1, 20, -20, 100, -100, 1e4, -1e4]
    let gate = edge + (0..<3000).map { _ in Float(random.normal()) * 4 }
    let up = gate.map { _ in Float(random.normal()) }
    for activation in [CK_SILU, CK_GELU_TANH, CK_GELU, CK_RELU] {
      var fast = [Float](repeating: 0, count: gate.count), plain = fast
      ck_gated(1, gate.count, gate, gate.count, up, gate.count, &fast, gate.count, activation)
      ck_gated_reference(1, gate.count, gate, gate.count, up, gate.count, &plain, gate.count, activation)
      for (i, (a, b)) in zip(fast, plain).enumerated() {
        #expect(abs(a - b) <= 2e-6 * max(1, abs(gate[i] * up[i])), "gate \(gate[i]) up \(up[i])")
      }
      ck_gated(1, gate.count, gate, gate.count, nil, 0, &fast, gate.count, activation)
      ck_gated_reference(1, gate.count, gate, gate.count, nil, 0, &plain, gate.count, activation)
      for (i, (a, b)) in zip(fast, plain).enumerated() {
        #expect(abs(a - b) <= 2e-6 * max(1, abs(gate[i])), "\(activation) of \(gate[i])")
      }
    }
  }

  @Test func theDivergenceOfEqualLogitsIsZeroAndOfKnownOnesIsKnown() {
    let p: [Float] = [1, 2, 3, 4], q: [Float] = [4, 1, 0, 2]
    func softmax(_ x: [Float]) -> [Double] {
      let e = x.map { exp(Double($0)) }
      return e.map { $0 / e.reduce(0, +) }
    }
    let expected = zip(softmax(p), softmax(q)).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
    #expect(abs(ck_divergence(4, p, q) - expected) < 1e-6)
    #expect(ck_divergence(4, p, p) == 0)
  }
}
