import Engine
import Foundation

/// Steps of training: forward, backward and update of 8 sequences of 128 tokens, all of them scored.
struct TrainCases {
  let bench: Bench
  let peaks: Peaks
  let path: String

  func run() throws {
    for precision in [WeightPrecision.f32, .bf16] {
      let names = ["train/lora/\(precision.rawValue)", "train/full/\(precision.rawValue)"]
      guard names.contains(where: bench.isWanted) else { continue }
      let model = try Model.load(path: path, precision: precision)
      if bench.isWanted(names[0]) { try lora(names[0], model) }
      if bench.isWanted(names[1]) { try measure(names[1], try model.trainable(), nil) }
    }
  }

  private func lora(_ name: String, _ model: Model) throws {
    try measure(name, model, try Adapter(for: model, rank: 16, alpha: 32))
  }

  private func measure(_ name: String, _ model: Model, _ adapter: Adapter?) throws {
    let c = model.configuration, count = 8, length = 128
    let examples = (0..<count).map { SupervisedExample(prompt: prompt(length, c, seed: $0), scoredFrom: 0) }
    var options = TrainingOptions()
    (options.batch, options.epochs, options.learningRate) = (count, 4, 1e-6)
    var best = Double.infinity, before = 0.0
    try Trainer(model, adapter: adapter, examples, options).run { progress in
      if progress.step > 1 { best = min(best, progress.seconds - before) }  // the first step packs transposed weights
      before = progress.seconds
      return true
    }
    // Backward: gradients of inputs, and of weights where they are trained, each as much as forward.
    let tokens = Double(count * length), passes = adapter == nil ? 3.0 : 2.0
    let weights = operationsPerToken(c) + 2 * Double(c.vocabularySize * c.dModel)
    let updates = adapter.map { 6 * Double($0.parameterCount) } ?? 0
    let attention = Double(count) * attentionOperations(c, length: length) * 3.5
    let work = tokens * (passes * weights + updates) + attention
    bench.report(name, tokens / best, "tok/s", share: work / best / peaks.arithmetic(model.precision))
  }
}
