import CKernels

/// Which rows' logits a run returns.
public enum LogitsMode: String, CaseIterable, Sendable { case none, last, all }

/// What one sequence of a run gives back.
public struct RunResult: Sendable {
  public let tokens: [Int]
  /// `[vocab]` for `.last`, `[rows, vocab]` for `.all`.
  public let logits: Tensor?
}

/// Logits of an unedited model at the rows of some texts that matter, `[rows, vocab]` each.
public struct LogitsReference: Sendable {
  public let prompts: [Prompt]
  /// For each the 0-based rows that are kept.
  public let rows: [Range<Int>]
  public let logits: [Tensor]
}

/// What interventions did to one text's predictions.
public struct Divergence: Sendable {
  /// Sum over rows of KL(without || with), in nats.
  public let sum: Double
  public let rows: Int
  /// Sum over scored tokens of their negative log-likelihood under the interventions, in nats.
  public let nll: Double
  public let tokens: Int
}

extension Model {
  /// Rows of one packed batch: enough for full speed, few enough for a small footprint.
  static let batchRows = 1024
  /// Fewer tokens in common are not worth a sequence of their own.
  static let leastSharedPrefix = 4

  /// Runs prompts through the model, in packed batches of bounded size. Interventions apply unless told otherwise;
  /// captures see activations after them. `start` gives the residual stream at a block's input, where the run begins
  /// then. Tokens that all prompts of a batch begin with are computed once, where interventions and captures allow it.
  /// `progress` gets the number of prompts done.
  ///
  /// Throws `.argument`, `.shape`, `.token`, `.position`, `.interrupted`, and what hooks and sinks throw.
  public func run(
    _ prompts: [Prompt], logits: LogitsMode, captures: [CaptureRequest] = [], intervening: Bool = true,
    start: StreamStart? = nil, progress: ((Int) -> Void)? = nil
  ) throws -> [RunResult] {
    var results: [RunResult] = []
    results.reserveCapacity(prompts.count)
    try forEachBatch(
      prompts, captures: captures, intervening: intervening, lookAtFinalNorm: logits == .all,
      needsOutput: logits != .none, sharesPrefix: logits != .all, from: start
    ) { range, sequences, isNormed in
      for sequence in sequences {
        let rows = logits == .all ? Array(0..<sequence.span.count) : [sequence.span.count - 1]
        var tensor: Tensor?
        if logits != .none {
          let shape = logits == .all ? [rows.count, configuration.vocabularySize] : [configuration.vocabularySize]
          tensor = try Tensor(uninitialized: shape)
        }
        results.append(RunResult(tokens: prompts[sequence.index].tokens, logits: tensor))
      }
      switch logits {
      case .none: break
      case .all:
        for sequence in sequences {
          try decoder.logits(
            of: sequence.span.map { sequence.row + $0 }, isNormed: isNormed,
            into: results[sequence.index].logits!.mutablePointer)
        }
      case .last: try lastLogits(sequences, isNormed: isNormed) { results[$0].logits!.mutablePointer }
      }
      for index in range where logits != .none { try requireNumbers(results[index].logits!, prompt: index) }
      progress?(range.upperBound)
    }
    return results
  }

  /// Last rows' logits of a batch, several sequences in one product.
  private func lastLogits(
    _ sequences: [BatchSequence], isNormed: Bool, target: (Int) -> UnsafeMutablePointer<Float>
  ) throws {
    let vocabulary = configuration.vocabularySize
    for start in stride(from: 0, to: sequences.count, by: 64) {
      let group = sequences[start..<min(start + 64, sequences.count)]
      let buffer = try Tensor(uninitialized: [group.count, vocabulary])
      try decoder.logits(
        of: group.map { $0.row + $0.span.count - 1 }, isNormed: isNormed, into: buffer.mutablePointer)
      for (i, sequence) in group.enumerated() {
        target(sequence.index).update(from: buffer.pointer + i * vocabulary, count: vocabulary)
      }
    }
  }

  /// Sum of negative log-likelihoods (natural log) and number of scored tokens per prompt: tokens from 0-based index
  /// `scoredFrom[i]` on; the first token is never scored. Logits exist for a few rows at a time only.
  public func negativeLogLikelihood(
    _ prompts: [Prompt], scoredFrom: [Int], progress: ((Int) -> Void)? = nil
  ) throws -> [(sum: Double, tokens: Int)] {
    var results: [(sum: Double, tokens: Int)] = []
    let vocabulary = configuration.vocabularySize, chunk = 64
    let buffer = try Tensor(uninitialized: [chunk, vocabulary])
    try forEachBatch(prompts, captures: [], intervening: true, lookAtFinalNorm: false) { range, sequences, isNormed in
      for sequence in sequences {
        let tokens = prompts[sequence.index].tokens
        let first = max(1, scoredFrom[sequence.index])
        var sum = 0.0
        for start in stride(from: first, to: tokens.count, by: chunk) {
          let scored = start..<min(start + chunk, tokens.count)
          try decoder.logits(
            of: scored.map { sequence.row + $0 - 1 }, isNormed: isNormed, into: buffer.mutablePointer)
          for (i, index) in scored.enumerated() {
            let row = buffer.pointer + i * vocabulary
            sum += ck_log_sum_exp(vocabulary, row) - Double(row[tokens[index]])
          }
          if !sum.isFinite { throw nonfinite("the log-likelihoods of prompt \(sequence.index + 1)") }
        }
        results.append((sum, max(0, tokens.count - first)))
      }
      progress?(range.upperBound)
    }
    return results
  }

  /// The model's predictions as it is, without interventions, for rows that matter: those that predict scored tokens,
  /// and the one after the last token, unless that is the end of a turn or a text.
  public func reference(_ examples: [SupervisedExample]) throws -> LogitsReference {
    try check(examples.map(\.prompt))
    let rows = examples.map { example in
      let count = example.prompt.tokens.count
      return max(0, example.scoredFrom - 1)..<(example.hasEndToken ? count - 1 : count)
    }
    let logits = try zip(examples, rows).map { try rowLogits($0.prompt, Array($1), intervening: false) }
    return LogitsReference(prompts: examples.map(\.prompt), rows: rows, logits: logits)
  }

  /// How far the interventions move the predictions from a reference, and how well they still predict its texts.
  public func divergence(from reference: LogitsReference) throws -> [Divergence] {
    let vocabulary = configuration.vocabularySize
    return try reference.prompts.indices.map { i in
      let prompt = reference.prompts[i], clean = reference.logits[i], rows = reference.rows[i]
      let edited = try rowLogits(prompt, Array(rows), intervening: true)
      var values = [(kl: Double, nll: Double)](repeating: (0, 0), count: rows.count)
      values.withUnsafeMutableBufferPointer { values in
        nonisolated(unsafe) let target = values.baseAddress!
        parallel(rows.count) { row in
          let p = clean.pointer + row * vocabulary, q = edited.pointer + row * vocabulary
          target[row].kl = ck_divergence(vocabulary, p, q)
          let next = rows.lowerBound + row + 1
          if next < prompt.tokens.count {
            target[row].nll = ck_log_sum_exp(vocabulary, q) - Double(q[prompt.tokens[next]])
          }
        }
      }
      return Divergence(
        sum: values.reduce(0) { $0 + $1.kl }, rows: rows.count, nll: values.reduce(0) { $0 + $1.nll },
        tokens: min(rows.upperBound, prompt.tokens.count - 1) - rows.lowerBound)
    }
  }

  private func rowLogits(_ prompt: Prompt, _ rows: [Int], intervening: Bool) throws -> Tensor {
    let tensor = try Tensor(uninitialized: [rows.count, configuration.vocabularySize])
    try forEachBatch([prompt], captures: [], intervening: intervening, lookAtFinalNorm: false) {
      _, sequences, isNormed in
      try decoder.logits(of: rows.map { sequences[0].row + $0 }, isNormed: isNormed, into: tensor.mutablePointer)
    }
    try requireNumbers(tensor, prompt: 0)
    return tensor
  }

  private func requireNumbers(_ logits: Tensor, prompt: Int) throws {
    if ck_first_nonfinite_row(1, logits.count, logits.pointer, logits.count) == 0 {
      throw nonfinite("some of the logits of prompt \(prompt + 1)")
    }
  }

  /// For results that are NaN or infinite: what can have made them so.
  func nonfinite(_ what: String) -> EngineError {
    let edits = interventions.entries.prefix(6).map { entry in
      let place = entry.intervention.places[0]
      return "\(entry.intervention.kind) at \(place.site.rawValue)\(place.layer.map { " of layer \($0)" } ?? "")"
    }
    return EngineError(
      .numeric,
      "\(what) are no finite numbers; "
        + (edits.isEmpty
          ? "the weights of \(name) are damaged, or its activations go beyond float32"
          : "an intervention (\(edits.joined(separator: ", "))) or damaged weights took them beyond float32"))
  }

  /// Runs prompts batch by batch and lets `body` read logits before the workspace is reused.
  private func forEachBatch(
    _ prompts: [Prompt], captures: [CaptureRequest], intervening: Bool, lookAtFinalNorm: Bool, needsOutput: Bool = true,
    sharesPrefix: Bool = false, from streams: StreamStart? = nil,
    _ body: (_ range: Range<Int>, _ sequences: [BatchSequence], _ isNormed: Bool) throws -> Void
  ) throws {
    try check(prompts)
    let list = intervening && !interventions.isEmpty ? interventions : nil
    // Where only captures look on, blocks after the last captured one need not run.
    let stops = !needsOutput && list == nil && captures.allSatisfy(\.site.hasLayer)
    let depth = stops ? captures.flatMap(\.layers).max().map { $0 + 1 } ?? 0 : nil
    let plan = try makePlan(list, captures, prompts, limits: prompts.map(\.tokens.count))
    lastCacheBytes = 0
    try exclusively {
      var start = 0
      while start < prompts.count {
        var end = start, rows = 0
        while end < prompts.count, end == start || rows + prompts[end].tokens.count <= Model.batchRows {
          rows += prompts[end].tokens.count
          end += 1
        }
        try plan?.update()
        try streams?.check(prompts, plan, configuration)
        let batch = try PackedPrompts(
          prompts, start..<end, configuration, prefix: sharesPrefix ? sharedPrefix(prompts, start..<end, plan) : 0)
        lastCacheBytes = max(lastCacheBytes, batch.sequences.reduce(0) { $0 + $1.cache.byteCount })
        try decoder.forward(batch.tokens, batch.all, plan: plan, depth: depth, start: streams)
        let needsNorm = lookAtFinalNorm || plan?.isUsed(.finalNorm, layer: nil) == true
        if needsNorm { try decoder.finalNorm(rows: batch.tokens.count, batch.all, plan: plan) }
        try body(start..<end, batch.sequences, needsNorm)
        start = end
      }
    }
    try plan?.finish()
  }

  /// Tokens of some prompts to compute once: those that all begin with, unless they are few or hooks tell them apart.
  func sharedPrefix(_ prompts: [Prompt], _ range: Range<Int>, _ plan: HookPlan?) -> Int {
    guard range.count > 1 else { return 0 }
    // Where frequencies depend on a sequence's length, a beginning alone turns in another way.
    let longest = range.lazy.map { prompts[$0].tokens.count }.max() ?? 0
    guard configuration.layers.allSatisfy({ $0.rotary?.isFixed(upTo: longest) != false }) else { return 0 }
    let length = sharedPrefixLength(prompts[range])
    guard length >= Model.leastSharedPrefix, plan?.allowsSharedPrefix(length, of: range) != false else { return 0 }
    return length
  }

  /// nil where nothing looks at activations.
  func makePlan(
    _ list: InterventionList?, _ captures: [CaptureRequest], _ prompts: [Prompt], limits: [Int]
  ) throws -> HookPlan? {
    guard list != nil || !captures.isEmpty else { return nil }
    return try HookPlan(
      interventions: list, captures: captures, prompts: prompts, limits: limits, configuration: configuration,
      tokenizer: tokenizer)
  }
}
