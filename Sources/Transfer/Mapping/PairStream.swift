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

  /// Throws `.layer` where the model has no such layer, `.site` where no rows are read.
  func width(at site: Site) throws -> Int {
    guard (0..<model.configuration.layerCount).contains(layer) else {
      throw EngineError(
        .layer,
        "layer \(layer) is out of range: \(model.name) has layers 0 to \(model.configuration.layerCount - 1)")
    }
    return try ReadingPlace(site: site, layers: [layer]).width(in: model)
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
    for end in [source, target] { _ = try end.width(at: site) }
    (self.source, self.target, self.site) = (source, target, site)
    let aligned = TextAligner(source.model, target.model, alignment, includingFirst: includingFirst)
    alignments = try aligned.rows(source.prompts, target.prompts)
    texts = textNumbers(source.prompts, target.prompts)
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
      let width = try end.width(at: site)
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
    let from = try Tensor(uninitialized: [count, source.width(at: site)])
    let to = try Tensor(uninitialized: [count, target.width(at: site)])
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
