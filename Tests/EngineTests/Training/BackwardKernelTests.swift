import CKernels
import Foundation
import Testing

@testable import Engine

/// Kernels of gradients against plain loops and finite differences, on random shapes.
@Suite struct BackwardKernelTests {
  @Test func transposedProductsEqualPlainSums() throws {
    var generator = RandomGenerator(seed: 8), worst: Float = 0
    let workspace = Workspace()
    for trial in 0..<40 {
      let (k, m, n) = (1 + generator.below(600), 1 + generator.below(50), 1 + generator.below(70))
      let x = try Tensor.normal([k, m], seed: trial), b = try Tensor.normal([k, n], seed: 100 + trial)
      let start = try Tensor.normal([m, n], seed: 200 + trial), adding = trial % 2 == 0
      let panels = try Tensor(uninitialized: [PanelProduct.panelFloats(inputs: k, columns: n)])
      PanelProduct.packColumns(b.pointer, rows: k, columns: n, ldx: n, into: panels.mutablePointer)
      let y = try start.cloned()
      PanelProduct.multiplyTransposed(
        x.pointer, rows: k, m: m, ldx: m, panels: panels.pointer, columns: n, into: y.mutablePointer, ldy: n,
        adding: adding)
      let packed = try start.cloned()
      try TransposedProduct(b.pointer, rows: k, columns: n, ldx: n, workspace: workspace)
        .multiply(x.pointer, m: m, lddy: m, into: packed.mutablePointer, ldy: n, adding: adding)
      #expect(maxDifference("packed and not", packed.values, y.values) < 5e-4)
      for i in 0..<m {
        for j in 0..<n {
          var sum = adding ? Double(start.pointer[i * n + j]) : 0
          for r in 0..<k { sum += Double(x.pointer[r * m + i]) * Double(b.pointer[r * n + j]) }
          worst = max(worst, abs(Float(sum) - y.pointer[i * n + j]))
        }
      }
    }
    print("transposed products max|diff|", worst)
    #expect(worst < 5e-4)  // 600 float32 products of size 1
  }

  @Test(arguments: [(0, 0.0), (5, 0.0), (0, 2.0), (7, 3.0)])
  func attentionGradientsAgreeWithFiniteDifferences(window: Int, cap: Double) throws {
    var generator = RandomGenerator(seed: 2)
    for (rows, groups, d) in [(1, 1, 8), (7, 2, 8), (33, 3, 20), (70, 1, 16)] {
      let width = (groups + 2) * d, zWidth = groups * d
      let rule = ck_score_rule(scale: 0.3, soft_cap: Float(cap), window: window)
      let qkv = try Tensor.normal([rows, width], seed: generator.below(1000)),
        dz = try Tensor.normal([rows, zWidth], seed: 3)
      // Double precision and plainly, so that differences are exact enough.
      func attention(_ x: [Double]) -> [Double] {
        var z = [Double](repeating: 0, count: rows * zWidth)
        for row in 0..<rows {
          for g in 0..<groups {
            let low = window > 0 ? max(0, row + 1 - window) : 0
            var scores = (low...row).map { key in
              (0..<d).reduce(0.0) { $0 + x[row * width + g * d + $1] * x[key * width + zWidth + $1] }
                * Double(rule.scale)
            }
            if cap > 0 { scores = scores.map { cap * tanh($0 / cap) } }
            let top = scores.max()!, sum = scores.reduce(0) { $0 + exp($1 - top) }
            for (i, key) in (low...row).enumerated() {
              let p = exp(scores[i] - top) / sum
              for j in 0..<d { z[row * zWidth + g * d + j] += p * x[key * width + zWidth + d + j] }
            }
          }
        }
        return z
      }
      let x = qkv.values.map(Double.init), z = try Tensor(attention(x).map { Float($0) }, shape: [rows, zWidth])
      let dx = try Tensor(uninitialized: [rows, width])
      var scratch = [Float](repeating: 0, count: ck_attention_backward_scratch(rows, groups, d))
      ck_attention_backward(
        rows, groups, d, rule, qkv.pointer, qkv.pointer + zWidth, qkv.pointer + zWidth + d, width, z.pointer,
        dz.pointer,
        zWidth, dx.mutablePointer, dx.mutablePointer + zWidth, dx.mutablePointer + zWidth + d, width, &scratch)
      for _ in 0..<30 {
        let place = generator.below(x.count), step = 1e-5
        var (up, down) = (x, x)
        up[place] += step
        down[place] -= step
        let (a, b) = (attention(up), attention(down))
        let measured = zip(zip(a, b), dz.values).reduce(0.0) { $0 + ($1.0.0 - $1.0.1) * Double($1.1) } / (2 * step)
        #expect(abs(measured - Double(dx.pointer[place])) < 1e-4 + 1e-4 * abs(measured), "\(rows) \(groups) \(place)")
      }
    }
  }

  @Test func gatedActivationsAgreeWithFiniteDifferences() {
    for activation in [CK_SILU, CK_GELU_TANH, CK_GELU, CK_RELU] {
      for i in -40...40 {
        let x = Float(i) * 0.15 + 0.01, up: Float = 1.7, dy: Float = 0.8
        var (gate, u, y, dg, du) = (x, up, Float(0), Float(0), Float(0)), out = dy
        ck_gated_backward(1, 1, &gate, &u, 1, &out, 1, &dg, &du, 1, activation)
        func value(_ x: Float) -> Float {
          var (g, u) = (x, up)
          ck_gated(1, 1, &g, 1, &u, 1, &y, 1, activation)
          return y
        }
        let measured = dy * (value(x + 0.01) - value(x - 0.01)) / 0.02
        #expect(abs(dg - measured) < 2e-3, "\(activation) at \(x)")  // the third derivative times 1e-4
        #expect(abs(du - dy * value(x) / up) < 1e-5)
      }
    }
  }

  @Test func normsAgreeWithFiniteDifferences() throws {
    let d = 37, x = try Tensor.normal([d], seed: 1), weight = try Tensor.normal([d], seed: 2),
      dy = try Tensor.normal([d], seed: 3)
    let bias = try Tensor.normal([d], seed: 4)
    for isLayer in [false, true] {
      func value(_ x: [Float]) -> Double {
        var y = [Float](repeating: 0, count: d)
        if isLayer {
          ck_layer_norm(1, d, x, d, weight.pointer, bias.pointer, 1e-5, &y, d)
        } else {
          ck_rms_norm(1, d, x, d, weight.pointer, 1e-5, &y, d)
        }
        return zip(y, dy.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
      var dx = [Float](repeating: 1, count: d), dw = [Float](repeating: 0, count: d), db = dw
      if isLayer {
        ck_layer_norm_backward(1, d, x.pointer, d, weight.pointer, 1e-5, dy.pointer, d, &dx, d, true, &dw, &db)
        #expect(db == dy.values)
      } else {
        ck_rms_norm_backward(1, d, x.pointer, d, weight.pointer, 1e-5, dy.pointer, d, &dx, d, true, &dw)
      }
      for i in 0..<d {
        var (up, down) = (x.values, x.values)
        up[i] += 0.01
        down[i] -= 0.01
        let measured = (value(up) - value(down)) / 0.02
        #expect(abs(measured - Double(dx[i] - 1)) < 1e-3)  // added to the ones that were there
      }
    }
  }

  @Test func crossEntropyIsSoftmaxMinusTarget() {
    var logits: [Float] = (0..<50).map { 0.3 * sin(Float($0)) * 9 }
    let before = logits, sum = before.reduce(0.0) { $0 + exp(Double($1)) }
    let loss = ck_cross_entropy_backward(50, &logits, 7, 0.25, 0)
    #expect(abs(loss - (log(sum) - Double(before[7]))) < 1e-5)
    for i in 0..<50 {
      let expected = 0.25 * (exp(Double(before[i])) / sum - (i == 7 ? 1 : 0))
      #expect(abs(Double(logits[i]) - expected) < 1e-6)
    }
  }

  @Test func dropoutKeepsTheMeanAndRepeatsItself() {
    let x = [Float](repeating: 1, count: 20_000)
    var (a, b) = (x, x)
    ck_dropout(x.count, x, &a, 11, 0, 0.3)
    ck_dropout(1000, x, &b, 11, 5000, 0.3)
    #expect(Array(b[..<1000]) == Array(a[5000..<6000]))
    #expect(abs(a.reduce(0, +) / 20_000 - 1) < 0.02)  // 6 standard errors of 0.0046 would be 0.028
    #expect(abs(Double(a.count { $0 == 0 }) / 20_000 - 0.3) < 0.02)
  }
}
