import Engine
import Testing
import Transfer

/// Methods on tiny random models, against the same sums made from captured tensors.
@Suite(.serialized) struct DirectionTests {
  /// Rows of one layer, one tensor per prompt.
  private func rows(_ model: Model, _ prompts: [Prompt], _ site: Site, _ layer: Int) throws -> [Tensor] {
    var rows: [Int: Tensor] = [:]
    let capture = CaptureRequest(site: site, layers: [layer]) { rows[$0.sequence] = try $0.tensor() }
    _ = try model.run(prompts, logits: .none, captures: [capture])
    return prompts.indices.compactMap { rows[$0] }
  }

  private func mean(_ rows: [Tensor]) throws -> Tensor { try Tensor.stacked(rows).mean(dimension: 0) }

  @Test func meanDifferencesOfOnePassAreThoseOfCapturedRows() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    let positive = Fixtures.prompts(model, count: 9, seed: 1), negative = Fixtures.prompts(model, count: 7, seed: 2)
    let directions = try Directions.meanDifference(
      model, positive: positive, negative: negative,
      at: ReadingPlace(layers: [0, 1], positions: [.last, .index(-3), .all]), masked: [2])
    for layer in [0, 1] {
      let a = try rows(model, positive, .residPost, layer), b = try rows(model, negative, .residPost, layer)
      for (position, pick) in [(PositionSelector.last, 1), (.index(-3), 3)] {
        func at(_ rows: [Tensor]) throws -> Tensor { try mean(rows.map { try $0.row($0.shape[0] - pick) }) }
        let v = try directions.at(layer, position: position), expected = try at(a) - at(b)
        // Means in Double of the same float32 activations.
        #expect(try v.direction.allClose(expected.zeroing([2]), atol: 1e-5))
        #expect(v.layer == layer && v.site == .residPost && v.origin.model == model.identity)
        #expect(try #require(v.means).positive.allClose(at(a), atol: 1e-5))
      }
      let all = try directions.at(layer, position: .all).direction
      let expected = try Tensor.concatenated(a).mean(dimension: 0) - Tensor.concatenated(b).mean(dimension: 0)
      #expect(try all.allClose(expected.zeroing([2]), atol: 1e-5))
    }
    #expect(throws: EngineError.self) {
      try Directions.meanDifference(model, positive: [], negative: negative, at: ReadingPlace(layers: [0]))
    }
    #expect(throws: EngineError.self) {
      try Directions.meanDifference(
        model, positive: positive, negative: negative, at: ReadingPlace(site: .pattern, layers: [0]))
    }
    #expect(throws: EngineError.self) {
      try Directions.meanDifference(model, positive: positive, negative: negative, at: ReadingPlace(layers: [99]))
    }
  }

  @Test func promptDifferencesAlignFromTheEnd() throws {
    guard let model = try Fixtures.tiny("gemma3") else { return }
    let positive = Prompt(tokens: [3, 4, 5, 6, 7]), negative = Prompt(tokens: [9, 10, 11])
    let directions = try Directions.promptDifference(model, positive: positive, negative: negative, layers: [1])
    let a = try rows(model, [positive], .residPost, 1)[0], b = try rows(model, [negative], .residPost, 1)[0]
    for position in -3 ... -1 {
      let v = try directions.at(1, position: .index(position))
      #expect(try v.direction.values == (a.row(5 + position) - b.row(3 + position)).values)
    }
    #expect(throws: EngineError.self) { try directions.at(1, position: .index(-4)) }
  }

  @Test func principalComponentsArePairedAndOfUnitNorm() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    let positive = Fixtures.prompts(model, count: 12, seed: 1), negative = Fixtures.prompts(model, count: 12, seed: 2)
    let place = ReadingPlace(layers: [1])
    let v = try Directions.principalComponents(model, positive: positive, negative: negative, at: place).at(1)
    let difference = try Directions.meanDifference(model, positive: positive, negative: negative, at: place).at(1)
    #expect(abs(v.norm - 1) < 1e-5)
    #expect(try cosine(v.direction, difference.direction) > 0)
    func last(_ prompts: [Prompt]) throws -> Tensor {
      try Tensor.stacked(rows(model, prompts, .residPost, 1).map { try $0.row($0.shape[0] - 1) })
    }
    #expect(try v.direction.values == principalComponent(positive: last(positive), negative: last(negative)).values)
    #expect(throws: EngineError.self) {
      try Directions.principalComponents(model, positive: positive, negative: Array(negative.dropLast()), at: place)
    }
  }

  /// Every candidate is judged as the definitions say, by hand for one of them, and the least refusal among those
  /// that pass is chosen.
  @Test func theRefusalDirectionIsTheBestThatPasses() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    let prompts = RefusalDirection.Prompts(
      harmful: Fixtures.prompts(model, count: 8, seed: 1), harmless: Fixtures.prompts(model, count: 8, seed: 2),
      harmfulValidation: Fixtures.prompts(model, count: 5, seed: 3),
      harmlessValidation: Fixtures.prompts(model, count: 5, seed: 4))
    // Half of the vocabulary opens a refusal, so that random models land on both sides of 0.
    var options = RefusalDirection.Options(refusalTokens: Array(0..<model.configuration.vocabularySize / 2))
    options.filters = false
    options.positions = [-2, -1]
    options.divergenceLimit = 1000
    let found: RefusalDirection
    do {
      found = try RefusalDirection(of: model, prompts, options: options)
    } catch let error as EngineError {
      #expect(error.message.contains("does not induce refusal"))
      return
    }
    #expect(found.candidates.allSatisfy { $0.layer < Int(Double(model.configuration.layerCount) * 0.8) })
    let best = found.candidates.filter { $0.steering >= 0 }.min { $0.refusal < $1.refusal }
    #expect(found.chosen == best)
    let handle = try model.interventions.register(
      Intervention(
        kind: "add", places: [.init(site: .residPre, layer: found.chosen.layer)],
        effect: .add(found.vector.direction, coefficient: 1, scale: .raw)))
    let scores = try RefusalDirection.scores(model, prompts.harmlessValidation, tokens: options.refusalTokens)
    model.interventions.remove(handle)
    // The judge adds to kept streams and computes a shared beginning once: float32 sums of other row blocks.
    #expect(abs(scores.reduce(0, +) / 5 - found.chosen.steering) < 1e-4)
    #expect(model.interventions.isEmpty)
    options.judgesAll = true
    let all = try RefusalDirection(of: model, prompts, options: options)
    #expect(all.chosen == found.chosen && all.candidates.count == found.candidates.count)
    #expect(all.candidates.allSatisfy { !$0.refusal.isNaN && !$0.divergence.isNaN })
    for (judged, quick) in zip(all.candidates, found.candidates) {
      #expect(judged.steering == quick.steering)
      #expect(quick.steering >= 0 ? judged == quick : quick.refusal.isNaN && quick.divergence.isNaN)
    }
    options.judgesAll = false
    options.divergenceLimit = -1
    let error = #expect(throws: EngineError.self) { try RefusalDirection(of: model, prompts, options: options) }
    #expect(error?.message.contains("needs kl_limit") == true)
    options.filters = true
    options.refusalTokens = []
    #expect(throws: EngineError.self) { try RefusalDirection(of: model, prompts, options: options) }
  }
}
