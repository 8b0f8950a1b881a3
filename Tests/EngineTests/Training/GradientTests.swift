import Foundation
import Testing

@testable import Engine

/// Gradients through the whole decoder: against another program's, and against what the loss itself does.
@Suite(.serialized) struct GradientTests {
  /// Relative in norm: float32 sums over 39 rows in another order differ by 1e-6 to 1e-5, a wrong formula by far more.
  static let tolerance = 1e-3

  static func relative(_ a: Tensor, _ b: Tensor) throws -> Double { try (a - b).norm() / max(1e-12, b.norm()) }

  @Test(arguments: TinyModelTests.families)
  func lossAndGradientsMatchTransformers(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let names = golden.file.names.filter { $0.hasPrefix("grad.") }.map { String($0.dropFirst(5)) }
    #expect(names.count > 8)
    let result = try golden.model.gradients(golden.prompts, scoredFrom: [0, 0], parameters: names)
    let loss = try golden.file.tensor("loss").values[0]
    print(family, "loss max|diff|", abs(Float(result.loss) - loss))
    #expect(result.tokens == 39)
    #expect(abs(Float(result.loss) - loss) < 1e-4)
    var worst = 0.0
    for name in names {
      let expected = try golden.file.tensor("grad." + name), found = try #require(result.parameters[name])
      #expect(found.shape == expected.shape)
      let difference = try GradientTests.relative(found, expected)
      worst = max(worst, difference)
      #expect(difference < GradientTests.tolerance, "\(family) \(name)")
    }
    print(family, "gradients, worst relative difference", worst)
  }

  @Test(arguments: TinyModelTests.families)
  func aBatchHasTheMeanOfItsSequencesGradients(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let name = try #require(
      golden.file.names.first {
        $0.contains("h.1.mlp.c_fc.weight") || $0.contains("mlp.up_proj") || $0.contains("h_to_4h.weight")
      }
    ).dropFirst(5)
    let together = try golden.model.gradients(golden.prompts, scoredFrom: [3, 5], parameters: [String(name)])
    let single = try (0..<2).map {
      try golden.model.gradients([golden.prompts[$0]], scoredFrom: [[3, 5][$0]], parameters: [String(name)])
    }
    let total = Float(single[0].tokens + single[1].tokens)
    #expect(together.tokens == single[0].tokens + single[1].tokens)
    var sum = try Tensor.zeros(together.parameters[String(name)]!.shape)
    for part in single {
      let share = try Tensor(repeating: Float(part.tokens) / total, shape: [1])
      sum = try sum + part.parameters[String(name)]! * share
    }
    // The same products in another grouping of rows.
    #expect(try GradientTests.relative(together.parameters[String(name)]!, sum) < 1e-5)
  }

  /// Adding epsilon times a random vector at a site changes the loss by epsilon times its product with the gradient.
  @Test(arguments: ["llama", "gemma2", "gemma3", "gpt2", "pythia", "qwen3"])
  func activationGradientsAgreeWithFiniteDifferences(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model, c = model.configuration
    let sites = Site.allCases.filter { $0.exists(in: c) && !$0.isAttentionMatrix }
    for site in sites {
      let layers = site.hasLayer ? [1] : []
      var sum: [Float] = []
      let request = CaptureRequest(site: site, layers: layers, positions: .range(from: 4, to: 9)) { rows in
        let width = rows.width
        if sum.isEmpty { sum = [Float](repeating: 0, count: width) }
        for row in 0..<rows.positions.count { for i in 0..<width { sum[i] += rows.pointer[row * width + i] } }
      }
      _ = try model.gradients(golden.prompts, scoredFrom: [0, 0], captures: [request])
      let width = sum.count
      let direction = try Tensor.normal([width], seed: 5)
      let predicted = zip(sum, direction.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      func loss(_ step: Float) throws -> Double {
        let id = try model.interventions.register(
          Intervention(
            kind: "add",
            places: [.init(site: site, layer: layers.first)], positions: .range(from: 4, to: 9),
            effect: .add(direction, coefficient: step, scale: .raw)))
        defer { model.interventions.remove(id) }
        let results = try model.negativeLogLikelihood(golden.prompts, scoredFrom: [0, 0])
        return results.reduce(0) { $0 + $1.sum } / Double(results.reduce(0) { $0 + $1.tokens })
      }
      let step: Float = 2e-3
      let measured = try (loss(step) - loss(-step)) / Double(2 * step)
      print(family, site.rawValue, "predicted", predicted, "measured", measured)
      // The loss is float32 logits: differences of 1e-6 over 4e-3 leave about 3e-4.
      #expect(abs(predicted - measured) < 1e-3 + 0.02 * abs(measured), "\(family) \(site.rawValue)")
    }
  }

  @Test func refusesUnknownParametersAndInterventions() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    #expect(throws: EngineError.self) {
      try golden.model.gradients(golden.prompts, scoredFrom: [0, 0], parameters: ["model.layers.1.mlp.up_prj.weight"])
    }
    #expect(throws: EngineError.self) {
      try golden.model.gradients([Prompt(tokens: [1])], scoredFrom: [0], parameters: ["model.norm.weight"])
    }
  }
}
