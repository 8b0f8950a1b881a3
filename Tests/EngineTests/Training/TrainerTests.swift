import CKernels
import Foundation
import Testing

@testable import Engine

@Suite(.serialized) struct TrainerTests {
  private func examples(_ golden: TinyModelTests.Golden, _ count: Int = 10) -> [SupervisedExample] {
    var generator = RandomGenerator(seed: 3)
    return (0..<count).map { _ in
      let tokens = (0..<6 + generator.below(10)).map { _ in generator.below(300) }
      return SupervisedExample(prompt: Prompt(tokens: tokens), scoredFrom: 3)
    }
  }

  private func options(_ epochs: Int = 2) -> TrainingOptions {
    var options = TrainingOptions()
    (options.epochs, options.batch, options.warmup, options.learningRate) = (epochs, 4, 2, 1e-2)
    return options
  }

  @Test(arguments: TinyModelTests.families)
  func lossFallsAndTheBaseModelStays(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model, plain = try model.run(golden.prompts, logits: .all)[0].logits!
    let adapter = try Adapter(for: model, rank: 4, alpha: 8)
    var losses: [Double] = []
    try Trainer(model, adapter: adapter, examples(golden), options(12)).run {
      losses.append($0.loss); return true
    }
    print(family, "loss", losses.first!, "to", losses.last!)
    #expect(losses.count == 36)
    #expect(losses.last! < losses.first! - 0.5)
    #expect(model.adapters.isEmpty)
    #expect(try model.run(golden.prompts, logits: .all)[0].logits!.values == plain.values)
  }

  @Test(arguments: ["llama", "gemma3", "gpt2", "pythia"])
  func fullTrainingLearnsAndLeavesTheModel(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let copy = try golden.model.trainable()
    let before = try golden.model.run(golden.prompts, logits: .all)[0].logits!
    // The copy in memory computes what the folder's model does.
    #expect(try copy.run(golden.prompts, logits: .all)[0].logits!.values == before.values)
    var losses: [Double] = []
    var options = options(8)
    options.learningRate = 3e-3
    try Trainer(copy, adapter: nil, examples(golden), options).run {
      losses.append($0.loss); return true
    }
    print(family, "loss", losses.first!, "to", losses.last!)
    #expect(losses.last! < losses.first! - 0.5)
    #expect(try golden.model.run(golden.prompts, logits: .all)[0].logits!.values == before.values)
  }

  @Test(arguments: [0.0, 0.25])
  func aResumedRunEqualsAnUninterruptedOne(dropout: Double) throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model
    func fresh() throws -> Adapter { try Adapter(for: model, rank: 4, dropout: dropout, seed: 1) }
    let whole = try fresh()
    try Trainer(model, adapter: whole, examples(golden), options()).run()
    try Files.withFolder { folder in
      var cut = options()
      cut.checkpoint = folder
      let first = try fresh()
      #expect(throws: EngineError.self) {
        defer { Interrupt.clear() }
        try Trainer(model, adapter: first, examples(golden), cut).run { progress in
          if progress.step == 4 { ck_interrupt_set(1) }  // as Ctrl-C does
          return true
        }
      }
      let second = try fresh(), trainer = try Trainer(model, adapter: second, examples(golden), cut)
      #expect(try trainer.run()?.step == 6)
      #expect(second.hash == whole.hash)
      #expect(first.hash != whole.hash)
      // The state stays until what was learnt is in safety.
      let path = TrainingCheckpoint.path(in: folder)
      #expect(FileManager.default.fileExists(atPath: path))
      trainer.removeCheckpoint()
      #expect(!FileManager.default.fileExists(atPath: path))
      // A checkpoint of another recipe is neither taken nor lost.
      try TrainingCheckpoint.write(
        folder, step: 5, recipe: "another", second.parameters, try Adam(second.parameters, learningRate: 1))
      let other = try Data(contentsOf: URL(fileURLWithPath: path)), third = try fresh()
      #expect(throws: EngineError.self) { try Trainer(model, adapter: third, examples(golden), cut).run() }
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == other)
    }
  }

  /// A callback that fails, or ends the training, leaves a state to go on from.
  @Test func whatACallbackEndsGoesOn() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model
    func fresh() throws -> Adapter { try Adapter(for: model, rank: 4, seed: 1) }
    let whole = try fresh()
    try Trainer(model, adapter: whole, examples(golden), options()).run()
    try Files.withFolder { folder in
      var cut = options()
      cut.checkpoint = folder
      #expect(throws: EngineError.self) {
        try Trainer(model, adapter: fresh(), examples(golden), cut).run { progress in
          if progress.step == 2 { throw EngineError(.argument, "a mistake") }
          return true
        }
      }
      let stopped = try Trainer(model, adapter: fresh(), examples(golden), cut).run { $0.step < 4 }
      #expect(stopped?.step == 4)
      let last = try fresh()
      #expect(try Trainer(model, adapter: last, examples(golden), cut).run()?.step == 6)
      #expect(last.hash == whole.hash)
    }
  }

  /// Between two steps the adapter is as any other: no dropout, and gradients of the callback's own stay its own.
  @Test func aCallbackMayUseTheModel() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model
    func train(_ body: @escaping () throws -> Void) throws -> Adapter {
      let adapter = try Adapter(for: model, rank: 4, dropout: 0.5, seed: 1)
      try Trainer(model, adapter: adapter, examples(golden), options()).run { _ in
        try body(); return true
      }
      return adapter
    }
    let plain = try train {}
    let used = try train {
      let first = try model.run(golden.prompts, logits: .all)[0].logits!
      #expect(try model.run(golden.prompts, logits: .all)[0].logits!.values == first.values)
      _ = try model.gradients(golden.prompts, scoredFrom: [0, 0])
    }
    #expect(used.hash == plain.hash)
  }

  @Test(arguments: ["llama", "gemma2", "pythia"])
  func remakingActivationsAndSmallPassesChangeNothing(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model
    func train(_ change: (inout TrainingOptions) -> Void) throws -> Adapter {
      let adapter = try Adapter(for: model, rank: 4, seed: 1)
      var settings = options(1)
      change(&settings)
      try Trainer(model, adapter: adapter, examples(golden), settings).run()
      return adapter
    }
    let plain = try train { _ in }
    #expect(try train { $0.activationBytes = 0 }.hash == plain.hash)
    let small = try train { $0.rows = 16 }
    for (a, b) in zip(small.parameters, plain.parameters) {
      // Sums over rows in other groups; Adam's first steps make the most of small differences.
      #expect(try a.value.maximumDifference(b.value) < 2e-3, "\(a.name)")
    }
  }

  @Test func gradientsOfAnAdapterAgreeWithFiniteDifferences() throws {
    guard let golden = try TinyModelTests.Golden("gemma3") else { return }
    let model = golden.model, adapter = try Adapter(for: model, rank: 2, alpha: 3, seed: 2)
    for (i, update) in adapter.updates.enumerated() {
      let values = try Tensor.normal(update.up.value.shape, seed: 50 + i)
      for j in 0..<values.count { update.up.value.mutablePointer[j] = 0.1 * values.pointer[j] }
      update.refresh()
    }
    try model.attach(adapter)
    defer { try? model.detach() }
    let workspace = Workspace()
    for update in adapter.updates { update.isLearning = true }
    let pass = Backpropagation(model.decoder, parameters: nil, recomputing: false, workspace: workspace)
    let batch = try TrainingBatch(
      golden.prompts, scoredFrom: [0, 0], from: 0, rows: 1000, weight: 1 / 39, model.configuration)
    _ = try pass.run(batch, plan: nil, deepest: 0)
    func loss() throws -> Double {
      let results = try model.negativeLogLikelihood(golden.prompts, scoredFrom: [0, 0])
      return results.reduce(0) { $0 + $1.sum } / 39
    }
    for update in adapter.updates where update.module.layer == 1 {
      for parameter in [update.down, update.up] {
        let gradient = try #require(parameter.gradient), direction = try Tensor.normal(gradient.shape, seed: 9)
        let predicted = zip(gradient.values, direction.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let start = try parameter.value.cloned(), step: Float = 1e-3
        func moved(_ factor: Float) throws -> Double {
          for i in 0..<start.count {
            parameter.value.mutablePointer[i] = start.pointer[i] + factor * direction.pointer[i]
          }
          update.refresh()
          return try loss()
        }
        let measured = try (moved(step) - moved(-step)) / Double(2 * step)
        _ = try moved(0)
        #expect(abs(predicted - measured) < 2e-3 + 0.02 * abs(measured), "\(parameter.name) \(predicted) \(measured)")
      }
    }
  }

  @Test func otherAdaptersTakePartAndStay() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model, other = try Adapter(for: model, rank: 2, dropout: 0.5, seed: 7)
    for update in other.updates { update.up.value.mutablePointer[0] = 1; update.refresh() }
    try model.attach(other)
    defer { try? model.detach() }
    let hash = other.hash, adapter = try Adapter(for: model, rank: 2, seed: 8)
    try Trainer(model, adapter: adapter, examples(golden), options(1)).run()
    #expect(other.hash == hash)
    #expect(other.parameters.allSatisfy { $0.gradient == nil })
    #expect(model.adapters.count == 1 && model.adapters[0] === other)
    // Without the other one the same training ends elsewhere.
    try model.detach()
    let alone = try Adapter(for: model, rank: 2, seed: 8)
    try Trainer(model, adapter: alone, examples(golden), options(1)).run()
    #expect(alone.hash != adapter.hash)
  }

  @Test func badTrainingIsRefusedOrStopsWithTheLastGoodState() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model, adapter = try Adapter(for: model, rank: 2)
    #expect(throws: EngineError.self) { try Trainer(model, adapter: adapter, [], options()) }
    #expect(throws: EngineError.self) {
      try Trainer(
        model, adapter: adapter, [SupervisedExample(prompt: Prompt(tokens: [1, 2]), scoredFrom: 2)], options())
    }
    #expect(throws: EngineError.self) { try Trainer(model, adapter: nil, examples(golden), options()) }
    // A learning rate that explodes: the loss is no number before long, and what is kept is finite.
    var wild = options(200)
    (wild.learningRate, wild.clip, wild.warmup) = (1e30, 1e30, 0)
    do {
      try Trainer(model, adapter: adapter, examples(golden), wild).run()
      Issue.record("the loss stayed finite")
    } catch let error as EngineError {
      #expect(error.kind == .numeric)
      #expect(error.message.contains("step"))
    }
    #expect(model.adapters.isEmpty)
  }

  @Test func schedulesRiseAndFall() {
    var options = TrainingOptions()
    (options.learningRate, options.warmup) = (1, 4)
    for schedule in TrainingOptions.Schedule.allCases {
      options.schedule = schedule
      #expect(options.rate(at: 0, of: 24) == 0.25)
      #expect(options.rate(at: 3, of: 24) == 1)
    }
    options.schedule = .linear
    #expect(abs(options.rate(at: 14, of: 24) - 0.5) < 1e-12)
    options.schedule = .cosine
    #expect(abs(options.rate(at: 14, of: 24) - 0.5) < 1e-12)
    #expect(abs(options.rate(at: 9, of: 24) - 0.5 * (1 + 0.5.squareRoot())) < 1e-12)
  }
}
