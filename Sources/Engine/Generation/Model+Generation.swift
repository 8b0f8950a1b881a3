import Foundation

extension Model {
  /// Sequences that decode together, at most; more are done group by group.
  static let generationGroup = 64

  /// Continues prompts token by token with a cache, all sequences of a group in one product.
  ///
  /// `onToken(text, id, sequence)` gets whole UTF-8 pieces that join to the completion's text; returning false ends
  /// that sequence. Captures see the prompt and every new token that went through the model: all but the last, and the
  /// last as well where it took another pass to find the end. A sequence that reaches the end of the context stops
  /// there; a prompt that is longer is not run and has an empty completion with a note. Ctrl-C ends all sequences and
  /// returns what there is; one that was pressed before the call is thrown. Throws as `run`, and what `onToken` throws.
  public func generate(
    _ prompts: [Prompt], options: GenerationOptions, captures: [CaptureRequest] = [],
    onToken: ((_ text: [UInt8], _ id: Int, _ sequence: Int) throws -> Bool)? = nil, progress: ((Int) -> Void)? = nil
  ) throws -> [Completion] {
    try Interrupt.check()  // one that is still pending is not this call's: it has nothing to hand back yet
    let options = try options.checked()
    try checkTokens(of: prompts)
    for id in options.stopTokens where !(0..<configuration.vocabularySize).contains(id) {
      throw EngineError(
        .token, "stop: token id \(id) is out of range: \(name) has ids 0 to \(configuration.vocabularySize - 1)")
    }
    if !options.stopStrings.isEmpty { _ = try requireTokenizer() }
    // Positions that each sequence can reach; 0 where it cannot run at all.
    let context = configuration.contextLength
    let limits = prompts.map { $0.tokens.count > context ? 0 : min($0.tokens.count + options.maxTokens, context) }
    guard limits.contains(where: { $0 > 0 }) else { return prompts.indices.map { beyondContext(prompts, $0) } }
    // Also without any intervention yet: `onToken` may register some.
    let plan = try makePlan(interventions, captures, prompts, limits: limits)
    var completions: [Completion] = []
    lastCacheBytes = 0
    try exclusively {
      for start in stride(from: 0, to: prompts.count, by: Model.generationGroup) {
        let range = start..<min(start + Model.generationGroup, prompts.count)
        let group = GenerationGroup(model: self, options: options, plan: plan, limits: limits, onToken: onToken)
        let runnable = range.filter { limits[$0] > 0 }
        var done = runnable.isEmpty ? [] : try group.run(prompts, runnable)[...]
        completions += range.map { limits[$0] > 0 ? done.removeFirst() : beyondContext(prompts, $0) }
        if group.isInterrupted {
          let rest = prompts.count - range.upperBound
          completions += Array(repeating: Completion(finish: .interrupted), count: rest)
          break
        }
        progress?(range.upperBound)
      }
    }
    try plan?.finish(isWhole: !completions.contains { $0.finish == .interrupted })
    return completions
  }

  private func beyondContext(_ prompts: [Prompt], _ index: Int) -> Completion {
    Completion(finish: .context, note: tooLong(index, prompts[index].tokens.count) + "; nothing was generated for it")
  }
}

/// The sequences that decode together.
private final class GenerationGroup {
  private let model: Model
  private let options: GenerationOptions
  private let plan: HookPlan?
  private let limits: [Int]
  private let onToken: ((_ text: [UInt8], _ id: Int, _ sequence: Int) throws -> Bool)?
  private let stops: Set<Int>
  /// Ctrl-C ended it.
  private(set) var isInterrupted = false

  /// One sequence's state.
  private struct Stream {
    let index: Int
    let promptLength: Int
    /// New tokens at most: `maxTokens`, or fewer where the context ends before.
    let room: Int
    let cache: KeyValueCache
    var sampler: Sampler
    var decoder: StreamDecoder?
    var matcher: StopMatcher
    /// For each new token, bytes of text up to its end, those that still wait for the rest of a character included.
    var ends: [Int] = []
    var completion = Completion(finish: .interrupted)
    var isDone = false
  }

  init(
    model: Model, options: GenerationOptions, plan: HookPlan?, limits: [Int],
    onToken: (([UInt8], Int, Int) throws -> Bool)?
  ) {
    self.model = model
    self.options = options
    self.plan = plan
    self.limits = limits
    self.onToken = onToken
    stops = Set(options.stopTokens + (options.ignoreEnd ? [] : model.stopTokens))
  }

  /// Completions of the prompts `indices`, in order.
  func run(_ prompts: [Prompt], _ indices: [Int]) throws -> [Completion] {
    var streams = try indices.map { index in
      Stream(
        index: index, promptLength: prompts[index].tokens.count, room: limits[index] - prompts[index].tokens.count,
        cache: try KeyValueCache(
          model.configuration, positions: limits[index], layers: model.configuration.layerCount),
        sampler: Sampler(options, seed: options.seed + index),
        decoder: model.tokenizer.map { StreamDecoder($0) }, matcher: StopMatcher(options.stopStrings))
    }
    model.lastCacheBytes = max(model.lastCacheBytes, streams.reduce(0) { $0 + $1.cache.byteCount })
    do {
      try prefill(prompts, &streams)
      while streams.contains(where: { !$0.isDone }) { try step(prompts, &streams) }
    } catch  where error.isCtrlC {
      // What there is so far is returned, marked interrupted.
      isInterrupted = true
      for i in streams.indices where !streams[i].isDone {
        do { try close(&streams[i], .interrupted, nil) } catch  where error.isCtrlC {}  // `onToken` is stopped as well
      }
    }
    return streams.map(\.completion)
  }

  /// Runs the prompts in packed batches and draws each sequence's first token.
  private func prefill(_ prompts: [Prompt], _ streams: inout [Stream]) throws {
    var start = 0
    while start < streams.count {
      var end = start, tokens: [Int] = [], sequences: [BatchSequence] = []
      while end < streams.count, end == start || tokens.count + streams[end].promptLength <= Model.batchRows {
        let stream = streams[end]
        sequences.append(
          BatchSequence(
            index: stream.index, row: tokens.count, span: 0..<stream.promptLength, cache: stream.cache))
        tokens += prompts[stream.index].tokens
        end += 1
      }
      try plan?.update()
      try forward(tokens, sequences, &streams, Array(start..<end))
      start = end
    }
  }

  /// One token for every sequence that goes on. Where that completes a text that a position looks for, the tokens it
  /// began with are read again: the keys and values after them depend on what is done there.
  private func step(_ prompts: [Prompt], _ streams: inout [Stream]) throws {
    try plan?.update()
    var tokens: [Int] = [], sequences: [BatchSequence] = [], places: [Int] = []
    for (place, stream) in streams.enumerated() where !stream.isDone {
      let position = stream.cache.length
      let first = min(position, plan?.firstNewMatch(stream.index) ?? position)
      sequences.append(
        BatchSequence(index: stream.index, row: tokens.count, span: first..<position + 1, cache: stream.cache))
      let prompt = prompts[stream.index].tokens, own = stream.completion.tokens
      tokens += (first...position).map { $0 < prompt.count ? prompt[$0] : own[$0 - prompt.count] }
      places.append(place)
    }
    try forward(tokens, sequences, &streams, places)
  }

  /// Runs rows of the streams at `places`, one sequence each, and draws their next tokens.
  private func forward(_ tokens: [Int], _ sequences: [BatchSequence], _ streams: inout [Stream], _ places: [Int]) throws
  {
    let decoder = model.decoder, vocabulary = model.configuration.vocabularySize
    try decoder.forward(tokens, sequences, plan: plan)
    let isNormed = plan?.isUsed(.finalNorm, layer: nil) == true
    if isNormed { try decoder.finalNorm(rows: tokens.count, sequences, plan: plan) }
    let logits = try Tensor(uninitialized: [sequences.count, vocabulary])
    try decoder.logits(
      of: sequences.map { $0.row + $0.span.count - 1 }, isNormed: isNormed, into: logits.mutablePointer)
    var drawn = [Int](repeating: 0, count: sequences.count)
    streams.withUnsafeMutableBufferPointer { streams in
      drawn.withUnsafeMutableBufferPointer { drawn in
        nonisolated(unsafe) let streams = streams.baseAddress!, drawn = drawn.baseAddress!
        parallel(sequences.count) { i in
          drawn[i] = streams[places[i]].sampler.next(logits.pointer + i * vocabulary, count: vocabulary)
        }
      }
    }
    for (i, sequence) in sequences.enumerated() {
      guard logits.pointer[i * vocabulary + drawn[i]].isFinite else {
        throw model.nonfinite(
          "generation: the logits after token \(sequence.span.upperBound) of sequence \(sequence.index + 1)")
      }
      if options.keepsFirstLogits, streams[places[i]].completion.tokens.isEmpty {
        streams[places[i]].completion.firstLogits = try Tensor(
          copying: logits.pointer + i * vocabulary, shape: [vocabulary])
      }
      try accept(&streams[places[i]], drawn[i])
    }
  }

  /// Takes a drawn token and decides whether the sequence goes on.
  private func accept(_ stream: inout Stream, _ token: Int) throws {
    if stream.room == 0 { return try close(&stream, .context, nil) }
    if stops.contains(token) { return try close(&stream, .stop, nil) }
    var text: [UInt8] = [], isStopped = false
    if stream.decoder != nil {
      let bytes = try stream.decoder!.push(token)
      stream.ends.append((stream.ends.last ?? 0) + (try model.tokenizer?.tokenBytes(token).count ?? 0))
      (text, isStopped) = stream.matcher.push(bytes)
    }
    if isStopped {
      stream.completion.text += text
      endAtStopString(&stream)
      if !text.isEmpty { _ = try onToken?(text, token, stream.index) }
      return
    }
    stream.completion.tokens.append(token)
    try plan?.extend(stream.index, with: token)
    if stream.completion.tokens.count == stream.room {
      return try close(&stream, stream.room < options.maxTokens ? .context : .length, (text, token))
    }
    stream.completion.text += text
    if let onToken, try !onToken(text, token, stream.index) { try close(&stream, .stop, nil) }
  }

  /// Takes back the tokens that have a byte of a stop string; it may have begun several tokens ago.
  private func endAtStopString(_ stream: inout Stream) {
    let kept = stream.ends.prefix { $0 <= stream.completion.text.count }.count
    stream.completion.tokens = Array(stream.completion.tokens.prefix(kept))
    stream.completion.finish = .stop
    stream.isDone = true
  }

  /// Ends a sequence: whatever was held back is text after all.
  private func close(_ stream: inout Stream, _ reason: FinishReason, _ last: (text: [UInt8], id: Int)?) throws {
    var rest = last?.text ?? [], isStopped = false
    let tail = stream.decoder?.flush() ?? []
    for step in [stream.matcher.push(tail), stream.matcher.flush()] where !isStopped {
      rest += step.text
      isStopped = step.isStopped
    }
    stream.completion.text += rest
    stream.completion.finish = reason
    stream.isDone = true
    let id = last?.id ?? stream.completion.tokens.last ?? 0
    if isStopped { endAtStopString(&stream) }
    if last != nil || !rest.isEmpty { _ = try onToken?(rest, id, stream.index) }
  }
}
