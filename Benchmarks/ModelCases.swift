import Engine
import Foundation

/// Matrix arithmetic of one token, without the unembedding: two operations per weight.
func operationsPerToken(_ c: ModelConfiguration) -> Double {
  let attention = c.dModel * (2 * c.headCount + 2 * c.kvHeadCount) * c.dHead
  return 2 * Double(c.layerCount) * Double(attention + (c.isGated ? 3 : 2) * c.dModel * c.dMLP)
}

/// Scores and weighted values of a causal sequence of `length` tokens.
func attentionOperations(_ c: ModelConfiguration, length: Int) -> Double {
  c.layers.reduce(0) { sum, layer in
    let seen = (1...length).reduce(0) { $0 + min($1, layer.window ?? $1) }
    return sum + 4 * Double(c.headCount * c.dHead) * Double(seen)
  }
}

func prompt(_ count: Int, _ c: ModelConfiguration, seed: Int) -> Prompt {
  var random = RandomGenerator(seed: seed)
  return Prompt(tokens: (0..<count).map { _ in random.below(min(c.vocabularySize, 40_000)) })
}

/// Prefill, capture, decoding and generation of one model in one precision.
struct ModelCases {
  let bench: Bench
  let peaks: Peaks
  /// `gemma/`, or nothing for SmolLM2.
  let prefix: String
  let path: String
  let precision: WeightPrecision

  private var suffix: String { "/" + precision.rawValue }
  private func name(_ what: String) -> String { prefix + what + suffix }

  func run() throws {
    let isMain = prefix.isEmpty
    let prefills = isMain ? [512, 2048, 8192] : [512], decodes = isMain ? [1, 4, 16, 64] : [1]
    let names = prefills.map { name("prefill\($0)") } + decodes.map { name("decode\($0)") }
    guard (names + [name("capture16x128"), name("generate16x64")]).contains(where: bench.isWanted) else { return }
    let model = try Model.load(path: path, precision: precision), c = model.configuration
    _ = try model.run([prompt(16, c, seed: 0)], logits: .last)  // packs the unembedding
    for length in prefills where bench.isWanted(name("prefill\(length)")) { try prefill(model, length) }
    if isMain, bench.isWanted(name("capture16x128")) { try capture(model) }
    for count in decodes where bench.isWanted(name("decode\(count)")) { try decode(model, count) }
    if isMain, bench.isWanted(name("generate16x64")) { try generate(model) }
  }

  private func unembedding(_ c: ModelConfiguration) -> Double { 2 * Double(c.vocabularySize * c.dModel) }

  private func prefill(_ model: Model, _ length: Int) throws {
    let c = model.configuration
    let prompt = prompt(min(length, c.contextLength), c, seed: 1)
    let time = try best(of: length > 1000 ? 2 : 7) { _ = try model.run([prompt], logits: .last) }
    let work = Double(length) * operationsPerToken(c) + attentionOperations(c, length: length) + unembedding(c)
    bench.report(
      name("prefill\(length)"), Double(length) / time, "tok/s", share: work / time / peaks.arithmetic(precision))
  }

  private func capture(_ model: Model) throws {
    let c = model.configuration, prompts = (0..<16).map { prompt(128, c, seed: $0) }
    var sum: Float = 0
    let capture = CaptureRequest(site: .residPost, layers: Array(0..<c.layerCount)) { rows in
      sum += rows.pointer[0]
      _ = try rows.tensor()
    }
    let time = try best(of: 5) { _ = try model.run(prompts, logits: .none, captures: [capture]) }
    let work = 2048 * operationsPerToken(c) + 16 * attentionOperations(c, length: 128)
    bench.report(name("capture16x128"), 2048 / time, "tok/s", share: work / time / peaks.arithmetic(precision))
  }

  /// The least time that a step of `count` sequences can take: reading every weight once, or the arithmetic.
  private func leastStep(_ model: Model, _ count: Int) -> Double {
    let c = model.configuration
    let work = Double(count) * (operationsPerToken(c) + unembedding(c))
    return max(Double(model.memory.packs) / peaks.read, work / peaks.arithmetic(precision))
  }

  private func decode(_ model: Model, _ count: Int) throws {
    var options = GenerationOptions()
    options.ignoreEnd = true
    let prompts = (0..<count).map { prompt(16, model.configuration, seed: $0) }
    func time(_ tokens: Int) throws -> Double {
      options.maxTokens = tokens
      return try best(of: 3) { _ = try model.generate(prompts, options: options) }
    }
    let steps = 32
    let perStep = (try time(steps + 1) - (try time(1))) / Double(steps)
    bench.report(name("decode\(count)"), Double(count) / perStep, "tok/s", share: leastStep(model, count) / perStep)
  }

  private func generate(_ model: Model) throws {
    var options = GenerationOptions()
    options.ignoreEnd = true
    options.maxTokens = 64
    let prompts = (0..<16).map { prompt(16, model.configuration, seed: $0) }
    let time = try best(of: 3) { _ = try model.generate(prompts, options: options) }
    bench.report(name("generate16x64"), 1024 / time, "tok/s", share: 64 * leastStep(model, 16) / time)
  }
}
