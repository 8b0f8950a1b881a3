import Engine

/// One model's end of a pairing: its prompts, in the order of the other end's, and the layer read.
public struct PairEnd {
  public let model: Model
  public let prompts: [Prompt]
  public let layer: Int

  public init(model: Model, prompts: [Prompt], layer: Int) {
    self.model = model
    self.prompts = prompts
    self.layer = layer
  }
}

/// Aligned activations of two models on the same texts, block by block: only one block is held.
public struct PairStream {
  public let source: PairEnd, target: PairEnd
  public let site: Site
  /// Aligned rows of each text.
  public let alignments: [[AlignedRow]]
  /// Number of each text; equal texts share one.
  public let texts: [Int]

  /// Rows of all texts together.
  public var count: Int { alignments.reduce(0) { $0 + $1.count } }

  /// Throws `.argument` when the two ends do not have equally many prompts or a site cannot be mapped, `.shape` where a
  /// text's messages do not correspond, `.missing` where offset alignment lacks a text.
  public init(
    from source: PairEnd, to target: PairEnd, site: Site = .residPost, alignment: TokenAlignment = .offset,
    includingFirst: Bool = false
  ) throws {
    guard source.prompts.count == target.prompts.count, !source.prompts.isEmpty else {
      throw EngineError(
        .argument,
        "a map needs the same texts for both models: \(source.prompts.count) and \(target.prompts.count) given")
    }
    for end in [source, target] {
      _ = try ReadingPlace(site: site, layers: [end.layer]).width(in: end.model)
      guard (0..<end.model.configuration.layerCount).contains(end.layer) else {
        throw EngineError(
          .layer,
          "layer \(end.layer) is out of range: \(end.model.name) has layers 0 to "
            + "\(end.model.configuration.layerCount - 1)")
      }
    }
    (self.source, self.target, self.site) = (source, target, site)
    alignments = try zip(source.prompts, target.prompts).map { from, to in
      try PairStream.align(from, to, alignment, includingFirst)
    }
    var known: [[Int]: Int] = [:]
    texts = zip(source.prompts, target.prompts).map { from, to in
      let key = from.tokens + [-1] + to.tokens
      let number = known[key] ?? known.count
      known[key] = number
      return number
    }
  }

  /// Aligned rows of one text as two models read it.
  public static func align(
    _ source: Prompt, _ target: Prompt, _ alignment: TokenAlignment, _ includingFirst: Bool = false
  ) throws -> [AlignedRow] {
    guard let fromText = source.text, let fromSpans = source.spans, let toText = target.text, let toSpans = target.spans
    else {
      guard alignment == .index else {
        throw EngineError(.missing, "alignment by offset needs texts, but tokens were given; use align = \"index\"")
      }
      return try TokenAlignment.index.rows(
        source: TokenLayout(spans: source.tokens.map { _ in 0..<0 }),
        target: TokenLayout(spans: target.tokens.map { _ in 0..<0 }), includingFirst: includingFirst)
    }
    var from = TokenLayout(spans: fromSpans, contents: source.contentSpans.map { trimmed($0, fromText) })
    var to = TokenLayout(spans: toSpans, contents: target.contentSpans.map { trimmed($0, toText) })
    // Texts rendered beforehand, each with its model's template: what they share is the content.
    if from.contents.isEmpty, to.contents.isEmpty, fromText != toText, let common = commonContent(fromText, toText) {
      (from.contents, to.contents) = ([common.source], [common.target])
    }
    return try alignment.rows(source: from, target: to, includingFirst: includingFirst)
  }

  /// Without white space at either end, which some templates cut off.
  private static func trimmed(_ range: Range<Int>, _ text: [UInt8]) -> Range<Int> {
    var range = range.clamped(to: 0..<text.count)
    while let byte = range.first.map({ text[$0] }), byte == 0x20 || (9...13).contains(byte) {
      range = range.lowerBound + 1..<range.upperBound
    }
    while let byte = range.last.map({ text[$0] }), byte == 0x20 || (9...13).contains(byte) {
      range = range.lowerBound..<range.upperBound - 1
    }
    return range
  }

  /// Lets `body` have the pairs of a few texts at a time, in order. `progress`: texts done.
  public func forEachBlock(
    progress: (Int) throws -> Void = { _ in }, _ body: (ActivationPairs) throws -> Void
  ) throws {
    var start = 0
    while start < texts.count {
      var end = start, rows = 0
      while end < texts.count, end == start || (rows < 4096 && end < start + 256) {
        rows += max(source.prompts[end].tokens.count, target.prompts[end].tokens.count)
        end += 1
      }
      let block = try pairs(start..<end)
      if block.count > 0 { try body(block) }
      try progress(end)
      start = end
    }
  }

  private func pairs(_ range: Range<Int>) throws -> ActivationPairs {
    var rows: [ActivationPairs.Row] = [], starts: [Int] = []
    for text in range {
      starts.append(rows.count)
      for (place, aligned) in alignments[text].enumerated() {
        rows.append(
          .init(
            text: texts[text], isTemplate: aligned.isTemplate, isLast: place == alignments[text].count - 1))
      }
    }
    func capture(_ end: PairEnd, _ place: @escaping (AlignedRow) -> Int) throws -> Tensor {
      let width = try ReadingPlace(site: site, layers: [end.layer]).width(in: end.model)
      let out = try Tensor(uninitialized: [rows.count, width])
      let request = CaptureRequest(site: site, layers: [end.layer]) { captured in
        for (row, aligned) in alignments[range.lowerBound + captured.sequence].enumerated() {
          (out.mutablePointer + (starts[captured.sequence] + row) * width)
            .update(from: captured.pointer + place(aligned) * width, count: width)
        }
      }
      _ = try end.model.run(Array(end.prompts[range]), logits: .none, captures: [request])
      return out
    }
    return try ActivationPairs(
      source: capture(source) { $0.source }, target: capture(target) { $0.target }, rows: rows)
  }

  /// All pairs, held at once: what training by gradients needs.
  public func collected(progress: (Int) throws -> Void = { _ in }) throws -> ActivationPairs {
    let width = { (end: PairEnd) in try ReadingPlace(site: site, layers: [end.layer]).width(in: end.model) }
    let from = try Tensor(uninitialized: [count, width(source)]),
      to = try Tensor(uninitialized: [count, width(target)])
    var rows: [ActivationPairs.Row] = []
    rows.reserveCapacity(count)
    try forEachBlock(progress: progress) { block in
      (from.mutablePointer + rows.count * from.shape[1]).update(from: block.source.pointer, count: block.source.count)
      (to.mutablePointer + rows.count * to.shape[1]).update(from: block.target.pointer, count: block.target.count)
      rows += block.rows
    }
    return try ActivationPairs(source: from, target: to, rows: rows)
  }
}
