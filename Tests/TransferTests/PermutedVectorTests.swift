import Engine
import Testing
import Transfer

/// Two classes of prompts that differ by `gap` in every dimension, and the vector of their contrast.
private func contrast(
  _ positives: Int, _ negatives: Int, gap: Float, rowsEach: Int = 1
) throws -> (positive: [Tensor], negative: [Tensor], vector: SteeringVector) {
  let p = try (0..<positives).map { try Tensor.normal([rowsEach, 16], seed: 100 + $0) + gap }
  let n = try (0..<negatives).map { try Tensor.normal([rowsEach, 16], seed: 500 + $0) }
  let means = ActivationMeans(
    positive: try Tensor.concatenated(p).mean(dimension: 0), negative: try Tensor.concatenated(n).mean(dimension: 0))
  let origin = VectorOrigin(
    method: "mean_difference", model: ModelIdentity(name: "m", hash: "h"), maskedDimensions: [3])
  return (
    p, n, try SteeringVector(difference: means, site: .residPost, layer: 4, position: .index(-1), origin: origin)
  )
}

@Suite struct PermutedVectorTests {
  @Test func labelsAreShuffledAndMeansKept() throws {
    let (p, n, v) = try contrast(20, 20, gap: 2)
    let w = try v.permutedLike(positive: p, negative: n, seed: 1)
    let means = try #require(w.means)
    // Both means of as many prompts: their sum stays.
    #expect(
      try (means.positive + means.negative).allClose(
        #require(v.means).positive + #require(v.means).negative, atol: 1e-4))
    #expect(try w.direction.allClose((means.positive - means.negative).zeroing([3]), atol: 1e-6))
    #expect(w.direction.pointer[3] == 0 && w.layer == 4 && w.site == .residPost && w.position == .index(-1))
    #expect(w.origin.model == v.origin.model && w.origin.method == "random permuted" && w.origin.seed == 1)
    #expect(w.origin.positiveCount == 20 && w.norm < v.norm / 2)
    #expect(try v.permutedLike(positive: p, negative: n, seed: 1).direction.allClose(w.direction))
    #expect(try !v.permutedLike(positive: p, negative: n, seed: 2).direction.allClose(w.direction, atol: 1e-3))
    // It goes through a map as the vector does.
    let map = try AffineMap(weight: Tensor.normal([5, 16], seed: 9), bias: Tensor.normal([5], seed: 8))
    #expect(try map.row(means.positive).count == 5)
  }

  /// Ordinary ones keep a share of the contrast by chance; balanced ones keep none, however large it is.
  @Test func balancedDrawsHoldNothingOfTheContrast() throws {
    for (a, b) in [(20, 20), (9, 14)] {
      let (p, n, v) = try contrast(a, b, gap: 1000)
      var most = 0.0
      for seed in 0..<8 {
        let balanced = try v.permutedLike(positive: p, negative: n, balanced: true, seed: seed)
        // The gap is 1000; what is left is the noise of deviation 1.
        #expect(balanced.norm < 5 && balanced.norm > 0)
        most = max(most, try v.permutedLike(positive: p, negative: n, seed: seed).norm)
      }
      #expect(most > 100)
    }
  }

  /// The true labels are no draw, nor is their exchange: of 6 ways to part 2 and 2, four are left.
  @Test func theTrueLabelsAreNeverDrawn() throws {
    let (p, n, v) = try contrast(2, 2, gap: 100)
    for seed in 0..<40 { #expect(try v.permutedLike(positive: p, negative: n, seed: seed).norm < 50) }
    #expect(throws: EngineError.self) { try v.permutedLike(positive: [p[0]], negative: n, seed: 0) }
    #expect(throws: EngineError.self) {
      try v.permutedLike(positive: p, negative: [Tensor.zeros([1, 3])] + n, seed: 0)
    }
  }

  /// Rows of one prompt stay together.
  @Test func aPromptIsOneUnit() throws {
    let (_, n, v) = try contrast(2, 2, gap: 0)
    // Each prompt's rows are +k and -k, so that any grouping by prompt has mean 0.
    let p = try (1...3).map { k in
      try Tensor.concatenated([
        Tensor(repeating: Float(k), shape: [1, 16]), Tensor(repeating: -Float(k), shape: [1, 16]),
      ])
    }
    let zeros = try n.map { try $0 * 0 }
    for seed in 0..<5 { #expect(try v.permutedLike(positive: p, negative: zeros, seed: seed).norm < 1e-5) }
  }

  @Test func orthogonalDrawsHoldNoneOfTheVector() throws {
    let (p, n, v) = try contrast(20, 20, gap: 2)
    let own = try cosine(v.randomLike(activations: [Tensor.concatenated(p + n)], seed: 3).direction, v.direction)
    #expect(abs(own) > 0.3)
    let without = try v.randomLike(activations: [Tensor.concatenated(p + n)], seed: 3, orthogonal: true)
    #expect(try abs(cosine(without.direction, v.direction)) < 1e-5 && abs(without.norm / v.norm - 1) < 1e-5)
    #expect(try abs(cosine(v.randomLike(seed: 1, orthogonal: true).direction, v.direction)) < 1e-5)
  }
}
