import Foundation
import Testing

@testable import Engine

/// The sampler looks at the likeliest tokens only; the plain rule sorts all of them.
@Suite struct SamplerTests {
  private func plain(_ logits: [Float], _ options: GenerationOptions, u: Double) -> Int {
    let top = Double(logits.max()!)
    var all = logits.enumerated().map { (id: $0, weight: exp((Double($1) - top) / options.temperature)) }
    all.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.id < $1.id }
    if let topK = options.topK { all = Array(all.prefix(topK)) }
    if let topP = options.topP {
      let total = all.reduce(0) { $0 + $1.weight }
      var sum = 0.0
      let last =
        all.firstIndex {
          sum += $0.weight; return sum >= topP * total
        } ?? all.count - 1
      all = Array(all[...last])
    }
    var rest = u * all.reduce(0) { $0 + $1.weight }
    for (id, weight) in all {
      rest -= weight
      if rest < 0 { return id }
    }
    return all.last!.id
  }

  @Test func cutsAreThoseOfTheWholeSortedVocabulary() {
    var generator = RandomGenerator(seed: 5), differing = 0, draws = 0
    for round in 0..<400 {
      let count = 1 + generator.below(3000), spread = [0.0, 0.1, 1, 3, 10][round % 5]
      let logits = (0..<count).map { _ in Float((spread * (generator.uniform() * 8)).rounded(.down) / 2) }  // with ties
      var options = GenerationOptions()
      options.temperature = [0.3, 1, 4][round % 3]
      options.topK = round % 4 < 2 ? [1, 5, 40, 5000][round / 4 % 4] : nil
      options.topP = round % 4 > 0 ? [0.05, 0.5, 0.95, 1][round / 7 % 4] : nil
      if options.topK == nil, options.topP == nil { continue }
      for seed in 0..<5 {
        var sampler = Sampler(options, seed: seed), same = RandomGenerator(seed: seed)
        let u = same.uniform()
        draws += 1
        if sampler.next(logits, count: count) != plain(logits, options, u: u) { differing += 1 }
      }
    }
    print("sampler: \(differing) of \(draws) draws differ from the plain rule")
    // Sums in another order may move a boundary by the last bit, and everything below e^-28 is left out.
    #expect(differing <= draws / 500)
  }
}
