import CKernels
import Foundation

/// Supervised training: passes over examples in an order that follows from the seed, AdamW, clipping, checkpoints.
///
/// ```swift
/// let adapter = try Adapter(for: model)
/// let trainer = try Trainer(model, adapter: adapter, examples.list, options)
/// try trainer.run { print($0.step, $0.loss); return true }
/// ```
public final class Trainer {
  public let steps: Int
  private let model: Model
  private let examples: [SupervisedExample]
  private let options: TrainingOptions
  private let adapter: Adapter?
  private let parameters: [Parameter]
  private let optimizer: Adam
  private let pass: Backpropagation
  private let workspace = Workspace()
  private let deepest: Int
  private let recipe: String
  /// Steps done.
  public private(set) var step = 0

  /// Trains `adapter` on a frozen model, with those attached before left as they are; or, without one, all tensors of a
  /// model whose weights are in memory (`Model.trainable()`). `teacher`: its next-token distributions are learnt in
  /// place of the scored tokens themselves.
  ///
  /// Throws `.argument` for an empty list, examples without a scored token, interventions on the model, and a teacher
  /// with other tokens.
  public init(
    _ model: Model, adapter: Adapter?, teacher: Model? = nil, _ examples: [SupervisedExample],
    _ options: TrainingOptions
  ) throws {
    self.options = try options.checked()
    guard !examples.isEmpty else { throw EngineError(.argument, "training: there are no examples") }
    try model.check(examples.map(\.prompt))
    try model.refuseInterventions("training")
    for (i, example) in examples.enumerated() where example.prompt.tokens.count <= max(1, example.scoredFrom) {
      throw EngineError(.argument, "training: example \(i + 1) has no token to score")
    }
    (self.model, self.examples, self.adapter) = (model, examples, adapter)
    steps = options.epochs * ((examples.count + options.batch - 1) / options.batch)
    let decoder = model.decoder
    var gradients: ParameterGradients?
    if let adapter {
      try model.check(adapter)
      if let what = adapter.untrained {
        throw EngineError(
          .argument,
          "training: this adapter has \(what), which is not trained here; only low-rank updates of linear maps of the "
            + "blocks are. Merge it into the model and train a fresh adapter on that")
      }
      parameters = adapter.parameters
      deepest = adapter.updates.map(\.module.layer).min() ?? 0
    } else {
      guard let memory = decoder.weights.source.weights as? MemoryWeights else {
        throw EngineError(.argument, "training all weights needs them in memory: make a trainable copy first")
      }
      parameters = memory.parameters
      gradients = try ParameterGradients(decoder.weights.source, names: memory.names, workspace: workspace)
      deepest = 0
    }
    // A pass takes `rows` rows, or one example where that is longer.
    let lengths = examples.map(\.prompt.tokens.count)
    let longest = max(lengths.max() ?? 0, min(options.rows, lengths.reduce(0, +)))
    try teacher?.check(examples.map(\.prompt))
    pass = Backpropagation(
      decoder, parameters: gradients,
      recomputing: ForwardRecord.bytes(decoder.configuration, rows: longest) > options.activationBytes,
      workspace: workspace)
    pass.teacher = try teacher.map { try Teacher($0, of: model) }
    optimizer = try Adam(parameters, learningRate: options.learningRate, weightDecay: options.weightDecay)
    recipe = Trainer.recipe(model, adapter, teacher: teacher, examples, options)
  }

  /// Trains to the end, or until `onStep` returns false. A checkpoint of the same training in `options.checkpoint` is
  /// continued; one is written every so often, where `onStep` ends the training, and before any error is thrown,
  /// Ctrl-C's
  /// `.interrupted` included. It stays until `removeCheckpoint`, so that what was learnt can be saved first. Returns
  /// the last step's progress; nil where nothing was left to do. Throws `.numeric` where the loss is no number:
  /// parameters are then as they were before that step.
  @discardableResult
  public func run(onStep: ((TrainingProgress) throws -> Bool)? = nil) throws -> TrainingProgress? {
    let started = Date()
    var saved = Date(), tokens = 0, last: TrainingProgress?
    if let folder = options.checkpoint { try TrainingCheckpoint.makeFolder(folder) }
    step = try resume()
    let before = model.adapters
    if let adapter { try model.setAdapters(before.filter { $0 !== adapter } + [adapter]) }
    model.isTraining = true
    defer {
      model.isTraining = false
      try? model.setAdapters(before)  // the adapter that is trained changes no weights: nothing is read again
    }
    while step < steps {
      try savingOnFailure { try model.refuseInterventions("training") }  // `onStep` may have left some
      try savingOnFailure { try Interrupt.check() }
      let batch = batch(of: step)
      let loss: Double, norm: Double
      do { (loss, norm) = try model.exclusively { try gradients(batch, step: step) } } catch {
        for parameter in parameters { parameter.clearGradient() }
        try saveCheckpoint()
        throw error
      }
      guard loss.isFinite, norm.isFinite else {
        for parameter in parameters { parameter.clearGradient() }
        try saveCheckpoint()
        throw EngineError(
          .numeric,
          "training: the loss of step \(step + 1) of \(steps) is \(loss), its gradient's length \(norm); nothing "
            + "was changed in this step. A lower lr or clip may help (lr \(options.learningRate), clip \(options.clip))"
        )
      }
      if norm > options.clip { scale(by: Float(options.clip / norm)) }
      let rate = options.rate(at: step, of: steps)
      optimizer.learningRate = rate
      optimizer.step()
      step += 1
      try savingOnFailure { try refresh() }
      tokens += batch.reduce(0) { $0 + $1.prompt.tokens.count }
      let progress = TrainingProgress(
        step: step, steps: steps, epoch: (step - 1) / (steps / options.epochs) + 1, loss: loss, gradientNorm: norm,
        learningRate: rate, tokens: tokens, seconds: Date().timeIntervalSince(started))
      last = progress
      if Date().timeIntervalSince(saved) > options.checkpointSeconds, step < steps {
        try saveCheckpoint()
        saved = Date()
      }
      if let onStep, try savingOnFailure({ try !onStep(progress) }) {
        try saveCheckpoint()
        break
      }
    }
    return last
  }

  /// Keeps the state as it is now in `options.checkpoint`, if there is such a folder.
  public func saveCheckpoint() throws {
    guard let folder = options.checkpoint, step > 0 else { return }
    try TrainingCheckpoint.write(folder, step: step, recipe: recipe, parameters, optimizer)
  }

  /// Removes the state from `options.checkpoint`: the training is over, and what it gave is in safety.
  public func removeCheckpoint() {
    if let folder = options.checkpoint { unlink(TrainingCheckpoint.path(in: folder)) }
  }

  private func savingOnFailure<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      try saveCheckpoint()
      throw error
    }
  }

  /// Examples of a step: every epoch has an order of its own.
  private func batch(of step: Int) -> [SupervisedExample] {
    let perEpoch = steps / options.epochs, epoch = step / perEpoch, first = step % perEpoch * options.batch
    var generator = RandomGenerator(seed: options.seed &+ epoch &* 0x5851_F42D)
    let order = generator.permutation(examples.count)
    return order[first..<min(first + options.batch, examples.count)].map { examples[$0] }
  }

  /// The batch's loss, with its gradients left in the parameters, and their length.
  private func gradients(_ batch: [SupervisedExample], step: Int) throws -> (Double, Double) {
    try model.decoder.weights.source.weights.verify()
    // Outside this pass the adapter is as any other: `onStep` may use the model.
    for update in adapter?.updates ?? [] { update.isLearning = true }
    defer {
      for update in adapter?.updates ?? [] { update.isLearning = false }
      model.decoder.dropout = nil
    }
    if let gradients = pass.parameters {
      gradients.clear()
      for parameter in parameters { parameter.gradient = gradients.tensors[parameter.name] }
    }
    if let adapter, adapter.dropout > 0 {
      model.decoder.dropout = Dropout(
        probability: Float(adapter.dropout), seed: UInt64(truncatingIfNeeded: options.seed &* 1_000_003 &+ step),
        workspace: workspace)
    }
    let prompts = batch.map(\.prompt), scoredFrom = batch.map(\.scoredFrom)
    let total = batch.reduce(0) { $0 + $1.prompt.tokens.count - max(1, $1.scoredFrom) }
    var loss = 0.0, start = 0
    while start < prompts.count {
      let part = try TrainingBatch(
        prompts, scoredFrom: scoredFrom, from: start, rows: options.rows, weight: 1 / Float(total), model.configuration)
      loss += try pass.run(part, plan: nil, deepest: deepest)
      start = part.range.upperBound
    }
    let squares = parameters.reduce(0.0) { sum, parameter in
      let norm = parameter.gradient?.norm() ?? 0
      return sum + norm * norm
    }
    return (loss, squares.squareRoot())
  }

  private func scale(by factor: Float) {
    for parameter in parameters {
      guard let gradient = parameter.gradient else { continue }
      let values = gradient.mutablePointer
      parallelRanges(gradient.count, minimum: 1 << 14) { range in
        for i in range { values[i] *= factor }
      }
    }
  }

  /// Packs what changed.
  private func refresh() throws {
    if let adapter {
      let updates = adapter.updates
      parallel(updates.count) { updates[$0].refresh() }
    } else {
      try model.decoder.weights.refresh()
    }
  }

  // MARK: Checkpoints

  private func resume() throws -> Int {
    guard let folder = options.checkpoint,
      let step = try TrainingCheckpoint.read(folder, recipe: recipe, parameters, optimizer)
    else { return 0 }
    try refresh()
    return step
  }

  /// A hash of everything that the result follows from.
  public static func recipe(
    _ model: Model, _ adapter: Adapter?, teacher: Model? = nil, _ examples: [SupervisedExample],
    _ options: TrainingOptions
  ) -> String {
    var hash = SHA256()
    let o = options
    var text =
      "\(model.baseHash) \(model.precision) \(o.epochs) \(o.learningRate) \(o.batch) \(o.warmup) \(o.schedule) "
      + "\(o.weightDecay) \(o.clip) \(o.seed)"
    for other in model.adapters where other !== adapter { text += " + \(other.hash)" }
    if let teacher { text += " taught by \(teacher.hash) \(teacher.precision)" }
    if let adapter {
      let layers = Set(adapter.updates.map(\.module.layer)).sorted()
      text += " LoRA \(adapter.rank) \(adapter.alpha) \(adapter.dropout) \(adapter.targets) \(layers)"
    }
    hash.add(Array(text.utf8))
    for example in examples {
      example.prompt.tokens.withUnsafeBytes { hash.add($0) }
      withUnsafeBytes(of: example.scoredFrom) { hash.add($0) }
    }
    return hash.finish()
  }
}
