import Foundation

extension Model {
  /// Sequences that decode together, at most; more are done group by group.
  static let generationGroup = 64

  /// Continues prompts token by token with a cache, all sequences of a group in one product.
  ///
  /// `onToken(text, id, sequence)` gets whole UTF-8 pieces that join to the completion's text; returning false ends
  /// that sequence. Captures see prompt and new tokens but the last. Ctrl-C ends all sequences and returns what there
  /// is; one that was pressed before the call is thrown. Throws as `run`, and what `onToken` throws.
  public func generate(
    _ prompts: [Prompt], options: GenerationOptions, captures: [CaptureRequest] = [],
    onToken: ((_ text: [UInt8], _ id: Int, _ sequence: Int) throws -> Bool)? = nil, progress: ((Int) -> Void)? = nil
  ) throws -> [Completion] {
    try Interrupt.check()  // one that is still pending is not this call's: it has nothing to hand back yet
    let options = try options.checked()
    try check(prompts, newTokens: options.maxTokens)
    for id in options.stopTokens where !(0..<configuration.vocabularySize).contains(id) {
      throw EngineError(
        .token, "stop: token id \(id) is out of range: \(name) has ids 0 to \(configuration.vocabularySize - 1)")
    }
    if !options.stopStrings.isEmpty { _ = try requireTokenizer() }
    // Also without any yet: `onToken` may register some.
    let plan = try makePlan(
      interventions, captures, prompts, limits: prompts.map { $0.tokens.count + options.maxTokens })
    var completions: [Completion] = []
    lastCacheBytes = 0
    try exclusively {
      for start in stride(from: 0, to: prompts.count, by: Model.generationGroup) {
        let range = start..<min(start + Model.generationGroup, prompts.count)
        let group = GenerationGroup(model: self, options: options, plan: plan, onToken: onToken)
        completions += try group.run(prompts, range)
        if group.isInterrupted {
          let rest = prompts.count - range.upperBound
          completions += Array(repeating: Completion(text: [], tokens: [], finish: .interrupted), count: rest)
          break
        }
        progress?(range.upperBound)
      }
    }
    try plan?.finish(isWhole: !completions.contains { $0.finish == .interrupted })
    return completions
  }
}

/// The sequences that decode together.
private final class GenerationGroup {
  private let model: Model
  private let options: GenerationOptions
  private let plan: HookPlan?
  private let onToken: ((_ text: [UInt8], _ id: Int, _ sequence: Int) throws -> Bool)?
  private let stops: Set<Int>
  /// Ctrl-C ended it.
  private(set) var isInterrupted = false

  /// One sequence's state.
  private struct Stream {
    let index: Int
    let promptLength: Int
    let cache: KeyValueCache
    var sampler: Sampler
    var decoder: StreamDecoder?
    var matcher: StopMatcher
    var completion = Completion(text: [], tokens: [], finish: .interrupted)
    var isDone = false
  }

  init(
    model: Model, options: GenerationOptions, plan: HookPlan?, onToken: (([UInt8], Int, Int) throws -> Bool)?
  ) {
    self.model = model
    self.options = options
    self.plan = plan
    self.onToken = onToken
    stops = Set(options.stopTokens + (options.ignoreEnd ? [] : model.stopTokens))
  }

  func run(_ prompts: [Prompt], _ range: Range<Int>) throws -> [Completion] {
    var streams = try range.map { index in
      Stream(
        index: index, promptLength: prompts[index].tokens.count,
        cache: try KeyValueCache(
          model.configuration, positions: prompts[index].tokens.count + options.maxTokens,
          layers: model.configuration.layerCount),
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
      try forward(tokens, sequences, &streams, first: start)
      start = end
    }
  }

  /// One token for every sequence that goes on. Where that completes a text that a position looks for, the tokens it
  /// began with are read again: the keys and values after them depend on what is done there.
  private func step(_ prompts: [Prompt], _ streams: inout [Stream]) throws {
    try plan?.update()
    var tokens: [Int] = [], sequences: [BatchSequence] = []
    for stream in streams where !stream.isDone {
      let position = stream.cache.length
      let first = min(position, plan?.firstNewMatch(stream.index) ?? position)
      sequences.append(
        BatchSequence(index: stream.index, row: tokens.count, span: first..<position + 1, cache: stream.cache))
      let prompt = prompts[stream.index].tokens, own = stream.completion.tokens
      tokens += (first...position).map { $0 < prompt.count ? prompt[$0] : own[$0 - prompt.count] }
    }
    try forward(tokens, sequences, &streams, first: 0)
  }

  private func forward(_ tokens: [Int], _ sequences: [BatchSequence], _ streams: inout [Stream], first: Int) throws {
    let decoder = model.decoder, vocabulary = model.configuration.vocabularySize
    try decoder.forward(tokens, sequences, plan: plan)
    let isNormed = plan?.isUsed(.finalNorm, layer: nil) == true
    if isNormed { try decoder.finalNorm(rows: tokens.count, sequences, plan: plan) }
    let logits = try Tensor(uninitialized: [sequences.count, vocabulary])
    try decoder.logits(
      of: sequences.map { $0.row + $0.span.count - 1 }, isNormed: isNormed, into: logits.mutablePointer)
    let base = streams[0].index
    var drawn = [Int](repeating: 0, count: sequences.count)
    streams.withUnsafeMutableBufferPointer { streams in
      drawn.withUnsafeMutableBufferPointer { drawn in
        nonisolated(unsafe) let streams = streams.baseAddress!, drawn = drawn.baseAddress!
        parallel(sequences.count) { i in
          drawn[i] = streams[sequences[i].index - base].sampler.next(logits.pointer + i * vocabulary, count: vocabulary)
        }
      }
    }
    for (i, sequence) in sequences.enumerated() {
      guard logits.pointer[i * vocabulary + drawn[i]].isFinite else {
        throw EngineError(
          .numeric,
          "generation: the logits after token \(sequence.span.upperBound) of sequence \(sequence.index + 1) are no "
            + "numbers; an intervention or damaged weights took them beyond float32")
      }
      try accept(&streams[sequence.index - base], drawn[i])
    }
  }

  /// Takes a drawn token and decides whether the sequence goes on.
  private func accept(_ stream: inout Stream, _ token: Int) throws {
    if stops.contains(token) { return try close(&stream, .stop, nil) }
    var text: [UInt8] = [], isStopped = false
    if stream.decoder != nil {
      (text, isStopped) = stream.matcher.push(try stream.decoder!.push(token))
    }
    if isStopped {
      stream.completion.text += text
      if !text.isEmpty { _ = try onToken?(text, token, stream.index) }
      stream.completion.finish = .stop
      stream.isDone = true
      return
    }
    stream.completion.tokens.append(token)
    try plan?.extend(stream.index, with: token)
    if stream.completion.tokens.count == options.maxTokens { return try close(&stream, .length, (text, token)) }
    stream.completion.text += text
    if let onToken, try !onToken(text, token, stream.index) { try close(&stream, .stop, nil) }
  }

  /// Ends a sequence: whatever was held back is text after all.
  private func close(_ stream: inout Stream, _ reason: FinishReason, _ last: (text: [UInt8], id: Int)?) throws {
    var rest = last?.text ?? []
    let tail = stream.decoder?.flush() ?? []
    let (text, _) = stream.matcher.push(tail)
    rest += text + stream.matcher.flush()
    stream.completion.text += rest
    stream.completion.finish = reason
    stream.isDone = true
    if last != nil || !rest.isEmpty {
      _ = try onToken?(rest, last?.id ?? stream.completion.tokens.last ?? 0, stream.index)
    }
  }
}
