import Engine
import Testing

@Suite struct TensorArithmeticTests {
  @Test func broadcastingFollowsNumPy() throws {
    let matrix = try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
    #expect(try (matrix + Tensor([10, 20, 30])).values == [11, 22, 33, 14, 25, 36])
    #expect(try (matrix * Tensor([2, 3], shape: [2, 1])).values == [2, 4, 6, 12, 15, 18])
    #expect(try (Tensor([1, 2], shape: [2, 1]) - Tensor([1, 2, 3])).values == [0, -1, -2, 1, 0, -1])
    #expect(try (Tensor([6], shape: []) / matrix).shape == [2, 3])
    #expect(try (1 - matrix).values == [0, -1, -2, -3, -4, -5])
    #expect(try (matrix / 2).values == [0.5, 1, 1.5, 2, 2.5, 3])
    #expect(try (-matrix).values == [-1, -2, -3, -4, -5, -6])
  }

  /// Against the definition, entry by entry, on every pattern of repeated dimensions and above the parallel threshold.
  @Test func everyPatternOfRepeatedDimensionsEqualsTheDefinition() throws {
    let full = [3, 4, 5]
    for pattern in 0..<64 {
      let left = full.indices.map { pattern >> $0 & 1 == 1 ? 1 : full[$0] }
      let right = full.indices.map { pattern >> (3 + $0) & 1 == 1 ? 1 : full[$0] }
      let a = try Tensor.normal(left, seed: pattern), b = try Tensor.normal(right, seed: 100 + pattern)
      let c = try a - b
      for i in 0..<c.shape[0] {
        for j in 0..<c.shape[1] {
          for k in 0..<c.shape[2] {
            func at(_ t: Tensor) -> Float {
              let s = t.shape
              return t.pointer[((s[0] == 1 ? 0 : i) * s[1] + (s[1] == 1 ? 0 : j)) * s[2] + (s[2] == 1 ? 0 : k)]
            }
            #expect(at(c) == at(a) - at(b))
          }
        }
      }
    }
    let large = try Tensor.normal([700, 301], seed: 1), row = try Tensor.normal([301], seed: 2)
    let sum = try large + row
    for place in [0, 300, 301, 100_000, 210_699] {
      #expect(sum.pointer[place] == large.pointer[place] + row.pointer[place % 301])
    }
  }

  @Test func shapesThatDoNotBroadcastAreNamed() throws {
    let a = try Tensor.zeros([2, 3]), b = try Tensor.zeros([2, 4])
    let error = #expect(throws: EngineError.self) { try a + b }
    #expect(error?.kind == .shape)
    #expect(error?.message == "add: shapes [2, 3] and [2, 4] do not broadcast")
  }

  @Test func emptyTensorsPassThrough() throws {
    let empty = try Tensor.zeros([0, 3])
    #expect(try (empty + Tensor([1, 2, 3])).shape == [0, 3])
    #expect(empty.sum() == 0)
    #expect(throws: EngineError.self) { try empty.mean() }
    #expect(throws: EngineError.self) { try empty.maximum() }
    #expect(try empty.matmul(Tensor.zeros([3, 2])).shape == [0, 2])
    #expect(try Tensor.zeros([2, 0]).matmul(Tensor.zeros([0, 2])).values == [0, 0, 0, 0])
  }

  @Test func allcloseTakesNaNAndInfinityAsNumPyDoes() throws {
    let infinite = try Tensor([.infinity, 1]), nan = try Tensor([.nan, 1])
    #expect(try infinite.allClose(infinite))
    #expect(try !nan.allClose(nan))
    #expect(try !infinite.allClose(Tensor([1, 1])) && !Tensor([1, 1]).allClose(infinite))
    #expect(try Tensor([100.001]).allClose(Tensor([100])))
    #expect(try !Tensor([100.01]).allClose(Tensor([100])))
    #expect(throws: EngineError.self) { try nan.allClose(Tensor([1])) }
  }
}
