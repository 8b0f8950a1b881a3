/// All interventions and captures of one run, resolved: for every site and layer what to do, for every sequence where.
/// A site nobody uses costs one look into a table. Interventions are those of the list at the start of each forward
/// pass, so that one may be registered or removed while tokens are generated.
final class HookPlan {
  struct Action {
    enum Work {
      case edit(Intervention.Effect, id: Int)
      case capture((ActivationRows) throws -> Void)
    }
    let work: Work
    let selection: Selection
    /// By sequence of the request.
    let replacement: [ReplacementRows]?
    /// Heads it is limited to.
    var heads: [Int]? = nil
    /// Positions that a knockout hides.
    var hidden: Selection? = nil
    /// The direction an addition or ablation uses, of unit norm where asked.
    let direction: Tensor?
  }

  let configuration: ModelConfiguration
  let prompts: [Prompt]
  /// One past the last position each sequence can reach; 0 where it does not run.
  private let limits: [Int]
  private let tokenizer: Tokenizer?
  private let list: InterventionList?
  /// Of the list when `actions` was made.
  private var version: Int?
  private var prepared: [Int: [(place: Int, action: Action)]] = [:]
  private var captured: [(place: Int, action: Action)] = []
  private(set) var actions: [[Action]] = []
  /// Selections that look for text.
  private var growing: [Selection] = []
  /// By intervention; those that were removed on the way stay.
  var reports: [Int: InterventionReport] = [:]
  /// New tokens of each sequence so far.
  private var generated: [[Int]]
  /// Texts of sequences in which something looks for text.
  private var texts: [Int: SequenceText] = [:]

  /// Resolves every selector against every prompt. Throws `.position` where no sequence has the position.
  init(
    interventions: InterventionList?, captures: [CaptureRequest], prompts: [Prompt], limits: [Int],
    configuration: ModelConfiguration, tokenizer: Tokenizer?
  ) throws {
    (self.configuration, self.prompts, self.limits) = (configuration, prompts, limits)
    (self.tokenizer, list) = (tokenizer, interventions)
    generated = Array(repeating: [], count: prompts.count)
    for capture in captures {
      let selection = try select(capture.positions, "capture")
      try selection.requireEach(prompts, limits: limits, "capture")
      let layers: [Int?] = capture.site.hasLayer ? capture.layers : [nil]
      for layer in layers {
        try checkPlace(.init(site: capture.site, layer: layer), configuration)
        try capture.site.check(heads: capture.heads, configuration)
        captured.append(
          (
            index(capture.site, layer, configuration),
            Action(
              work: .capture(capture.sink), selection: selection, replacement: nil, heads: capture.heads,
              direction: nil)
          ))
      }
    }
    try update()
  }

  /// Takes the list as it is now. Throws what resolving a new intervention throws.
  func update() throws {
    guard version == nil || version != list?.version else { return }
    var actions: [[Action]] = Array(repeating: [], count: Site.allCases.count * (configuration.layerCount + 1))
    for entry in list?.entries ?? [] {
      if prepared[entry.id] == nil { prepared[entry.id] = try prepare(entry) }
      for (place, action) in prepared[entry.id] ?? [] { actions[place].append(action) }
    }
    for (place, action) in captured { actions[place].append(action) }
    self.actions = actions
    var known: Set<ObjectIdentifier> = []
    growing = actions.joined().flatMap { [$0.selection] + ($0.hidden.map { [$0] } ?? []) }.filter {
      $0.grows && known.insert(ObjectIdentifier($0)).inserted
    }
    version = list?.version ?? 0
  }

  private func prepare(_ entry: InterventionList.Entry) throws -> [(place: Int, action: Action)] {
    let intervention = entry.intervention
    let selection = try select(intervention.positions, intervention.kind)
    var hidden: Selection?
    let effects = try intervention.effects.map { effect -> (Intervention.Effect, [ReplacementRows]?, Tensor?) in
      func unitDirection(_ vector: Tensor) throws -> Tensor {
        let isPerHead = intervention.heads != nil && vector.count > configuration.dHead
        return try unit(vector, intervention.kind, parts: isPerHead ? vector.count / configuration.dHead : 1)
      }
      switch effect {
      case .add(let vector, _, let scale): return (effect, nil, scale == .raw ? vector : try unitDirection(vector))
      case .ablate(let vector): return (effect, nil, try unitDirection(vector))
      case .patch(let value):
        try checkRows(of: value, intervention, selection)
        return (effect, nil, nil)
      case .patchEach(let values):
        guard values.count == prompts.count else {
          throw EngineError(
            .argument,
            "patch: \(values.count) values were given, one for each sequence, but the run has \(prompts.count)")
        }
        for (sequence, value) in values.enumerated() { try checkRows(of: value, intervention, selection, sequence) }
        return (effect, nil, nil)
      case .knockout(let target):
        hidden = try select(target, intervention.kind)
        return (effect, nil, nil)
      case .replace(let make): return (effect, try replacements(intervention, make), nil)
      case .mean, .function: return (effect, nil, nil)
      }
    }
    var report = InterventionList.report(entry.id, intervention)
    report.skipped = selection.grows ? 0 : selection.sequences.count(where: \.isEmpty)
    reports[entry.id] = report
    return intervention.places.enumerated().map { i, place in
      let (effect, replacement, direction) = effects.count == 1 ? effects[0] : effects[i]
      return (
        index(place.site, place.layer, configuration),
        Action(
          work: .edit(effect, id: entry.id), selection: selection, replacement: replacement, heads: intervention.heads,
          hidden: hidden, direction: direction)
      )
    }
  }

  private func select(_ selector: PositionSelector, _ what: String) throws -> Selection {
    let selection = try Selection(selector, prompts, limits: limits) { try text(of: $0) }
    // "generated" is empty in a run that generates nothing, and a text may come later: reported as firing zero times.
    let mayCome = selector == .generated || (selection.grows && zip(prompts, limits).contains { $0.tokens.count < $1 })
    if !mayCome, selection.sequences.allSatisfy(\.isEmpty) {
      let longest = limits.max() ?? 0
      throw EngineError(
        .position, "\(what): no sequence has position \(selector.text) (the longest has \(longest) tokens)")
    }
    return selection
  }

  private func replacements(
    _ intervention: Intervention, _ make: (Int, Prompt) throws -> ReplacementRows
  ) throws -> [ReplacementRows] {
    let width = intervention.places[0].site.rowShape(configuration)?.reduce(1, *) ?? 0
    return try prompts.enumerated().map { sequence, prompt in
      guard limits[sequence] > 0 else { return ReplacementRows(positions: [], values: try Tensor.zeros([0])) }
      let rows = try make(sequence, prompt)
      guard rows.values.count == rows.positions.count * width else {
        throw EngineError(
          .shape,
          "\(intervention.kind): \(rows.positions.count) rows of \(width) values were expected, got "
            + shapeText(rows.values.shape))
      }
      return rows
    }
  }

  /// A patch has a row for every selected position of the prompt, or for every one the sequence can reach.
  private func checkRows(
    of value: Tensor, _ intervention: Intervention, _ selection: Selection, _ only: Int? = nil
  ) throws {
    let isMatrix = intervention.places[0].site.isAttentionMatrix
    let rows = value.shape[isMatrix ? 1 : 0], width = isMatrix ? value.shape[2] : value.count / max(1, rows)
    for (sequence, positions) in selection.sequences.enumerated()
    where !positions.isEmpty && (only == nil || only == sequence) {
      let prompt = 0..<prompts[sequence].tokens.count, first = positions.count(in: prompt)
      let isPromptFirst = positions.intersection(prompt).allSatisfy { $0.slots.upperBound <= first }
      guard rows == positions.count || (rows == first && isPromptFirst) else {
        let selected = isPromptFirst ? first : positions.count
        throw EngineError(
          .shape,
          "patch: the value has \(rows) rows, but pos = \(intervention.positions.text) selects \(selected) of sequence "
            + "\(sequence + 1)")
      }
      let last = positions.parts.map { $0.range.lowerBound + min($0.count, max(0, rows - $0.slot)) }.max() ?? 0
      guard !isMatrix || width == prompt.count || width == last else {
        throw EngineError(
          .shape,
          "patch: the value has \(width) columns, but sequence \(sequence + 1) is \(prompt.count) tokens long; an attention "
            + "matrix fits texts of its own length")
      }
      for (position, one, other) in positions.repeatedSlots() where !isMatrix {
        let a = value.pointer + one * width, b = value.pointer + other * width
        guard (0..<width).allSatisfy({ a[$0] == b[$0] }) else {
          throw EngineError(
            .position,
            "patch: position \(position + 1) of sequence \(sequence + 1) is listed twice in pos = "
              + "\(intervention.positions.text), with different rows (\(one + 1) and \(other + 1) of the value)")
        }
      }
    }
  }

  // MARK: Growing texts

  private func text(of sequence: Int) throws -> SequenceText {
    if let text = texts[sequence] { return text }
    var text = try SequenceText(prompts[sequence], tokenizer: tokenizer)
    for token in generated[sequence] { try text.append(token) }
    texts[sequence] = text
    return text
  }

  /// Takes note of a sequence's next token.
  func extend(_ sequence: Int, with token: Int) throws {
    generated[sequence].append(token)
    try texts[sequence]?.append(token)
  }

  /// The first position that came to be selected with the sequence's last tokens: where to read it again from, if that
  /// has been read.
  func firstNewMatch(_ sequence: Int) -> Int? {
    guard let text = texts[sequence] else { return nil }
    return growing.compactMap { $0.grow(sequence, text) }.min()
  }

  // MARK: Places

  func isUsed(_ site: Site, layer: Int?) -> Bool { !actions[index(site, layer, configuration)].isEmpty }

  func actions(_ site: Site, _ layer: Int?) -> [Action] { actions[index(site, layer, configuration)] }

  /// A function that was removed is not called again, also not later in the same pass.
  func isRemoved(_ id: Int) -> Bool { list?.contains(id) == false }

  /// Hands the reports to the list, and warnings, for which a run that Ctrl-C ended is no reason.
  func finish(isWhole: Bool = true) throws { try list?.finish(Array(reports.values), isWhole: isWhole) }
}

private func index(_ site: Site, _ layer: Int?, _ configuration: ModelConfiguration) -> Int {
  Site.indices[site, default: 0] * (configuration.layerCount + 1) + (layer ?? configuration.layerCount)
}

/// Unit norm, of each of `parts` pieces by itself.
private func unit(_ vector: Tensor, _ what: String, parts: Int = 1) throws -> Tensor {
  var values = vector.values
  let width = max(1, values.count / parts)
  for start in stride(from: 0, to: values.count, by: width) {
    let range = start..<start + width
    let norm = values[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    guard norm > 0, norm.isFinite else {
      throw EngineError(.numeric, "\(what): the direction has norm \(norm), so it has no direction")
    }
    for i in range { values[i] = Float(Double(values[i]) / norm) }
  }
  return try Tensor(values, shape: vector.shape)
}
