import CKernels

/// The transformer decoder: embedding, blocks, final norm, unembedding, for every family, over packed rows.
///
/// A batch is `[rows, dModel]` without padding; each sequence owns a run of rows and a cache. Sites are visited in the
/// order of the computation; one nobody uses costs a look into a table.
final class Decoder {
  private(set) var configuration: ModelConfiguration
  let weights: DecoderWeights
  let workspace: ActivationBuffers
  let rotaryTables: RotaryTables
  /// Low-rank updates of all attached adapters, by layer and matrix; empty where there are none.
  private var updates: [[LowRankUpdate]] = []
  /// Drops inputs of adapters while they are trained.
  var dropout: Dropout?
  /// A pass is under way: its weights stay as they are.
  private(set) var isRunning = false

  init(weights: DecoderWeights) {
    self.weights = weights
    configuration = weights.source.configuration
    workspace = ActivationBuffers(configuration)
    rotaryTables = RotaryTables(configuration)
  }

  /// Updates of a block's matrix, in the order of their adapters.
  func updates(of matrix: BlockMatrix, layer: Int) -> [LowRankUpdate] {
    updates.isEmpty ? [] : updates[layer * BlockMatrix.allCases.count + matrix.rawValue]
  }

  /// Uses these updates and no others from now on.
  func use(_ list: [LowRankUpdate]) {
    guard !list.isEmpty else { return updates = [] }
    updates = Array(repeating: [], count: configuration.layerCount * BlockMatrix.allCases.count)
    for update in list {
      updates[update.module.layer * BlockMatrix.allCases.count + update.module.matrix.rawValue].append(update)
    }
  }

  /// Computes with the model's weights as overlays change them; `layers`: blocks that these or the last ones change.
  func use(_ overlays: [AdapterOverlay], layers: Set<Int>) throws {
    try weights.use(try weights.base.adapted(by: overlays), layers: layers)
    configuration = weights.source.configuration
  }

  /// Runs tokens through all blocks and leaves the final residual stream in the workspace.
  ///
  /// `tokens` are the rows of all sequences, one after the other. Keys and values of the rows join each sequence's
  /// cache. Throws `.token` for ids out of range, `.interrupted` on Ctrl-C, and what hooks throw.
  /// `depth`: blocks to run, where later ones matter to nobody.
  /// `start`: the residual stream at the input of a block, in place of what the blocks before it would compute.
  /// `record`: keeps what gradients need.
  func forward(
    _ tokens: [Int], _ sequences: [BatchSequence], plan: HookPlan?, depth: Int? = nil, start: StreamStart? = nil,
    record: ForwardRecord? = nil
  ) throws {
    let rows = tokens.count, w = workspace, c = configuration
    isRunning = true
    defer { isRunning = false }
    try w.reserve(rows)
    try record?.reserve(rows)
    for sequence in sequences {
      for (i, position) in sequence.span.enumerated() { w.positions[sequence.row + i] = Int32(position) }
    }
    rotaryTables.prepare(sequences)
    if let start {
      for sequence in sequences { start.copy(sequence, into: w.stream) }
    } else {
      try embed(tokens)
      try plan?.visit(.embed, layer: nil, sequences, w.stream, stride: c.dModel)
    }
    let first = start?.layer ?? 0
    for layer in first..<max(first, min(depth ?? c.layerCount, c.layerCount)) {
      try block(layer, rows, sequences, plan, record?.blocks[layer])
    }
    for sequence in sequences { sequence.cache.length = sequence.span.upperBound }
  }

  /// Runs the workspace's stream through one block.
  func block(_ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ plan: HookPlan?, _ record: BlockRecord?) throws
  {
    try Interrupt.check()
    try attention(layer, rows, sequences, plan, record)
    try mlp(layer, rows, sequences, plan, record)
  }

  private func embed(_ tokens: [Int]) throws {
    let c = configuration, stream = workspace.stream, failure = FirstError()
    for token in tokens where !(0..<c.vocabularySize).contains(token) {
      throw EngineError(
        .token, "token id \(token) is out of range: the vocabulary has ids 0 to \(c.vocabularySize - 1)")
    }
    parallelRanges(tokens.count, minimum: 16) { range in
      failure.catching {
        for row in range {
          try self.weights.embed(
            tokens[row], position: Int(self.workspace.positions[row]), into: stream + row * c.dModel)
        }
      }
    }
    try failure.rethrow()
  }

  func norm(_ x: UnsafePointer<Float>, _ weights: NormWeights, into y: UnsafeMutablePointer<Float>, rows: Int) {
    let d = configuration.dModel, epsilon = Float(configuration.normEpsilon)
    weights.weight.withUnsafeBufferPointer { weight in
      let base = weight.baseAddress!
      guard let bias = weights.bias else {
        return parallelRanges(rows, minimum: 16) { range in
          ck_rms_norm(range.count, d, x + range.lowerBound * d, d, base, epsilon, y + range.lowerBound * d, d)
        }
      }
      bias.withUnsafeBufferPointer { bias in
        let biasBase = bias.baseAddress!
        parallelRanges(rows, minimum: 16) { range in
          ck_layer_norm(
            range.count, d, x + range.lowerBound * d, d, base, biasBase, epsilon, y + range.lowerBound * d, d)
        }
      }
    }
  }

  /// `y [rows, outputs] = x [rows, inputs] wᵀ + bias`, and what adapters add.
  private func multiply(
    _ x: UnsafePointer<Float>, _ matrix: BlockMatrix, layer: Int, rows: Int, into y: UnsafeMutablePointer<Float>
  ) throws {
    let projection = weights.blocks[layer][matrix], width = projection.matrix.outputs
    projection.matrix.multiply(x, rows: rows, ldx: projection.matrix.inputs, into: y, ldy: width)
    projection.bias?.withUnsafeBufferPointer { bias in
      let base = bias.baseAddress!
      parallelRanges(rows, minimum: 16) { range in
        ck_add(range.count, width, y + range.lowerBound * width, width, base, 0)
      }
    }
    for update in updates(of: matrix, layer: layer) {
      let input = update.isLearning ? try dropout?.masked(x, rows: rows, module: update.module) : nil
      update.apply(input?.pointer ?? x, rows: rows, into: y, ldy: width)
    }
  }

  private func addBranch(rows: Int) {
    let d = configuration.dModel, stream = workspace.stream, branch = workspace.branch
    parallelRanges(rows, minimum: 64) { range in
      ck_add(range.count, d, stream + range.lowerBound * d, d, branch + range.lowerBound * d, d)
    }
  }

  // MARK: Attention

  private func attention(
    _ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ plan: HookPlan?, _ record: BlockRecord?
  ) throws {
    let w = workspace, c = configuration, block = weights.blocks[layer], d = c.dModel
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, zWidth = c.headCount * c.dHead
    let keys = w.queryKeyValue + zWidth, values = keys + c.kvHeadCount * c.dHead
    try plan?.visit(.residPre, layer: layer, sequences, w.stream, stride: d)
    record?.save(.entry, w.stream, rows: rows)
    norm(w.stream, block.attentionNorm, into: w.normed, rows: rows)
    try multiply(w.normed, .queryKeyValue, layer: layer, rows: rows, into: w.queryKeyValue)
    try plan?.visit(.q, layer: layer, sequences, w.queryKeyValue, stride: width)
    try plan?.visit(.k, layer: layer, sequences, keys, stride: width)
    try plan?.visit(.v, layer: layer, sequences, values, stride: width)
    if c.isParallel { norm(w.stream, block.mlpNorm, into: w.normed, rows: rows) }  // before attention joins the stream
    record?.save(.unnormed, w.queryKeyValue, rows: rows)
    rotaryTables.forEachRun(layer: layer, rows: rows, sequences, positions: w.positions) { rotate(layer, $0) }
    record?.save(.queryKeyValue, w.queryKeyValue, rows: rows)
    for sequence in sequences {
      for cache in [sequence.cache] + sequence.followers {
        cache.store(
          layer: layer, first: sequence.span.lowerBound, rows: sequence.span.count, keys: keys + sequence.row * width,
          values: values + sequence.row * width, stride: width)
      }
    }
    let rule = ck_score_rule(
      scale: Float(c.scoreScale), soft_cap: Float(c.scoreSoftCap ?? 0), window: c.layers[layer].window ?? 0)
    if let plan, plan.isUsed(.attnScores, layer: layer) || plan.isUsed(.pattern, layer: layer) {
      for sequence in sequences { try visibleAttention(layer, sequence, rule, plan) }
    } else {
      blockedAttention(layer, sequences, rule)
    }
    try plan?.visit(.z, layer: layer, sequences, w.weighted, stride: zWidth)
    record?.save(.weighted, w.weighted, rows: rows)
    try multiply(w.weighted, .output, layer: layer, rows: rows, into: w.branch)
    record?.save(.attentionBranch, w.branch, rows: rows)
    if let weights = block.postAttentionNorm { norm(w.branch, weights, into: w.branch, rows: rows) }
    try plan?.visit(.attnOut, layer: layer, sequences, w.branch, stride: d)
    addBranch(rows: rows)
    if !c.isParallel { try plan?.visit(.residMid, layer: layer, sequences, w.stream, stride: d) }
    record?.save(.middle, w.stream, rows: rows)
  }

  /// QK-norm where the family has it, then rotary, on queries and keys in place.
  private func rotate(_ layer: Int, _ run: RotaryRun) {
    let w = workspace, c = configuration, block = weights.blocks[layer]
    let table = run.table
    guard table != nil || c.queryKeyNorm else { return }
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, qWidth = c.headCount * c.dHead
    let epsilon = Float(c.normEpsilon)
    parallelRanges(run.rows.count, minimum: 16) { range in
      let queries = w.queryKeyValue + (run.rows.lowerBound + range.lowerBound) * width, keys = queries + qWidth
      if let weight = block.queryNorm?.weight {
        for row in 0..<range.count {
          let start = queries + row * width
          ck_rms_norm(c.headCount, c.dHead, start, c.dHead, weight, epsilon, start, c.dHead)
        }
      }
      if let weight = block.keyNorm?.weight {
        for row in 0..<range.count {
          let start = keys + row * width
          ck_rms_norm(c.kvHeadCount, c.dHead, start, c.dHead, weight, epsilon, start, c.dHead)
        }
      }
      guard let table else { return }
      let positions = run.positions + range.lowerBound, cosines = table.cosines, sines = table.sines
      ck_rotary(range.count, c.headCount, c.dHead, table.dimensions, queries, width, positions, cosines, sines)
      ck_rotary(range.count, c.kvHeadCount, c.dHead, table.dimensions, keys, width, positions, cosines, sines)
    }
  }

  /// Scores of one block of queries at a time; nothing of size rows x rows exists.
  private func blockedAttention(_ layer: Int, _ sequences: [BatchSequence], _ rule: ck_score_rule) {
    let w = workspace, c = configuration, groups = c.headCount / c.kvHeadCount
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, zWidth = c.headCount * c.dHead, rowsPerTask = 64
    var tasks: [(sequence: Int, rows: Range<Int>)] = []
    for (i, sequence) in sequences.enumerated() {
      for low in stride(from: 0, to: sequence.span.count, by: rowsPerTask) {
        tasks.append((i, low..<min(low + rowsPerTask, sequence.span.count)))
      }
    }
    let fixed = tasks
    parallel(fixed.count * c.kvHeadCount) { index in
      // Later rows see more keys: hand them out first.
      let task = fixed[fixed.count - 1 - index / c.kvHeadCount], head = index % c.kvHeadCount
      let sequence = sequences[task.sequence]
      var cache = sequence.cache.head(layer: layer, head: head)
      let row = sequence.row + task.rows.lowerBound, column = head * groups * c.dHead
      ck_attention(
        &cache, rule, task.rows.count, groups, sequence.span.lowerBound + task.rows.lowerBound,
        w.queryKeyValue + row * width + column, width, w.weighted + row * zWidth + column, zWidth)
    }
  }

  /// The same with scores and pattern written out, `[heads, rows, columns]`, for hooks to see and edit.
  private func visibleAttention(
    _ layer: Int, _ sequence: BatchSequence, _ rule: ck_score_rule, _ plan: HookPlan
  ) throws {
    let w = workspace, c = configuration, groups = c.headCount / c.kvHeadCount
    let width = (c.headCount + 2 * c.kvHeadCount) * c.dHead, zWidth = c.headCount * c.dHead
    let rows = sequence.span.count, columns = sequence.span.upperBound
    let scores = try Tensor(uninitialized: [c.headCount, rows, columns])
    let base = scores.mutablePointer
    parallel(c.headCount) { head in
      var cache = sequence.cache.head(layer: layer, head: head / groups)
      ck_attention_scores(
        &cache, rule, rows, sequence.span.lowerBound, w.queryKeyValue + sequence.row * width + head * c.dHead, width,
        base + head * rows * columns, columns)
    }
    try plan.visitMatrix(.attnScores, layer: layer, sequence, base, heads: c.headCount, columns: columns)
    parallelRanges(c.headCount * rows, minimum: 8) { range in
      for row in range { ck_softmax(columns, base + row * columns) }
    }
    try plan.visitMatrix(.pattern, layer: layer, sequence, base, heads: c.headCount, columns: columns)
    parallel(c.headCount) { head in
      var cache = sequence.cache.head(layer: layer, head: head / groups)
      ck_attention_values(
        &cache, rows, columns, base + head * rows * columns, columns,
        w.weighted + sequence.row * zWidth + head * c.dHead, zWidth)
    }
  }

  // MARK: MLP

  private func mlp(
    _ layer: Int, _ rows: Int, _ sequences: [BatchSequence], _ plan: HookPlan?, _ record: BlockRecord?
  ) throws {
    let w = workspace, c = configuration, block = weights.blocks[layer], d = c.dModel
    if !c.isParallel { norm(w.stream, block.mlpNorm, into: w.normed, rows: rows) }
    try multiply(w.normed, .gateUp, layer: layer, rows: rows, into: w.gateUp)
    let width = c.isGated ? 2 * c.dMLP : c.dMLP
    try plan?.visit(.mlpPre, layer: layer, sequences, w.gateUp, stride: width)
    if c.isGated { try plan?.visit(.mlpUp, layer: layer, sequences, w.gateUp + c.dMLP, stride: width) }
    record?.save(.gateUp, w.gateUp, rows: rows)
    activate(w.gateUp, rows: rows, into: w.gated)
    try plan?.visit(.mlpPost, layer: layer, sequences, w.gated, stride: c.dMLP)
    try multiply(w.gated, .down, layer: layer, rows: rows, into: w.branch)
    record?.save(.mlpBranch, w.branch, rows: rows)
    if let weights = block.postMLPNorm { norm(w.branch, weights, into: w.branch, rows: rows) }
    try plan?.visit(.mlpOut, layer: layer, sequences, w.branch, stride: d)
    addBranch(rows: rows)
    try plan?.visit(.residPost, layer: layer, sequences, w.stream, stride: d)
  }

  /// `act(gate) * up` of rows of gate and up, or `act(up)`.
  func activate(_ gateUp: UnsafePointer<Float>, rows: Int, into gated: UnsafeMutablePointer<Float>) {
    let c = configuration, width = c.isGated ? 2 * c.dMLP : c.dMLP
    parallelRanges(rows, minimum: 4) { range in
      let gate = gateUp + range.lowerBound * width, up = c.isGated ? gate + c.dMLP : nil
      ck_gated(
        range.count, c.dMLP, gate, width, up, width, gated + range.lowerBound * c.dMLP, c.dMLP, c.activation.kernel)
    }
  }

  // MARK: Logits

  /// The final norm over all rows, visited; needed only where someone looks at `final_norm` or all rows' logits.
  func finalNorm(rows: Int, _ sequences: [BatchSequence], plan: HookPlan?) throws {
    let w = workspace
    norm(w.stream, weights.finalNorm, into: w.normed, rows: rows)
    try plan?.visit(.finalNorm, layer: nil, sequences, w.normed, stride: configuration.dModel)
  }

  /// Logits `[selected.count, vocabulary]` of some rows of the last forward pass.
  /// `isNormed` says that `finalNorm(rows:_:plan:)` has run.
  func logits(of selected: [Int], isNormed: Bool, into target: UnsafeMutablePointer<Float>) throws {
    let w = workspace, d = configuration.dModel
    let source = isNormed ? w.normed : w.stream
    let gathered = UnsafeMutablePointer<Float>.allocate(capacity: selected.count * d)
    defer { gathered.deallocate() }
    for (i, row) in selected.enumerated() { (gathered + i * d).update(from: source + row * d, count: d) }
    if !isNormed { norm(gathered, weights.finalNorm, into: gathered, rows: selected.count) }
    try unembed(gathered, rows: selected.count, into: target)
  }

  /// Logits `[rows, vocabulary]` of rows `[rows, dModel]` that have been through the final norm.
  func unembed(_ normed: UnsafePointer<Float>, rows: Int, into target: UnsafeMutablePointer<Float>) throws {
    let c = configuration
    try weights.unembedding().multiply(normed, rows: rows, ldx: c.dModel, into: target, ldy: c.vocabularySize)
    if let cap = c.logitSoftCap {
      parallelRanges(rows * c.vocabularySize, minimum: 1 << 14) { range in
        ck_soft_cap(range.count, target + range.lowerBound, Float(cap))
      }
    }
  }
}

extension ModelConfiguration.Activation {
  var kernel: ck_activation {
    switch self {
    case .silu: CK_SILU
    case .relu: CK_RELU
    case .gelu: CK_GELU
    case .geluTanh: CK_GELU_TANH
    }
  }
}
