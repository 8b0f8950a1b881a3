/// A loss and its gradients.
public struct LossGradients: Sendable {
  /// Mean negative log-likelihood of the scored tokens, in nats.
  public let loss: Double
  /// Scored tokens.
  public let tokens: Int
  /// By the checkpoint's names, in its shapes.
  public let parameters: [String: Tensor]
}

extension Model {
  /// Gradients of the mean negative log-likelihood of all scored tokens of all prompts: those from 0-based index
  /// `scoredFrom[i]` on, never the first.
  ///
  /// `parameters`: names of checkpoint tensors whose gradients are wanted, in their shapes. `captures` see gradients
  /// with respect to activations, at the sites and positions they ask for, batch by batch. Attached adapters take part;
  /// weights that are kept in bf16 or quantised are used as they are. Throws `.missing` for an unknown name,
  /// `.argument` where interventions are registered or nothing is scored, and as `run`.
  public func gradients(
    _ prompts: [Prompt], scoredFrom: [Int], parameters names: [String] = [], captures: [CaptureRequest] = []
  ) throws -> LossGradients {
    try check(prompts)
    try refuseInterventions("gradients")
    let total = zip(prompts, scoredFrom).reduce(0) { $0 + max(0, $1.0.tokens.count - max(1, $1.1)) }
    guard total > 0 else {
      throw EngineError(.argument, "gradients: no token is scored; texts need at least two tokens")
    }
    for capture in captures where capture.site.isAttentionMatrix {
      throw EngineError(.argument, "gradients are not kept at \(capture.site.rawValue); z, q, k and v have them")
    }
    let workspace = Workspace()
    let parameters =
      names.isEmpty
      ? nil : try ParameterGradients(decoder.weights.source, names: names, workspace: workspace)
    let lengths = prompts.map(\.tokens.count)
    let longest = max(lengths.max() ?? 0, min(Model.batchRows, lengths.reduce(0, +)))
    let bytes = ForwardRecord.bytes(decoder.configuration, rows: longest)
    let pass = Backpropagation(
      decoder, parameters: parameters, recomputing: captures.isEmpty && bytes > TrainingOptions().activationBytes,
      workspace: workspace)
    let plan = try makePlan(nil, captures, prompts, limits: prompts.map(\.tokens.count))
    let deepest = names.isEmpty ? captures.flatMap { $0.site.hasLayer ? $0.layers : [0] }.min() ?? 0 : 0
    var loss = 0.0
    try exclusively {
      var start = 0
      while start < prompts.count {
        let batch = try TrainingBatch(
          prompts, scoredFrom: scoredFrom, from: start, rows: Model.batchRows, weight: 1 / Float(total), configuration)
        loss += try pass.run(batch, plan: plan, deepest: deepest)
        start = batch.range.upperBound
      }
    }
    return LossGradients(loss: loss, tokens: total, parameters: parameters?.tensors ?? [:])
  }

  func refuseInterventions(_ what: String) throws {
    guard interventions.isEmpty else {
      throw EngineError(
        .argument,
        "\(what): \(name) has \(interventions.entries.count) interventions, which gradients do not pass "
          + "through; remove them first")
    }
  }
}

/// Sequences packed for one pass, and the rows that are scored.
struct TrainingBatch {
  /// Of the prompts.
  let range: Range<Int>
  private(set) var tokens: [Int] = []
  private(set) var sequences: [BatchSequence] = []
  private(set) var scored: [ScoredRow] = []

  /// Takes prompts from `from` on until they have `rows` rows; at least one.
  init(
    _ prompts: [Prompt], scoredFrom: [Int], from start: Int, rows: Int, weight: Float,
    _ configuration: ModelConfiguration
  ) throws {
    var end = start, count = 0
    while end < prompts.count, end == start || count + prompts[end].tokens.count <= rows {
      count += prompts[end].tokens.count
      end += 1
    }
    range = start..<end
    for i in range {
      let own = prompts[i].tokens, row = tokens.count
      sequences.append(
        BatchSequence(
          index: i, row: row, span: 0..<own.count,
          cache: try KeyValueCache(configuration, positions: own.count, layers: 1)))
      for index in max(1, scoredFrom[i])..<max(1, scoredFrom[i], own.count) {
        scored.append(ScoredRow(row: row + index - 1, target: own[index], weight: weight))
      }
      tokens += own
    }
  }
}

extension Backpropagation {
  /// A forward and a backward pass; the batch's share of the loss.
  func run(_ batch: TrainingBatch, plan: HookPlan?, deepest: Int) throws -> Double {
    try teacher?.run(batch)
    try decoder.forward(batch.tokens, batch.sequences, plan: nil, record: forwardRecord)
    return try run(batch.tokens, batch.sequences, batch.scored, plan: plan, deepest: deepest)
  }
}
