import CKernels
import Foundation

/// Chooses the next token of one sequence from its logits.
struct Sampler {
  private let temperature: Double
  private let topK: Int?
  private let topP: Double?
  private var random: RandomGenerator

  init(_ options: GenerationOptions, seed: Int) {
    temperature = options.temperature
    topK = options.topK
    topP = options.topP
    random = RandomGenerator(seed: seed)
  }

  /// Greedy at temperature 0; else a draw from the softmax of logits / temperature, cut to the `topK` likeliest and
  /// then to the smallest set that holds `topP` of the probability (Holtzman et al. 2020).
  mutating func next(_ logits: UnsafePointer<Float>, count: Int) -> Int {
    guard temperature > 0 else { return ck_argmax(count, logits) }
    let u = random.uniform()
    let top = Double(logits[ck_argmax(count, logits)])
    guard topK != nil || topP != nil else {
      var sum = 0.0
      for i in 0..<count { sum += exp((Double(logits[i]) - top) / temperature) }
      var rest = u * sum
      for i in 0..<count {
        rest -= exp((Double(logits[i]) - top) / temperature)
        if rest < 0 { return i }
      }
      return ck_argmax(count, logits)
    }
    var total = 0.0
    if topK == nil { for i in 0..<count { total += exp((Double(logits[i]) - top) / temperature) } }
    var candidates = likeliest(logits, count: count, top: top, mass: (topP ?? 1) * total)
    if let topK { candidates = Array(candidates.prefix(topK)) }
    if topK != nil { total = candidates.reduce(0) { $0 + $1.weight } }
    if let topP {
      var sum = 0.0, kept = 0
      for candidate in candidates {
        sum += candidate.weight
        kept += 1
        if sum >= topP * total { break }
      }
      candidates = Array(candidates.prefix(kept))
      total = sum
    }
    var rest = u * total
    for candidate in candidates {
      rest -= candidate.weight
      if rest < 0 { return candidate.id }
    }
    return candidates.last?.id ?? 0
  }

  /// The likeliest tokens by falling weight exp((logit - top) / temperature), ties by id: at least `topK`, or as many
  /// as together weigh `mass`. Sorting is what costs, so only logits near the top are looked at, and more where these
  /// do not suffice; below e^-28 of the likeliest nothing is ever drawn.
  private func likeliest(
    _ logits: UnsafePointer<Float>, count: Int, top: Double, mass: Double
  ) -> [(id: Int, weight: Double)] {
    var found: [(id: Int, weight: Double)] = []
    for depth in [4.0, 8, 14, 28] {
      found.removeAll(keepingCapacity: true)
      let limit = Float(top - depth * temperature)
      var sum = 0.0
      for i in 0..<count where logits[i] >= limit {
        let weight = exp((Double(logits[i]) - top) / temperature)
        found.append((i, weight))
        sum += weight
      }
      if let topK { if found.count >= topK { break } } else if sum >= mass { break }
    }
    return found.sorted { $0.weight != $1.weight ? $0.weight > $1.weight : $0.id < $1.id }
  }
}
