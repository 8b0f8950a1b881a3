import Foundation
import Testing

@testable import Engine

/// Identities that hold for every model, checked on the tiny ones.
@Suite(.serialized) struct InterventionTests {
  static let families = TinyModelTests.families

  static func model(_ family: String) throws -> Model? {
    try Files.fixture("tiny/\(family)").map { try Model.load(path: $0) }
  }

  /// Ragged prompts, one longer than a block of queries.
  static func prompts(_ lengths: [Int] = [5, 90, 1, 17]) -> [Prompt] {
    var random = RandomGenerator(seed: 7)
    return lengths.map { count in Prompt(tokens: (0..<count).map { _ in random.below(320) }) }
  }

  static func direction(_ model: Model, seed: Int = 3) throws -> Tensor {
    try Tensor.normal([model.configuration.dModel], seed: seed)
  }

  static func places(_ model: Model, _ sites: [Site]) -> [Intervention.Place] {
    sites.flatMap { site in (0..<model.configuration.layerCount).map { .init(site: site, layer: $0) } }
  }

  static func logits(_ model: Model, _ prompts: [Prompt]) throws -> [[Float]] {
    try model.run(prompts, logits: .all).map { try #require($0.logits).values }
  }

  /// Largest difference relative to the largest value.
  static func relative(_ a: [[Float]], _ b: [[Float]]) -> Float {
    let scale = a.joined().map(abs).max() ?? 1
    return zip(a, b).map { maxDifference("", $0, $1) }.max()! / scale
  }

  @Test(arguments: families) func batchOfNEqualsNSingleRuns(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let prompts = Self.prompts(), batch = try Self.logits(model, prompts)
    let singles = try prompts.flatMap { try Self.logits(model, [$0]) }
    #expect(Self.relative(batch, singles) < 1e-5)
  }

  @Test(arguments: families) func addingZeroChangesNothing(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let prompts = Self.prompts(), before = try Self.logits(model, prompts)
    let zero = try Tensor.zeros([model.configuration.dModel])
    _ = try model.interventions.register(
      Intervention(
        kind: "add", places: Self.places(model, [.residPre, .attnOut, .mlpOut]),
        effect: .add(zero, coefficient: 4, scale: .raw)))
    #expect(try Self.logits(model, prompts) == before)
  }

  @Test(arguments: families) func ablatingTwiceEqualsOnce(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let prompts = Self.prompts(), direction = try Self.direction(model)
    let ablation = Intervention(
      kind: "ablate", places: Self.places(model, [.residPre, .attnOut, .mlpOut]), effect: .ablate(direction))
    _ = try model.interventions.register(ablation)
    let once = try Self.logits(model, prompts)
    _ = try model.interventions.register(ablation)
    #expect(Self.relative(once, try Self.logits(model, prompts)) < 1e-5)
    // And the direction is really gone from the stream.
    var largest = 0.0
    let unit = direction.values.map { Double($0) / direction.values.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot() }
    let capture = CaptureRequest(site: .residPost, layers: [model.configuration.layerCount - 1]) { rows in
      let values = try rows.tensor().values
      for row in 0..<rows.positions.count {
        let part = zip(values[row * unit.count..<(row + 1) * unit.count], unit).reduce(0.0) { $0 + Double($1.0) * $1.1 }
        largest = max(largest, abs(part))
      }
    }
    _ = try model.run(prompts, logits: .none, captures: [capture])
    #expect(largest < 1e-4)
  }

  @Test(arguments: families) func patchingARunWithItselfChangesNothing(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let prompt = Self.prompts([23])
    let sites = [Site.residPre, .residMid, .residPost, .attnOut, .mlpOut, .q, .k, .v, .z, .mlpPre, .mlpUp, .mlpPost]
    for site in sites where site.exists(in: model.configuration) {
      let before = try Self.logits(model, prompt)
      var own: Tensor?
      let capture = CaptureRequest(site: site, layers: [1]) { own = try $0.tensor() }
      _ = try model.run(prompt, logits: .none, captures: [capture])
      let id = try model.interventions.register(
        Intervention(kind: "patch", places: [.init(site: site, layer: 1)], effect: .patch(try #require(own))))
      #expect(try Self.logits(model, prompt) == before, "\(site)")
      #expect(model.interventions.lastReports[0].rows == 23)
      #expect(model.interventions.lastReports[0].change == 0)
      model.interventions.remove(id)
    }
  }

  @Test(arguments: families) func streamsAddUp(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let layers = Array(0..<model.configuration.layerCount)
    var seen: [Site: [Int: [Float]]] = [:]
    let sites = [Site.residPre, .residMid, .residPost, .attnOut, .mlpOut].filter { $0.exists(in: model.configuration) }
    let captures = sites.map { site in
      CaptureRequest(site: site, layers: layers) { rows in
        seen[site, default: [:]][rows.layer!] = try rows.tensor().values
      }
    }
    _ = try model.run(Self.prompts([31]), logits: .none, captures: captures)
    func at(_ site: Site, _ layer: Int) throws -> [Float] { try #require(seen[site]?[layer]) }
    for layer in layers {
      let middle = zip(try at(.residPre, layer), try at(.attnOut, layer)).map(+)
      if !model.configuration.isParallel { #expect(try at(.residMid, layer) == middle) }
      #expect(zip(middle, try at(.mlpOut, layer)).map(+) == (try at(.residPost, layer)))
      if layer > 0 { #expect(try at(.residPost, layer - 1) == (try at(.residPre, layer))) }
    }
  }

  @Test func sitesThatAFamilyLacksAreRefusedByName() throws {
    for (family, site) in [("pythia", Site.residMid), ("pythia", .mlpUp), ("gpt2", .mlpUp)] {
      guard let model = try Self.model(family) else { return }
      let capture = CaptureRequest(site: site, layers: [1]) { _ in }
      let error = #expect(throws: EngineError.self) {
        try model.run(Self.prompts([3]), logits: .none, captures: [capture])
      }
      #expect(error?.kind == .site && error?.message.contains(site.rawValue) == true)
    }
  }

  /// Scores and pattern written out give the same attention as the blocked kernel.
  @Test(arguments: families) func lookingAtThePatternChangesNothing(family: String) throws {
    guard let model = try Self.model(family) else { return }
    let prompts = Self.prompts(), plain = try Self.logits(model, prompts)
    var sums: [Float] = []
    let capture = CaptureRequest(site: .pattern, layers: Array(0..<model.configuration.layerCount)) { rows in
      let values = try rows.tensor().values, columns = rows.shape[2]
      for row in 0..<values.count / columns { sums.append(values[row * columns..<(row + 1) * columns].reduce(0, +)) }
    }
    let looked = try model.run(prompts, logits: .all, captures: [capture]).map { try #require($0.logits).values }
    #expect(Self.relative(plain, looked) < 1e-5)
    #expect(sums.allSatisfy { abs($0 - 1) < 1e-5 })
  }

  /// Greedy text with a cache equals text from running the whole sequence anew for every token, under an intervention
  /// at absolute positions of prompt and generated tokens.
  @Test(
    arguments: families, [PositionSelector.all, .generated, .index(9), .list([2, 8, 9, 11]), .range(from: 4, to: 10)])
  func cacheOnEqualsCacheOff(family: String, positions: PositionSelector) throws {
    guard let model = try Self.model(family) else { return }
    let prompts = Self.prompts([6, 8, 3]), direction = try Self.direction(model)
    _ = try model.interventions.register(
      Intervention(
        kind: "add", places: [.init(site: .residPost, layer: 1)], positions: positions,
        effect: .add(direction, coefficient: 2, scale: .raw)))
    var options = GenerationOptions()
    options.maxTokens = 10
    options.ignoreEnd = true
    let cached = try model.generate(prompts, options: options)
    for (prompt, completion) in zip(prompts, cached) {
      model.interventions.removeAll()
      // The same absolute positions, but of one growing prompt.
      var tokens = prompt.tokens
      let absolute: PositionSelector =
        positions == .generated ? .range(from: prompt.tokens.count + 1, to: nil) : positions
      for expected in completion.tokens {
        model.interventions.removeAll()
        let hits = try absolute.resolve(Prompt(tokens: tokens), limit: tokens.count, tokenizer: nil)
        if !hits.isEmpty {
          _ = try model.interventions.register(
            Intervention(
              kind: "add", places: [.init(site: .residPost, layer: 1)], positions: absolute,
              effect: .add(direction, coefficient: 2, scale: .raw)))
        }
        let logits = try #require(try model.run([Prompt(tokens: tokens)], logits: .last)[0].logits).values
        let best = logits.indices.max { logits[$0] < logits[$1] }
        #expect(best == expected)
        tokens.append(expected)
      }
    }
  }

  @Test func generationInABatchEqualsSingleRunsWithSampling() throws {
    guard let model = try Self.model("llama") else { return }
    let prompts = Self.prompts([6, 40, 2])
    var options = GenerationOptions()
    options.maxTokens = 12
    options.temperature = 0.9
    options.topK = 50
    options.topP = 0.95
    options.seed = 11
    options.ignoreEnd = true
    let batch = try model.generate(prompts, options: options).map(\.tokens)
    for (i, prompt) in prompts.enumerated() {
      var single = options
      single.seed = 11 + i
      #expect(try model.generate([prompt], options: single)[0].tokens == batch[i])
    }
  }

  @Test func reportsSayWhatFiredAndWhatDidNot() throws {
    guard let model = try Self.model("llama") else { return }
    let direction = try Self.direction(model)
    func add(_ positions: PositionSelector, strict: Bool = false) throws -> Int {
      try model.interventions.register(
        Intervention(
          kind: "add", places: [.init(site: .residPost, layer: 0), .init(site: .residPost, layer: 2)],
          positions: positions, effect: .add(direction, coefficient: 0.5, scale: .relative), isStrict: strict))
    }
    _ = try add(.index(4))
    _ = try add(.generated)
    _ = try model.run(Self.prompts([5, 3, 9]), logits: .none)
    let reports = model.interventions.lastReports
    #expect(reports[0].fired == 4 && reports[0].rows == 4 && reports[0].skipped == 1)
    let norm = direction.values.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
    #expect(norm > 1 && abs(reports[0].change - 0.5) < 1e-5)  // relative: half of each row's norm
    #expect(reports[1].fired == 0)
    #expect(model.interventions.warnings.count == 1)
    #expect(model.interventions.warnings[0].contains("zero times"))
    let strict = try add(.generated, strict: true)
    #expect(throws: EngineError.self) { try model.run(Self.prompts([5]), logits: .none) }
    model.interventions.remove(strict)
    #expect(throws: EngineError.self) { try model.run(Self.prompts([3, 2]), logits: .none) }  // nobody has position 4
  }

  @Test func badRegistrationsNameWhatWasMeant() throws {
    guard let model = try Self.model("llama") else { return }
    let direction = try Self.direction(model)
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return ""
    }
    #expect(message { _ = try Site.parse("resid_pst") }.contains("resid_post"))
    #expect(message { _ = try Site.parse("blocks.x.hook_resid_post") }.contains("resid_post"))
    #expect(try Site.parse("blocks.7.hook_resid_post") == (.residPost, 7))
    #expect(try Site.parse("blocks.2.mlp.hook_pre_linear") == (.mlpUp, 2))
    #expect(try Site.parse("blocks.2.attn.hook_q") == (.q, 2))
    #expect(
      message {
        _ = try model.interventions.register(
          Intervention(kind: "add", places: [.init(site: .residPost, layer: 4)], effect: .ablate(direction)))
      }.contains("0 to 3"))
    #expect(
      message {
        _ = try model.interventions.register(
          Intervention(kind: "add", places: [.init(site: .mlpPost, layer: 1)], effect: .ablate(direction)))
      }.contains("160"))
    #expect(message { _ = try model.run([Prompt(tokens: [1, 320])], logits: .last) }.contains("320"))
    #expect(message { _ = try model.run([Prompt(tokens: [])], logits: .last) }.contains("no tokens"))
    #expect(message { _ = try model.run([], logits: .last) }.contains("no prompts"))
    #expect(model.interventions.isEmpty)
  }

  @Test func hooksThatFailOrAnswerTheWrongShapeLeaveTheModelAsItWas() throws {
    guard let model = try Self.model("gemma3") else { return }
    let prompts = Self.prompts([7]), before = try Self.logits(model, prompts)
    struct Broken: Error {}
    let failing = try model.interventions.register(
      Intervention(kind: "hook", places: [.init(site: .z, layer: 2)], effect: .function { _, _ in throw Broken() }))
    #expect(throws: Broken.self) { try model.run(prompts, logits: .all) }
    model.interventions.remove(failing)
    let wrong = try model.interventions.register(
      Intervention(
        kind: "hook", places: [.init(site: .z, layer: 2)], effect: .function { _, x in try Tensor.zeros([x.count]) }))
    #expect(throws: EngineError.self) { try model.run(prompts, logits: .all) }
    model.interventions.remove(wrong)
    // A hook may not run the model it sits on.
    let nested = try model.interventions.register(
      Intervention(
        kind: "hook", places: [.init(site: .z, layer: 2)],
        effect: .function { _, _ in
          _ = try model.run(prompts, logits: .none)
          return nil
        }))
    #expect(throws: EngineError.self) { try model.run(prompts, logits: .all) }
    model.interventions.remove(nested)
    #expect(try Self.logits(model, prompts) == before)
  }

  /// A hook that doubles the pattern's first column by hand equals the same edit through z's definition: the edited
  /// pattern is what weighs the values.
  @Test func editingThePatternEditsWhatIsWeighed() throws {
    guard let model = try Self.model("llama") else { return }
    let prompts = Self.prompts([9])
    var v: [Float] = [], z: [Float] = []
    let heads = model.configuration.headCount, groups = heads / model.configuration.kvHeadCount
    let d = model.configuration.dHead
    _ = try model.interventions.register(
      Intervention(
        kind: "hook", places: [.init(site: .pattern, layer: 1)],
        effect: .function { _, pattern in
          var values = [Float](repeating: 0, count: pattern.count)
          for row in 0..<pattern.count / 9 { values[row * 9] = 1 }  // all attention to the first token
          return try Tensor(values, shape: pattern.shape)
        }))
    _ = try model.run(
      prompts, logits: .none,
      captures: [
        CaptureRequest(site: .v, layers: [1]) { v = try $0.tensor().values },
        CaptureRequest(site: .z, layers: [1]) { z = try $0.tensor().values },
      ])
    for row in 0..<9 {
      for head in 0..<heads {
        let expected = v[(head / groups) * d..<(head / groups + 1) * d]  // the first token's value
        #expect(
          maxDifference("z", Array(z[(row * heads + head) * d..<(row * heads + head + 1) * d]), Array(expected)) < 1e-6)
      }
    }
  }
}
