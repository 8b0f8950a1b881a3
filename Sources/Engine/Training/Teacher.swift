import CKernels

/// A model whose next-token distributions another model learns in place of the tokens themselves (Hinton et al. 2015,
/// at temperature 1): the loss is KL(teacher || model), averaged over scored tokens.
final class Teacher {
  private let model: Model
  private let workspace = Workspace()
  /// Final norm of the scored rows, `[scored, dModel]`.
  private var normed: Tensor?

  /// Throws `.argument` where the two do not share a vocabulary, are the same model, or interventions are registered.
  init(_ model: Model, of student: Model) throws {
    guard model !== student else {
      throw EngineError(.argument, "training: \(model.name) cannot be its own teacher; load it a second time")
    }
    try student.requireSameTokens(as: model, for: "a teacher's distributions")
    try model.refuseInterventions("a teacher")
    self.model = model
  }

  /// Runs a batch, whose scored rows `logits` is then asked for.
  func run(_ batch: TrainingBatch) throws {
    let c = model.configuration, d = c.dModel, decoder = model.decoder
    let sequences = try batch.sequences.map {
      BatchSequence(
        index: $0.index, row: $0.row, span: $0.span,
        cache: try KeyValueCache(c, positions: $0.span.count, layers: 1))
    }
    try model.exclusively { try decoder.forward(batch.tokens, sequences, plan: nil) }
    normed = nil
    let rows = try workspace.tensor([max(1, batch.scored.count), d])
    let result = try workspace.tensor(rows.shape)
    for (i, item) in batch.scored.enumerated() {
      (rows.mutablePointer + i * d).update(from: decoder.workspace.stream + item.row * d, count: d)
    }
    decoder.norm(rows.pointer, decoder.weights.finalNorm, into: result.mutablePointer, rows: batch.scored.count)
    normed = result
  }

  /// Logits of scored rows of the last batch, `[rows.count, vocabulary]`.
  func logits(_ rows: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
    guard let normed else { return }
    let c = model.configuration, vocabulary = c.vocabularySize
    try model.decoder.weights.unembedding().multiply(
      normed.pointer + rows.lowerBound * c.dModel, rows: rows.count, ldx: c.dModel, into: target, ldy: vocabulary)
    guard let cap = c.logitSoftCap else { return }
    nonisolated(unsafe) let target = target
    parallel(rows.count) { ck_soft_cap(vocabulary, target + $0 * vocabulary, Float(cap)) }
  }
}
