import Engine
import Foundation
import Testing

@Suite struct TensorReductionTests {
  @Test func reductionsAgreeWithDoubleLoops() throws {
    let x = try Tensor.normal([7, 300, 11], seed: 1)
    let values = x.values.map(Double.init)
    // Double sums of the same Floats: only the order differs, 1e-12 of the sum of magnitudes.
    #expect(abs(x.sum() - values.reduce(0, +)) < 1e-9)
    #expect(abs(x.norm() - values.map { $0 * $0 }.reduce(0, +).squareRoot()) < 1e-9)
    #expect(try x.maximum() == x.values.max())
    #expect(try x.minimum() == x.values.min())
    for dimension in 0..<3 {
      let sum = try x.sum(dimension: dimension), largest = try x.maximum(dimension: dimension)
      let places = try x.argmax(dimension: dimension)
      let size = x.shape[dimension], inner = x.shape[(dimension + 1)...].reduce(1, *)
      #expect(sum.shape == x.shape.enumerated().filter { $0.offset != dimension }.map(\.element))
      for i in 0..<sum.count {
        let start = i / inner * size * inner + i % inner
        let column = (0..<size).map { values[start + $0 * inner] }
        #expect(abs(Double(sum.pointer[i]) - column.reduce(0, +)) < 1e-5)
        #expect(Double(largest.pointer[i]) == column.max())
        #expect(column[places[i]] == column.max())
      }
    }
    #expect(try x.mean(dimension: -1).allClose(x.sum(dimension: 2) / 11, atol: 1e-6))
  }

  /// A running sum of ones in Float would stop at 2^24.
  @Test func sumsAreAccumulatedInDouble() throws {
    let ones = try Tensor(repeating: 1, shape: [20_000_001])
    #expect(ones.sum() == 20_000_001)
    #expect(try Tensor([1e8, 1, -1e8]).sum() == 1)
  }

  @Test func extremesKeepNaNAndTheFirstOfEquals() throws {
    #expect(try Tensor([1, 3, 3]).argmax() == 1)
    #expect(try Tensor([1, .nan, 3]).maximum().isNaN)
    #expect(try Tensor([.nan, 1]).minimum().isNaN)
    #expect(try Tensor([-.infinity, -.infinity]).argmax() == 0)
  }

  @Test func softmaxRowsSumToOneAndDoNotOverflow() throws {
    let x = try Tensor([1000, 1001, 1002, -1000, -1000, -.infinity], shape: [2, 3])
    let p = try x.softmax()
    // exp in float32: 1e-6 relative.
    #expect(abs(Double(p.pointer[2]) - 0.66524096) < 1e-6)
    #expect(p.pointer[3] == 0.5 && p.pointer[5] == 0)
    #expect(try abs(x.transposed().softmax(dimension: 0).transposed().maximumDifference(p)) == 0)
    #expect(try Tensor([1, .nan]).softmax().nanCount() == 2)
  }

  @Test func topkIsStableAndPutsNaNLast() throws {
    let (values, indices) = try Tensor([1, 5, .nan, 5, 2]).topk(5)
    #expect(indices == [1, 3, 4, 0, 2] && values.pointer[0] == 5 && values.pointer[4].isNaN)
    let long = try Tensor.normal([2, 5000], seed: 9)
    let expected = (0..<5000).sorted { (-long.pointer[5000 + $0], $0) < (-long.pointer[5000 + $1], $1) }
    #expect(try Array(long.topk(7).indices[7...]) == Array(expected.prefix(7)))
    #expect(try Array(long.topk(3000).indices[3000...]) == Array(expected.prefix(3000)))
    #expect(throws: EngineError.self) { try long.topk(0) }
    #expect(throws: EngineError.self) { try long.topk(5001) }
  }

  /// Reference output of SplitMix64 for seed 1234567 (Rosetta Code, from Vigna's C).
  @Test func theGeneratorIsSplitMix64() {
    var generator = RandomGenerator(seed: 1_234_567)
    #expect((0..<3).map { _ in generator.next() } == [6457827717110365317, 3203168211198807973, 9817491932198370423])
  }

  /// Standard errors of mean and variance over a million draws are 0.001 and 0.0014; five of them are allowed.
  @Test func normalsHaveTheirMomentsAndSeedsTheirStreams() throws {
    let x = try Tensor.normal([1_000_000], seed: 0)
    #expect(abs(try x.mean()) < 0.005)
    #expect(abs(x.norm() * x.norm() / 1e6 - 1) < 0.007)
    #expect(try Tensor.normal([8], seed: 5).values == Tensor.normal([8], seed: 5).values)
    #expect(try Tensor.normal([8], seed: 5).values != Tensor.normal([8], seed: 6).values)
    let lag = try (x.rows(0..<999_999) * x.rows(1..<1_000_000)).mean()
    #expect(abs(lag) < 0.005)
    var generator = RandomGenerator(seed: 1)
    #expect(generator.permutation(1000).sorted() == Array(0..<1000))
    let counts = (0..<60_000).reduce(into: [0, 0, 0]) { counts, _ in counts[generator.below(3)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 20_000) < 600 })
    let u = try Tensor.uniform([10_000], in: -2..<3, seed: 1)
    #expect(try u.minimum() >= -2 && u.maximum() < 3 && abs(u.mean() - 0.5) < 0.08)
  }
}
