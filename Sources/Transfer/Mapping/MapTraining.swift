import Engine

/// Where a fit stands; passed to the progress callback after every epoch, and often in between.
public struct MapTrainingProgress: Sendable {
  public let step: Int, steps: Int
  public let epoch: Int, epochs: Int
  /// Mean of the epoch's batches so far, in the units trained on (deviations, or raw ones with the paper's preset).
  public let loss: Double
  /// At the end of an epoch, where texts were held out.
  public let heldOutLoss: Double?
}

/// Fitting by gradient descent through the tape: the autoencoder, and an affine map for comparison.
struct MapTraining {
  let plan: MapperOptions.Plan
  let seed: Int
  let source: Standardisation, target: Standardisation
  private(set) var parameters: [Parameter] = []

  init(
    method: MapperOptions.Method, plan: MapperOptions.Plan, seed: Int, source: Standardisation, target: Standardisation
  ) throws {
    (self.plan, self.seed, self.source, self.target) = (plan, seed, source, target)
    let dFrom = source.means.count, dTo = target.means.count
    let sizes = method == .autoencoder ? [(dFrom, plan.hidden), (plan.hidden, dTo)] : [(dFrom, dTo)]
    for (layer, size) in sizes.enumerated() {
      // Uniform within 1 / sqrt(inputs), weights and biases: the usual start of a linear layer.
      let bound = Float(1 / Double(max(1, size.0)).squareRoot())
      let weight = try Tensor.uniform([size.1, size.0], in: -bound..<bound, seed: seed &+ 1000 + 2 * layer)
      let bias = try Tensor.uniform([size.1], in: -bound..<bound, seed: seed &+ 1001 + 2 * layer)
      parameters += [try Parameter("layer\(layer).weight", weight), try Parameter("layer\(layer).bias", bias)]
    }
  }

  private func forward(_ x: Variable) throws -> Variable {
    let p = parameters.map(x.tape.parameter)
    let first = try x.linear(p[0], bias: p[1])
    return p.count == 2 ? first : try first.relu().linear(p[2], bias: p[3])
  }

  /// How a run went.
  struct Outcome {
    var epochs: [MapReport.Epoch] = []
    var converged: Bool?
    /// The epoch whose parameters were kept.
    var best = 0
  }

  /// Trains on rows `training` of `pairs`. With a fixed number of epochs the loss on `heldOut` is measured after each;
  /// with patience, the one on `validation` decides.
  /// Throws `.interrupted` on Ctrl-C and `.numeric` where the loss is no number any more.
  func run(
    _ pairs: ActivationPairs, training: [Int], heldOut: [Int], validation: [Int],
    progress: (MapTrainingProgress) throws -> Void
  ) throws -> Outcome {
    let optimiser = try Adam(parameters, learningRate: plan.learningRate, weightDecay: plan.weightDecay)
    let tape = Tape()
    var generator = RandomGenerator(seed: seed), outcome = Outcome()
    var stopping = plan.patience.map { EarlyStopping(patience: $0) }
    let measured = stopping == nil ? heldOut : validation
    var batches = shuffledBatches(pairs, training, &generator)
    let steps = batches.count * plan.epochs
    var step = 0
    for epoch in 1...plan.epochs {
      if epoch > 1 { batches = shuffledBatches(pairs, training, &generator) }
      var sum = 0.0, seen = 0
      for batch in batches {
        try Interrupt.check()
        if plan.lateFall, stopping == nil {
          optimiser.learningRate = plan.learningRate * (10 * step >= 7 * steps ? 0.1 : 1)
        }
        let loss = try self.loss(batch[...], of: pairs, on: tape, isTraining: true)
        guard loss.isFinite else {
          throw EngineError(.numeric, "the map's loss became \(loss) in step \(step + 1); try a lower lr")
        }
        optimiser.step()
        sum += loss * Double(batch.count)
        seen += batch.count
        step += 1
        if step % 16 == 0 {
          try progress(
            .init(
              step: step, steps: steps, epoch: epoch, epochs: plan.epochs, loss: sum / Double(seen), heldOutLoss: nil))
        }
      }
      let other = measured.isEmpty ? nil : try meanLoss(measured, of: pairs, on: tape)
      outcome.epochs.append(
        .init(
          epoch: epoch, loss: sum / Double(seen), heldOut: stopping == nil ? other : nil,
          validation: stopping == nil ? nil : other, learningRate: optimiser.learningRate))
      outcome.best = epoch
      try progress(
        .init(
          step: step, steps: steps, epoch: epoch, epochs: plan.epochs, loss: sum / Double(seen),
          heldOutLoss: other))
      if stopping != nil, let other {
        let next = try stopping?.take(other, epoch: epoch, parameters) ?? .goOn
        if next == .stop { break }
        if next == .slower {
          stopping?.restore(parameters)
          optimiser.learningRate *= 0.1
        }
      }
    }
    if let stopping {
      stopping.restore(parameters)
      (outcome.converged, outcome.best) = (stopping.hasStopped, stopping.bestEpoch)
    }
    return outcome
  }

  /// Batches of shuffled rows, or of all rows of 16 shuffled texts.
  private func shuffledBatches(
    _ pairs: ActivationPairs, _ rows: [Int], _ generator: inout RandomGenerator
  ) -> [[Int]] {
    if let size = plan.batchRows {
      let order = generator.permutation(rows.count).map { rows[$0] }
      return stride(from: 0, to: order.count, by: size).map { Array(order[$0..<min(order.count, $0 + size)]) }
    }
    let texts = Dictionary(grouping: rows) { pairs.rows[$0].text }.sorted { $0.key < $1.key }.map(\.value)
    let order = generator.permutation(texts.count).map { texts[$0] }
    return stride(from: 0, to: order.count, by: plan.batchTexts).map {
      Array(order[$0..<min(order.count, $0 + plan.batchTexts)].joined())
    }
  }

  private func loss(
    _ rows: ArraySlice<Int>, of pairs: ActivationPairs, on tape: Tape, isTraining: Bool
  ) throws -> Double {
    let x = try Tensor(uninitialized: [rows.count, pairs.sourceWidth]),
      y = try Tensor(uninitialized: [rows.count, pairs.targetWidth])
    source.gather(rows, of: pairs.source, into: x)
    target.gather(rows, of: pairs.target, into: y)
    let loss = try forward(tape.constant(x)).meanSquaredError(tape.constant(y))
    if isTraining { try tape.backward(from: loss) } else { tape.reset() }
    return Double(loss.value.pointer[0])
  }

  private func meanLoss(_ rows: [Int], of pairs: ActivationPairs, on tape: Tape) throws -> Double {
    var sum = 0.0
    for start in stride(from: 0, to: rows.count, by: 1024) {
      try Interrupt.check()
      let block = rows[start..<min(rows.count, start + 1024)]
      sum += try loss(block, of: pairs, on: tape, isTraining: false) * Double(block.count)
    }
    return sum / Double(rows.count)
  }

  /// The trained map on raw activations: standardisation folded into its layers.
  func result() throws -> any Mapper {
    let first = try source.foldedIntoInput(weight: parameters[0].value, bias: parameters[1].value)
    guard parameters.count == 4 else {
      let whole = try target.foldedIntoOutput(weight: first.weight, bias: first.bias)
      return try AffineMap(weight: whole.weight, bias: whole.bias)
    }
    let last = try target.foldedIntoOutput(weight: parameters[2].value, bias: parameters[3].value)
    return try AutoencoderMap(
      encoderWeight: first.weight, encoderBias: first.bias, decoderWeight: last.weight, decoderBias: last.bias)
  }
}
