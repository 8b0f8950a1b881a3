import Foundation
import Testing

@testable import Engine

/// bf16 and native weights on the packaged models: near float32, and as consistent.
@Suite(.serialized) struct PrecisionTests {
  private static let texts = [
    "The capital of France is Paris, and the capital of Italy is", "Once upon a time", "def add(a, b):\n    return",
  ]

  private func prompts(_ model: Model) throws -> [Prompt] {
    try Self.texts.map { try model.prompt(text: Array($0.utf8)) }
  }

  /// Relative differences of logits that rounding explains: bf16 keeps 8 bits of every weight and activation, native
  /// rounds activations to 8 bits; both errors add up over the blocks. A wrong scale or order is off by 1.
  private static let limits: [WeightPrecision: Float] = [.bf16: 0.06, .native: 0.12]

  @Test(arguments: ["smollm2-135m-instruct", "gemma-3-270m"], [WeightPrecision.bf16, .native])
  func logitsStayNearThoseInFloat32(name: String, precision: WeightPrecision) throws {
    guard let path = Files.model(name) else { return }
    let exact = try #require(try Models.shared(name))
    let model = try Model.load(path: path, precision: precision)
    let prompts = try prompts(model)
    let rounded = try model.run(prompts, logits: .last), plain = try exact.run(prompts, logits: .last)
    for i in prompts.indices {
      let a = try #require(rounded[i].logits).values, b = try #require(plain[i].logits).values
      let mean = b.reduce(0, +) / Float(b.count)
      let spread = b.map { abs($0 - mean) }.max()!
      let worst = maxDifference("\(name) \(precision.rawValue) prompt \(i)", a, b)
      #expect(worst < Self.limits[precision]! * spread)
      #expect(worst > 0, "nothing was rounded")
    }
  }

  @Test(arguments: [WeightPrecision.bf16, .native]) func batchEqualsSinglesAndCacheEqualsNone(
    precision: WeightPrecision
  ) throws {
    guard let path = Files.model("smollm2-135m-instruct") else { return }
    let model = try Model.load(path: path, precision: precision)
    let prompts = try (0..<12).map { try model.prompt(text: Array("\($0). \(Self.texts[$0 % 3])".utf8)) }
    let batch = try model.run(prompts, logits: .last).map { try #require($0.logits).values }
    let singles = try prompts.map { try #require(model.run([$0], logits: .last)[0].logits).values }
    let scale = singles.joined().map(abs).max()!
    for (i, (a, b)) in zip(batch, singles).enumerated() {
      // Every row is computed the same way alone and in a batch: a sum in another order would show as a step of 1/127.
      #expect(maxDifference("\(precision.rawValue) prompt \(i)", a, b) <= 1e-5 * scale)
    }
    var options = GenerationOptions()
    options.maxTokens = 12
    let together = try model.generate(prompts, options: options).map(\.tokens)
    let alone = try prompts.map { try model.generate([$0], options: options)[0].tokens }
    #expect(together == alone)
  }
}
