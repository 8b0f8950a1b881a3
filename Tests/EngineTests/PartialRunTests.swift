import Testing

@testable import Engine

/// Runs that leave out what they need not compute give what whole runs give.
@Suite(.serialized) struct PartialRunTests {
  private static let families = TinyModelTests.families

  /// Prompts that begin alike, as a chat template makes them.
  private func alike(_ prefix: Int, _ lengths: [Int]) -> [Prompt] {
    var random = RandomGenerator(seed: 11)
    let shared = (0..<prefix).map { _ in random.below(320) }
    return lengths.map { count in Prompt(tokens: shared + (0..<count).map { _ in random.below(320) }) }
  }

  private func last(_ model: Model, _ prompts: [Prompt], captures: [CaptureRequest] = []) throws -> [[Float]] {
    try model.run(prompts, logits: .last, captures: captures).map { try #require($0.logits).values }
  }

  private func register(_ model: Model, _ effect: Intervention.Effect, _ positions: PositionSelector) throws {
    _ = try model.interventions.register(
      Intervention(
        kind: "edit", places: InterventionTests.places(model, [.residPre, .mlpOut]), positions: positions,
        effect: effect))
  }

  @Test(arguments: families) func aSharedPrefixChangesNeitherLogitsNorReports(family: String) throws {
    guard let model = try InterventionTests.model(family) else { return }
    let prompts = alike(37, [3, 1, 60, 9]), direction = try InterventionTests.direction(model)
    #expect(model.sharedPrefix(prompts, 0..<4, nil) == 37)
    for positions in [PositionSelector.all, .range(from: 5, to: 20), .last, .list([2, -1])] {
      model.interventions.removeAll()
      try register(model, .add(direction, coefficient: 2, scale: .raw), positions)
      try register(model, .ablate(direction), positions)
      var rows: [Int: [Float]] = [:], alone: [Int: [Float]] = [:]
      let capture = CaptureRequest(site: .residPost, layers: [0], positions: .last) {
        rows[$0.sequence] = try $0.tensor().values
      }
      let together = try last(model, prompts, captures: [capture]), reports = model.interventions.lastReports
      var fired = [0, 0], edited = [0, 0], change = [0.0, 0.0]
      var singles: [[Float]] = []
      for (i, prompt) in prompts.enumerated() {
        let one = CaptureRequest(site: .residPost, layers: [0], positions: .last) { alone[i] = try $0.tensor().values }
        singles += try last(model, [prompt], captures: [one])
        for (k, report) in model.interventions.lastReports.enumerated() {
          fired[k] += report.rows > 0 ? 1 : 0
          edited[k] += report.rows
          change[k] += report.changeSum
        }
      }
      #expect(InterventionTests.relative(together, singles) < 1e-5)
      #expect(InterventionTests.relative(prompts.indices.map { rows[$0]! }, prompts.indices.map { alone[$0]! }) < 1e-5)
      #expect(reports.map(\.rows) == edited)
      for (k, report) in reports.enumerated() { #expect(abs(report.changeSum - change[k]) < 1e-4 * change[k]) }
    }
  }

  /// What differs between the sequences' prefixes, or looks at them, is computed for each.
  @Test func aPrefixThatHooksTellApartIsNotShared() throws {
    guard let model = try InterventionTests.model("llama") else { return }
    let prompts = alike(12, [3, 9]), direction = try InterventionTests.direction(model)
    func shared(_ effect: Intervention.Effect, _ positions: PositionSelector) throws -> Int {
      model.interventions.removeAll()
      try register(model, effect, positions)
      let plan = try model.makePlan(model.interventions, [], prompts, limits: prompts.map(\.tokens.count))
      return model.sharedPrefix(prompts, 0..<2, plan)
    }
    let add = Intervention.Effect.add(direction, coefficient: 1, scale: .raw)
    #expect(try shared(add, .all) == 12)
    // From the end, position -10 is in the prefix of one prompt only.
    #expect(try shared(add, .index(-10)) == 0)
    #expect(try shared(.function { _, _ in nil }, .all) == 0)
    #expect(try shared(.function { _, _ in nil }, .last) == 12)
    model.interventions.removeAll()
    let sink: (ActivationRows) throws -> Void = { _ in }
    let everything = try model.makePlan(
      nil, [CaptureRequest(site: .residPost, layers: [0], sink: sink)], prompts, limits: [15, 21])
    #expect(model.sharedPrefix(prompts, 0..<2, everything) == 0)
    #expect(model.sharedPrefix([prompts[0]], 0..<1, nil) == 0)
    // The last row of the shortest prompt is its own, also where it is the beginning of the other.
    #expect(sharedPrefixLength([Prompt(tokens: [1, 2, 3]), Prompt(tokens: [1, 2, 3, 4])][...]) == 2)
  }

  @Test(arguments: families) func aRunFromAKeptStreamIsTheWholeRun(family: String) throws {
    guard let model = try InterventionTests.model(family) else { return }
    let prompts = alike(20, [3, 1, 30]), top = model.configuration.layerCount - 1
    var streams: [Int: Tensor] = [:]
    let capture = CaptureRequest(site: .residPre, layers: [top]) { streams[$0.sequence] = try $0.tensor() }
    _ = try model.run(prompts, logits: .none, captures: [capture])
    let start = StreamStart(layer: top, streams: prompts.indices.map { streams[$0]! })
    let direction = try InterventionTests.direction(model)
    _ = try model.interventions.register(
      Intervention(
        kind: "add", places: [.init(site: .residPre, layer: top)], effect: .add(direction, coefficient: 3, scale: .raw))
    )
    let whole = try last(model, prompts)
    let part = try model.run(prompts, logits: .last, start: start).map { try #require($0.logits).values }
    #expect(InterventionTests.relative(whole, part) < 1e-5)
    let all = try model.run(prompts, logits: .all, start: start).map { try #require($0.logits).values }
    #expect(InterventionTests.relative(try InterventionTests.logits(model, prompts), all) < 1e-5)
  }

  @Test func aStreamThatDoesNotFitIsRefused() throws {
    guard let model = try InterventionTests.model("llama") else { return }
    let prompts = alike(6, [3, 2]), d = model.configuration.dModel
    func refusal(_ start: StreamStart) throws -> String {
      try #require(throws: EngineError.self) { try model.run(prompts, logits: .last, start: start) }.message
    }
    let streams = try [Tensor.zeros([9, d]), Tensor.zeros([8, d])]
    #expect(try refusal(StreamStart(layer: 99, streams: streams)).contains("from_layer = 99"))
    #expect(try refusal(StreamStart(layer: 1, streams: [streams[0]])).contains("1 streams were given for 2"))
    #expect(try refusal(StreamStart(layer: 1, streams: [streams[1], streams[1]])).contains("prompt 1"))
    _ = try model.interventions.register(
      Intervention(
        kind: "add", places: [.init(site: .mlpOut, layer: 0)],
        effect: .add(try InterventionTests.direction(model), coefficient: 3, scale: .raw)))
    #expect(try refusal(StreamStart(layer: 1, streams: streams)).contains("mlp_out of layer 0"))
    _ = try model.run(prompts, logits: .last, start: StreamStart(layer: 0, streams: streams))
  }
}
