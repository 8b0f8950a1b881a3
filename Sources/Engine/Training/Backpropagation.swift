import CKernels

/// A row of a batch whose next token is scored.
struct ScoredRow {
  let row: Int
  let target: Int
  /// What its negative log-likelihood counts in the loss.
  let weight: Float
}

/// Walks a recorded forward pass backwards: the adjoint of every operation of `Decoder`, block by block, over buffers
/// of the same shapes as the decoder's own.
///
/// Gradients go to the parameters that are asked for, to low-rank updates that are learning, and to captures,
/// which see the gradient of the loss with respect to a site's activations.
final class Backpropagation {
  let decoder: Decoder
  let workspace: Workspace
  /// Gradients of the checkpoint's own tensors; nil where none is wanted.
  let parameters: ParameterGradients?
  /// Whose distributions are learnt in place of the scored tokens; nil learns the tokens.
  var teacher: Teacher?
  private let record: ForwardRecord
  /// Gradients of the decoder's buffers.
  private let gradients: ActivationBuffers

  var forwardRecord: ForwardRecord { record }

  init(_ decoder: Decoder, parameters: ParameterGradients?, recomputing: Bool, workspace: Workspace) {
    self.decoder = decoder
    self.parameters = parameters
    self.workspace = workspace
    record = ForwardRecord(decoder.configuration, recomputing: recomputing)
    gradients = ActivationBuffers(decoder.configuration)
  }

  /// Gradients after `decoder.forward(tokens, sequences, record: forwardRecord)`, of the sum of weighted negative
  /// log-likelihoods of `scored`, or of weighted divergences from the teacher, which is returned. `deepest`: blocks
  /// below it are left out.
  func run(
    _ tokens: [Int], _ sequences: [BatchSequence], _ scored: [ScoredRow], plan: HookPlan?, deepest: Int
  ) throws -> Double {
    let rows = tokens.count, c = decoder.configuration
    try gradients.reserve(rows)
    let loss = try unembedding(rows, sequences, scored, plan)
    for layer in stride(from: c.layerCount - 1, through: max(0, deepest), by: -1) {
      try Interrupt.check()
      try block(layer, rows, sequences, plan)
    }
    if deepest <= 0 {
      try plan?.visit(.embed, layer: nil, sequences, gradients.stream, stride: c.dModel)
      embedding(tokens)
    }
    return loss
  }

  // MARK: Ends of the decoder

  /// Cross-entropy, unembedding and final norm over the scored rows, a few at a time: logits of all rows never exist.
  private func unembedding(
    _ rows: Int, _ sequences: [BatchSequence], _ scored: [ScoredRow], _ plan: HookPlan?
  ) throws -> Double {
    let c = decoder.configuration, d = c.dModel, vocabulary = c.vocabularySize, g = gradients
    let matrix = try decoder.weights.unembedding(), back = try decoder.weights.transposedUnembedding()
    let stream = try workspace.tensor([max(1, scored.count), d]),
      normed = try workspace.tensor([max(1, scored.count), d])
    let upstream = try workspace.tensor([max(1, scored.count), d])
    for (i, item) in scored.enumerated() {
      (stream.mutablePointer + i * d).update(from: decoder.workspace.stream + item.row * d, count: d)
    }
    decoder.norm(stream.pointer, decoder.weights.finalNorm, into: normed.mutablePointer, rows: scored.count)
    let chunk = max(16, min(512, (1 << 24) / vocabulary)), cap = Float(c.logitSoftCap ?? 0)
    let logits = try workspace.tensor([min(chunk, max(1, scored.count)), vocabulary])
    let target = parameters?[c.tiedEmbedding ? .embedding : .unembedding]
    let taught = try teacher.map { _ in try workspace.tensor(logits.shape) }
    var loss = 0.0
    for start in stride(from: 0, to: scored.count, by: chunk) {
      try Interrupt.check()
      let count = min(chunk, scored.count - start), base = logits.mutablePointer, x = normed.pointer + start * d
      matrix.multiply(x, rows: count, ldx: d, into: base, ldy: vocabulary)
      nonisolated(unsafe) let others = taught?.mutablePointer
      if let teacher, let others { try teacher.logits(start..<start + count, into: others) }
      var losses = [Double](repeating: 0, count: count)
      losses.withUnsafeMutableBufferPointer { losses in
        nonisolated(unsafe) let losses = losses.baseAddress!
        parallel(count) { i in
          let item = scored[start + i], row = base + i * vocabulary
          if cap > 0 { ck_soft_cap(vocabulary, row, cap) }
          let loss = others.map { ck_distillation_backward(vocabulary, row, $0 + i * vocabulary, item.weight, cap) }
          losses[i] =
            Double(item.weight)
            * (loss ?? ck_cross_entropy_backward(vocabulary, row, item.target, item.weight, cap))
        }
      }
      loss += losses.reduce(0, +)
      back.multiply(base, rows: count, ldx: vocabulary, into: upstream.mutablePointer + start * d, ldy: d)
      if let target {
        try TransposedProduct(x, rows: count, columns: d, ldx: d, workspace: workspace)
          .multiply(base, m: vocabulary, lddy: vocabulary, into: target.mutablePointer, ldy: d, adding: true)
      }
    }
    if let plan, plan.isUsed(.finalNorm, layer: nil) {
      g.normed.update(repeating: 0, count: rows * d)
      for (i, item) in scored.enumerated() {
        (g.normed + item.row * d).update(from: upstream.pointer + i * d, count: d)
      }
      try plan.visit(.finalNorm, layer: nil, sequences, g.normed, stride: d)
    }
    try normBackward(
      .finalNorm, layer: nil, decoder.weights.finalNorm, x: stream.pointer, dy: upstream.pointer,
      dx: upstream.mutablePointer, rows: scored.count, width: d, adding: false)
    g.stream.update(repeating: 0, count: rows * d)
    for (i, item) in scored.enumerated() {
      ck_add(1, d, g.stream + item.row * d, d, upstream.pointer + i * d, d)  // a row may be scored twice
    }
    return loss
  }

  private func embedding(_ tokens: [Int]) {
    let c = decoder.configuration, d = c.dModel, scale = Float(c.embeddingScale)
    for (target, index) in [
      (parameters?[.embedding], { tokens[$0] }),
      (c.learnedPositions ? parameters?[.positionEmbedding] : nil, { Int(self.decoder.workspace.positions[$0]) }),
    ] as [(Tensor?, (Int) -> Int)] {
      guard let target else { continue }
      let factor = c.learnedPositions ? 1 : scale
      for row in tokens.indices {
        let line = target.mutablePointer + index(row) * d, upstream = gradients.stream + row * d
        for i in 0..<d { line[i] += factor * upstream[i] }
      }
    }
  }

  // MARK: Blocks

  /// Turns the gradient of a block's output, in `gradients.stream`, into that of its input.
  private func block(_ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ plan: HookPlan?) throws {
    let c = decoder.configuration, d = c.dModel, kept = record.blocks[layer]
    var saved = kept
    if let remade = record.remade {
      decoder.workspace.stream.update(from: kept[.entry]!, count: rows * d)
      try decoder.block(layer, rows, sequences, nil, remade)
      saved = remade
    }
    try plan?.visit(.residPost, layer: layer, sequences, gradients.stream, stride: d)
    if c.isParallel {  // both branches saw the block's output
      let copy = try workspace.tensor([rows, d])
      copy.mutablePointer.update(from: gradients.stream, count: rows * d)
      try mlp(layer, rows, sequences, saved, plan, upstream: copy.pointer)
      try attention(layer, rows, sequences, saved, plan, upstream: copy.pointer)
    } else {
      try mlp(layer, rows, sequences, saved, plan, upstream: gradients.stream)
      try plan?.visit(.residMid, layer: layer, sequences, gradients.stream, stride: d)
      try attention(layer, rows, sequences, saved, plan, upstream: gradients.stream)
    }
    try plan?.visit(.residPre, layer: layer, sequences, gradients.stream, stride: d)
  }

  /// `upstream`: gradient of the stream after the MLP joined it.
  private func mlp(
    _ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ saved: BlockRecord, _ plan: HookPlan?,
    upstream: UnsafePointer<Float>
  ) throws {
    let c = decoder.configuration, g = gradients, w = decoder.workspace, d = c.dModel
    let weights = decoder.weights.blocks[layer], width = c.isGated ? 2 * c.dMLP : c.dMLP
    try plan?.visit(.mlpOut, layer: layer, sequences, UnsafeMutablePointer(mutating: upstream), stride: d)
    var branch = upstream
    if let norm = weights.postMLPNorm {
      try normBackward(
        .postMLPNorm, layer: layer, norm, x: saved[.mlpBranch]!, dy: upstream, dx: g.branch, rows: rows, width: d,
        adding: false)
      branch = UnsafePointer(g.branch)
    }
    let gateUp = saved[.gateUp]!
    if needsInput(.down, layer: layer) { decoder.activate(gateUp, rows: rows, into: w.gated) }
    try product(.down, layer: layer, x: w.gated, dy: branch, dx: g.gated, rows: rows)
    try plan?.visit(.mlpPost, layer: layer, sequences, g.gated, stride: c.dMLP)
    parallelRanges(rows, minimum: 4) { range in
      let at = range.lowerBound * width, gate = gateUp + at, slope = g.gateUp + at
      ck_gated_backward(
        range.count, c.dMLP, gate, c.isGated ? gate + c.dMLP : nil, width, g.gated + range.lowerBound * c.dMLP, c.dMLP,
        slope, c.isGated ? slope + c.dMLP : nil, width, c.activation.kernel)
    }
    try plan?.visit(.mlpPre, layer: layer, sequences, g.gateUp, stride: width)
    if c.isGated { try plan?.visit(.mlpUp, layer: layer, sequences, g.gateUp + c.dMLP, stride: width) }
    let entry = saved[c.isParallel ? .entry : .middle]!
    if needsInput(.gateUp, layer: layer) { decoder.norm(entry, weights.mlpNorm, into: w.normed, rows: rows) }
    try product(.gateUp, layer: layer, x: w.normed, dy: g.gateUp, dx: g.normed, rows: rows)
    try normBackward(
      .mlpNorm, layer: layer, weights.mlpNorm, x: entry, dy: g.normed, dx: g.stream, rows: rows, width: d, adding: true)
  }

  /// `upstream`: gradient of the stream after the attention joined it.
  private func attention(
    _ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ saved: BlockRecord, _ plan: HookPlan?,
    upstream: UnsafePointer<Float>
  ) throws {
    let c = decoder.configuration, g = gradients, w = decoder.workspace, d = c.dModel
    let weights = decoder.weights.blocks[layer]
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, zWidth = c.headCount * c.dHead
    try plan?.visit(.attnOut, layer: layer, sequences, UnsafeMutablePointer(mutating: upstream), stride: d)
    var branch = upstream
    if let norm = weights.postAttentionNorm {
      try normBackward(
        .postAttentionNorm, layer: layer, norm, x: saved[.attentionBranch]!, dy: upstream, dx: g.branch, rows: rows,
        width: d, adding: false)
      branch = UnsafePointer(g.branch)
    }
    try product(.output, layer: layer, x: saved[.weighted]!, dy: branch, dx: g.weighted, rows: rows)
    try plan?.visit(.z, layer: layer, sequences, g.weighted, stride: zWidth)
    heads(layer, sequences, saved)
    try rotaryBackward(layer, rows, sequences, saved)
    let keys = g.queryKeyValue + zWidth, values = keys + c.kvHeadCount * c.dHead
    try plan?.visit(.q, layer: layer, sequences, g.queryKeyValue, stride: width)
    try plan?.visit(.k, layer: layer, sequences, keys, stride: width)
    try plan?.visit(.v, layer: layer, sequences, values, stride: width)
    let entry = saved[.entry]!
    if needsInput(.queryKeyValue, layer: layer) {
      decoder.norm(entry, weights.attentionNorm, into: w.normed, rows: rows)
    }
    try product(.queryKeyValue, layer: layer, x: w.normed, dy: g.queryKeyValue, dx: g.normed, rows: rows)
    try normBackward(
      .attentionNorm, layer: layer, weights.attentionNorm, x: entry, dy: g.normed, dx: g.stream, rows: rows, width: d,
      adding: true)
  }

  /// Gradients of queries, keys and values from that of the weighted values.
  private func heads(_ layer: Int, _ sequences: [BatchSequence], _ saved: BlockRecord) {
    let c = decoder.configuration, g = gradients, groups = c.headCount / c.kvHeadCount
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, zWidth = c.headCount * c.dHead
    let queries = saved[.queryKeyValue]!, z = saved[.weighted]!
    let rule = ck_score_rule(
      scale: Float(c.scoreScale), soft_cap: Float(c.scoreSoftCap ?? 0), window: c.layers[layer].window ?? 0)
    parallel(sequences.count * c.kvHeadCount) { task in
      let sequence = sequences[task / c.kvHeadCount], head = task % c.kvHeadCount, count = sequence.span.count
      let q = sequence.row * width + head * groups * c.dHead, column = sequence.row * zWidth + head * groups * c.dHead
      let k = sequence.row * width + zWidth + head * c.dHead, v = k + c.kvHeadCount * c.dHead
      let floats = ck_attention_backward_scratch(count, groups, c.dHead)
      let scratch = ck_scratch(CK_SCRATCH_ATTENTION, floats * 4).bindMemory(to: Float.self, capacity: floats)
      ck_attention_backward(
        count, groups, c.dHead, rule, queries + q, queries + k, queries + v, width, z + column, g.weighted + column,
        zWidth, g.queryKeyValue + q, g.queryKeyValue + k, g.queryKeyValue + v, width, scratch)
    }
  }

  /// From queries and keys as they meet to queries and keys as they were projected.
  private func rotaryBackward(
    _ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ saved: BlockRecord
  ) throws {
    let c = decoder.configuration, g = gradients, weights = decoder.weights.blocks[layer]
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, qWidth = c.headCount * c.dHead
    decoder.rotaryTables.forEachRun(
      layer: layer, rows: rows, sequences, positions: decoder.workspace.positions
    ) { run in
      guard let table = run.table else { return }
      parallelRanges(run.rows.count, minimum: 16) { range in
        let queries = g.queryKeyValue + (run.rows.lowerBound + range.lowerBound) * width
        let positions = run.positions + range.lowerBound
        ck_rotary_backward(
          range.count, c.headCount, c.dHead, table.dimensions, queries, width, positions, table.cosines, table.sines)
        ck_rotary_backward(
          range.count, c.kvHeadCount, c.dHead, table.dimensions, queries + qWidth, width, positions, table.cosines,
          table.sines)
      }
    }
    guard c.queryKeyNorm, let before = saved[.unnormed] else { return }
    for (role, norm, heads, first) in [
      (WeightRole.queryNorm, weights.queryNorm, c.headCount, 0), (.keyNorm, weights.keyNorm, c.kvHeadCount, qWidth),
    ] {
      guard let norm else { continue }
      let target = parameters?[role, layer: layer]
      let epsilon = Float(c.normEpsilon), chunks = (rows + 63) / 64
      let sums = try target.map { _ in try Tensor.zeros([chunks, c.dHead]) }
      parallel(chunks) { chunk in
        for row in chunk * 64..<min(rows, chunk * 64 + 64) {
          let slope = g.queryKeyValue + row * width + first
          ck_rms_norm_backward(
            heads, c.dHead, before + row * width + first, c.dHead, norm.weight, epsilon, slope, c.dHead, slope, c.dHead,
            false, sums.map { $0.mutablePointer + chunk * c.dHead })
        }
      }
      if let target, let sums { ck_column_sums(chunks, c.dHead, sums.pointer, c.dHead, target.mutablePointer) }
    }
  }

  // MARK: Operations

  /// Whether the gradients of a matrix's weights are wanted, for which its input must be there.
  private func needsInput(_ matrix: BlockMatrix, layer: Int) -> Bool {
    !decoder.updates(of: matrix, layer: layer).isEmpty || parameters?.wants(matrix, layer: layer) == true
  }

  /// Gradients of a product `y = x wᵀ` with its updates: of x into `dx`, of weights and updates where they are kept.
  private func product(
    _ matrix: BlockMatrix, layer: Int, x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>, rows: Int
  ) throws {
    let back = try decoder.weights.transposed(matrix, layer: layer), outputs = back.inputs, inputs = back.outputs
    back.multiply(dy, rows: rows, ldx: outputs, into: dx, ldy: inputs)
    try parameters?.add(matrix, layer: layer, dy: dy, x: x, rows: rows)
    for update in decoder.updates(of: matrix, layer: layer) {
      guard update.isLearning, let dropout = decoder.dropout,
        let masked = try dropout.masked(x, rows: rows, module: update.module)
      else {
        try update.backward(x, rows: rows, dy: dy, ldy: outputs, dx: dx, workspace: workspace)
        continue
      }
      let slope = try workspace.tensor([rows, inputs])
      slope.mutablePointer.update(repeating: 0, count: slope.count)
      try update.backward(
        masked.pointer, rows: rows, dy: dy, ldy: outputs, dx: slope.mutablePointer, workspace: workspace)
      dropout.drop(slope.pointer, into: slope.mutablePointer, rows: rows, module: update.module)
      parallelRanges(rows, minimum: 16) { range in
        let at = range.lowerBound * inputs
        ck_add(range.count, inputs, dx + at, inputs, slope.pointer + at, inputs)
      }
    }
  }

  /// Gradient of a norm, whose weights' gradients are summed over runs of 64 rows and then over runs, so that the sum
  /// does not depend on the number of threads.
  private func normBackward(
    _ role: WeightRole, layer: Int?, _ norm: NormWeights, x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>, rows: Int, width d: Int, adding: Bool
  ) throws {
    let target = parameters?[role, layer: layer], biasTarget = parameters?.bias(of: role, layer: layer)
    let chunks = (rows + 63) / 64, epsilon = Float(decoder.configuration.normEpsilon)
    guard chunks > 0 else { return }
    let learns = target != nil || biasTarget != nil
    let sums = learns ? try Tensor.zeros([chunks, 2, d]) : nil
    parallel(chunks) { chunk in
      let first = chunk * 64, count = min(64, rows - first), at = first * d
      let weightSums = sums.map { $0.mutablePointer + chunk * 2 * d }
      if norm.bias == nil {
        ck_rms_norm_backward(count, d, x + at, d, norm.weight, epsilon, dy + at, d, dx + at, d, adding, weightSums)
      } else {
        ck_layer_norm_backward(
          count, d, x + at, d, norm.weight, epsilon, dy + at, d, dx + at, d, adding, weightSums,
          weightSums.map { $0 + d })
      }
    }
    guard let sums else { return }
    if let target { ck_column_sums(chunks, d, sums.pointer, 2 * d, target.mutablePointer) }
    if let biasTarget { ck_column_sums(chunks, d, sums.pointer + d, 2 * d, biasTarget.mutablePointer) }
  }
}
