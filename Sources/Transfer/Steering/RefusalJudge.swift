import Engine
import Foundation

/// Scores candidates against the model as it is. Additions begin at their layer, from streams that were kept once;
/// ablations, which change every layer, are only judged where the addition leaves a candidate in the running.
struct RefusalJudge {
  let model: Model, prompts: RefusalDirection.Prompts, tokens: [Int]
  /// Streams of the harmless validation prompts at the input of every candidate's layer; empty where they would take
  /// more memory than `streamBudget`.
  private let streams: [Int: [Tensor]]
  private static let streamBudget = 1 << 30
  /// Next-token distribution on harmless validation prompts, `[vocab]` each.
  private let baseline: [Tensor]

  init(_ model: Model, _ prompts: RefusalDirection.Prompts, layers: [Int], tokens: [Int]) throws {
    (self.model, self.prompts, self.tokens) = (model, prompts, tokens)
    let rows = prompts.harmlessValidation.reduce(0) { $0 + $1.tokens.count }
    let bytes = rows * layers.count * model.configuration.dModel * MemoryLayout<Float>.stride
    var kept: [Int: [Int: Tensor]] = [:]
    let capture = CaptureRequest(site: .residPre, layers: layers) { rows in
      kept[rows.layer ?? 0, default: [:]][rows.sequence] = try rows.tensor()
    }
    let keeps = bytes <= RefusalJudge.streamBudget && !layers.isEmpty && model.interventions.isEmpty
    baseline = try model.run(prompts.harmlessValidation, logits: .last, captures: keeps ? [capture] : [])
      .compactMap { try $0.logits?.softmax() }
    streams = kept.mapValues { bySequence in bySequence.keys.sorted().compactMap { bySequence[$0] } }
  }

  func judge(_ direction: Tensor, layer: Int, position: Int, ablatesAlways: Bool) throws -> RefusalCandidate {
    let steering = try steered(direction, layer)
    guard steering >= 0 || ablatesAlways else {
      return RefusalCandidate(layer: layer, position: position, refusal: .nan, steering: steering, divergence: .nan)
    }
    let (refusal, divergence) = try ablated(direction)
    return RefusalCandidate(
      layer: layer, position: position, refusal: refusal, steering: steering, divergence: divergence)
  }

  /// Mean refusal score of harmless prompts with the direction added.
  private func steered(_ direction: Tensor, _ layer: Int) throws -> Double {
    let addition = Intervention(
      kind: "add", places: [.init(site: .residPre, layer: layer)],
      effect: .add(direction, coefficient: 1, scale: .raw))
    let start = streams[layer].map { StreamStart(layer: layer, streams: $0) }
    let logits = try applying(addition) {
      try model.run(prompts.harmlessValidation, logits: .last, start: start).compactMap(\.logits)
    }
    return mean(try logits.map { try refusalScore($0, tokens: tokens) })
  }

  /// Mean refusal score of harmful prompts, and divergence on harmless ones, with the direction ablated.
  private func ablated(_ direction: Tensor) throws -> (refusal: Double, divergence: Double) {
    let everywhere = (0..<model.configuration.layerCount).flatMap { layer in
      [Site.residPre, .attnOut, .mlpOut].map { Intervention.Place(site: $0, layer: layer) }
    }
    let ablation = Intervention(kind: "ablate", places: everywhere, effect: .ablate(direction))
    let ablated = try applying(ablation) {
      try model.run(prompts.harmfulValidation + prompts.harmlessValidation, logits: .last).compactMap(\.logits)
    }
    let count = prompts.harmfulValidation.count
    return (
      mean(try ablated[..<count].map { try refusalScore($0, tokens: tokens) }), divergence(Array(ablated[count...]))
    )
  }

  private func applying<Result>(_ intervention: Intervention, _ body: () throws -> Result) throws -> Result {
    let id = try model.interventions.register(intervention)
    defer { model.interventions.remove(id) }
    return try body()
  }

  /// Mean over prompts of `sum p0 (log(p0 + 1e-6) - log(p1 + 1e-6))`, as the paper's code computes it.
  private func divergence(_ logits: [Tensor]) -> Double {
    var sums = Array(repeating: 0.0, count: logits.count)
    sums.withUnsafeMutableBufferPointer { sums in
      let target = sums.baseAddress!
      parallel(logits.count) { row in
        let p = baseline[row].pointer, x = logits[row].pointer, count = logits[row].count
        let normaliser = logSumExp(x, count)
        var sum = 0.0
        for i in 0..<count {
          let p0 = Double(p[i])
          sum += p0 * (log(p0 + 1e-6) - log(exp(Double(x[i]) - normaliser) + 1e-6))
        }
        target[row] = sum
      }
    }
    return mean(sums)
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}
