import CKernels

/// All interventions and captures of one run, resolved: for every site and layer what to do, for every sequence where.
/// A site nobody uses costs one look into a table.
final class HookPlan {
  private let actions: [[Action]]
  private let configuration: ModelConfiguration
  private(set) var reports: [InterventionReport]
  private let strict: Set<Int>

  struct Action {
    enum Work {
      case edit(Intervention.Effect, report: Int)
      case capture((ActivationRows) throws -> Void)
    }
    let work: Work
    /// By sequence of the request.
    let positions: [ResolvedPositions]
    let rowsOfSequence: [ReplacementRows]?
    /// The direction an addition or ablation uses, of unit norm where asked.
    let direction: Tensor?
  }

  /// Resolves every selector against every prompt. `limits[i]` is one past the last position sequence i can reach, 0
  /// where it does not run.
  /// Throws `.position` where no sequence has the position.
  init(
    interventions: InterventionList?, captures: [CaptureRequest], prompts: [Prompt], limits: [Int],
    configuration: ModelConfiguration, tokenizer: Tokenizer?
  ) throws {
    self.configuration = configuration
    var actions: [[Action]] = Array(repeating: [], count: Site.allCases.count * (configuration.layerCount + 1))
    var reports: [InterventionReport] = []
    func resolve(_ selector: PositionSelector, _ what: String) throws -> [ResolvedPositions] {
      let resolved = try zip(prompts, limits).map { prompt, limit in
        limit == 0
          ? ResolvedPositions(0..<0) : try selector.resolve(prompt, limit: limit, tokenizer: tokenizer)
      }
      // "generated" is empty in a run that generates nothing; that is reported as firing zero times.
      if selector != .generated, resolved.allSatisfy(\.isEmpty) {
        let longest = limits.max() ?? 0
        throw EngineError(
          .position, "\(what): no sequence has position \(selector.text) (the longest has \(longest) tokens)")
      }
      return resolved
    }
    for entry in interventions?.entries ?? [] {
      let intervention = entry.intervention
      var report = InterventionList.report(entry.id, intervention)
      let positions = try resolve(intervention.positions, intervention.kind)
      report.skipped = positions.count(where: \.isEmpty)
      var direction: Tensor?
      var replacement: [ReplacementRows]?
      switch intervention.effect {
      case .add(let vector, _, let scale): direction = scale == .raw ? vector : try unit(vector, "add")
      case .ablate(let vector): direction = try unit(vector, "ablate")
      case .patch(let value):
        for (sequence, position) in positions.enumerated() where !position.isEmpty {
          let rows = position.intersection(0..<prompts[sequence].tokens.count).reduce(0) { $0 + $1.count }
          guard rows == value.shape[0] else {
            throw EngineError(
              .shape,
              "patch: the value has \(value.shape[0]) rows, but pos = \(intervention.positions.text) selects \(rows) "
                + "of sequence \(sequence + 1)")
          }
        }
      case .replace(let make):
        replacement = try prompts.enumerated().map { sequence, prompt in
          guard limits[sequence] > 0 else { return ReplacementRows(positions: [], values: try Tensor.zeros([0])) }
          let rows = try make(sequence, prompt)
          let width = intervention.places[0].site.rowShape(configuration)?.reduce(1, *) ?? 0
          guard rows.values.count == rows.positions.count * width else {
            throw EngineError(
              .shape,
              "\(intervention.kind): \(rows.positions.count) rows of \(width) values were expected, got "
                + shapeText(rows.values.shape))
          }
          return rows
        }
      case .mean, .function: break
      }
      let action = Action(
        work: .edit(intervention.effect, report: reports.count), positions: positions, rowsOfSequence: replacement,
        direction: direction)
      for place in intervention.places { actions[index(place.site, place.layer, configuration)].append(action) }
      reports.append(report)
    }
    for capture in captures {
      let action = Action(
        work: .capture(capture.sink), positions: try resolve(capture.positions, "capture"), rowsOfSequence: nil,
        direction: nil)
      let layers: [Int?] = capture.site.hasLayer ? capture.layers : [nil]
      for layer in layers {
        try checkPlace(.init(site: capture.site, layer: layer), configuration)
        actions[index(capture.site, layer, configuration)].append(action)
      }
    }
    self.actions = actions
    self.reports = reports
    strict = Set((interventions?.entries ?? []).filter(\.intervention.isStrict).map(\.id))
  }

  func isUsed(_ site: Site, layer: Int?) -> Bool { !actions[index(site, layer, configuration)].isEmpty }

  /// Lets all actions of a site see and edit its rows: `base [rows, width]` at distance `stride`, of all sequences.
  func visit(
    _ site: Site, layer: Int?, _ sequences: [BatchSequence], _ base: UnsafeMutablePointer<Float>, stride: Int
  ) throws {
    let list = actions[index(site, layer, configuration)]
    guard !list.isEmpty, let rowShape = site.rowShape(configuration) else { return }
    let width = rowShape.reduce(1, *)
    for action in list {
      for sequence in sequences {
        let parts = action.positions[sequence.index].intersection(sequence.span)
        guard !parts.isEmpty else { continue }
        let rows = Rows(
          site: site, layer: layer, sequence: sequence, parts: parts, rowShape: rowShape, width: width,
          base: base + sequence.row * stride, stride: stride)
        try perform(action, rows)
      }
    }
  }

  /// The same for one sequence's attention matrix `[heads, rows, columns]`.
  func visitMatrix(
    _ site: Site, layer: Int, _ sequence: BatchSequence, _ base: UnsafeMutablePointer<Float>, heads: Int, columns: Int
  ) throws {
    for action in actions[index(site, layer, configuration)] {
      let parts = action.positions[sequence.index].intersection(sequence.span)
      guard !parts.isEmpty else { continue }
      let locals = parts.flatMap { $0.map { $0 - sequence.span.lowerBound } }
      let selected = try Tensor(uninitialized: [heads, locals.count, columns])
      for head in 0..<heads {
        for (i, local) in locals.enumerated() {
          (selected.mutablePointer + (head * locals.count + i) * columns).update(
            from: base + (head * sequence.span.count + local) * columns, count: columns)
        }
      }
      let positions = parts.flatMap { $0.map { $0 + 1 } }
      switch action.work {
      case .capture(let sink):
        try sink(
          ActivationRows(
            site: site, layer: layer, sequence: sequence.index, positions: positions, shape: selected.shape,
            pointer: selected.pointer))
      case .edit(.function(let body), let report):
        let context = HookContext(
          site: site, layer: layer, sequence: sequence.index, positions: positions, generated: sequence.isGenerated)
        let answer = try body(context, selected)
        reports[report].fired += 1
        reports[report].rows += locals.count
        guard let answer else { continue }
        try checkAnswer(answer, selected.shape, context)
        try requireUsable(
          answer.pointer, heads: heads, columns: columns, site, layer: layer, sequence: sequence.index,
          positions: positions)
        for head in 0..<heads {
          for (i, local) in locals.enumerated() {
            let row = (head * locals.count + i) * columns
            reports[report].changeSum +=
              ck_edit_set(
                1, columns, base + (head * sequence.span.count + local) * columns, columns, answer.pointer + row, 0)
              / Double(heads)
          }
        }
      case .edit: break  // refused at registration
      }
    }
  }

  /// One sequence's selected rows of a site.
  struct Rows {
    let site: Site
    let layer: Int?
    let sequence: BatchSequence
    /// Selected absolute positions, 0-based.
    let parts: [Range<Int>]
    let rowShape: [Int]
    let width: Int
    /// First row of the sequence.
    let base: UnsafeMutablePointer<Float>
    let stride: Int

    var count: Int { parts.reduce(0) { $0 + $1.count } }
    var positions: [Int] { parts.flatMap { $0.map { $0 + 1 } } }

    func start(_ part: Range<Int>) -> UnsafeMutablePointer<Float> {
      base + (part.lowerBound - sequence.span.lowerBound) * stride
    }

    var areFinite: Bool {
      parts.allSatisfy { ck_first_nonfinite_row($0.count, width, start($0), stride) == $0.count }
    }

    func gathered() throws -> Tensor {
      let tensor = try Tensor(uninitialized: [count] + rowShape)
      var row = 0
      for part in parts {
        for i in 0..<part.count {
          (tensor.mutablePointer + row * width).update(from: start(part) + i * stride, count: width)
          row += 1
        }
      }
      return tensor
    }
  }

  private func perform(_ action: Action, _ rows: Rows) throws {
    switch action.work {
    case .capture(let sink):
      try requireFinite(rows, after: "capturing", wereFinite: false)
      try capture(rows, sink)
    case .edit(let effect, let report):
      let wereFinite = rows.areFinite
      try edit(effect, action, rows, report)
      try requireFinite(rows, after: reports[report].kind, wereFinite: wereFinite)
    }
  }

  private func capture(_ rows: Rows, _ sink: (ActivationRows) throws -> Void) throws {
    // Rows that lie together are handed over in place.
    if rows.parts.count == 1, rows.stride == rows.width {
      try sink(
        ActivationRows(
          site: rows.site, layer: rows.layer, sequence: rows.sequence.index, positions: rows.positions,
          shape: [rows.count] + rows.rowShape, pointer: UnsafePointer(rows.start(rows.parts[0]))))
    } else {
      let copy = try rows.gathered()
      try sink(
        ActivationRows(
          site: rows.site, layer: rows.layer, sequence: rows.sequence.index, positions: rows.positions,
          shape: copy.shape, pointer: copy.pointer))
    }
  }

  private func edit(_ effect: Intervention.Effect, _ action: Action, _ rows: Rows, _ report: Int) throws {
    var changed = 0, change = 0.0
    let width = rows.width, stride = rows.stride
    func eachPart(_ body: (UnsafeMutablePointer<Float>, Range<Int>) -> Double) {
      for part in rows.parts {
        changed += part.count
        change += body(rows.start(part), part)
      }
    }
    switch effect {
    case .add(_, let coefficient, let scale):
      guard let direction = action.direction else { return }
      eachPart { ck_edit_add($1.count, width, $0, stride, direction.pointer, coefficient, scale == .relative) }
    case .ablate:
      guard let direction = action.direction else { return }
      eachPart { ck_edit_ablate($1.count, width, $0, stride, direction.pointer) }
    case .mean(let mean):
      let full = mean.count == width ? mean : try Tensor(repeating: mean.pointer[0], shape: [width])
      eachPart { ck_edit_set($1.count, width, $0, stride, full.pointer, 0) }
    case .patch(let value):
      // Row of the value: how many selected positions come before.
      let all = action.positions[rows.sequence.index]
      eachPart { start, part in
        let before = all.intersection(0..<part.lowerBound).reduce(0) { $0 + $1.count }
        let count = min(part.count, value.shape[0] - before)  // generated positions are beyond the value
        changed -= part.count - max(0, count)
        guard count > 0 else { return 0 }
        return ck_edit_set(count, width, start, stride, value.pointer + before * width, width)
      }
    case .replace:
      guard let replacement = action.rowsOfSequence?[rows.sequence.index] else { return }
      for (i, position) in replacement.positions.enumerated()
      where rows.parts.contains(where: { $0.contains(position - 1) }) {
        change += ck_edit_set(
          1, width, rows.start(position - 1..<position), stride, replacement.values.pointer + i * width, 0)
        changed += 1
      }
    case .function(let body):
      let context = HookContext(
        site: rows.site, layer: rows.layer, sequence: rows.sequence.index, positions: rows.positions,
        generated: rows.sequence.isGenerated)
      let selected = try rows.gathered()
      if let answer = try body(context, selected) {
        try checkAnswer(answer, selected.shape, context)
        var row = 0
        eachPart { start, part in
          defer { row += part.count }
          return ck_edit_set(part.count, width, start, stride, answer.pointer + row * width, width)
        }
      } else {
        changed = rows.count
      }
    }
    guard changed > 0 else { return }
    reports[report].fired += 1
    reports[report].rows += changed
    reports[report].changeSum += change
  }

  private func checkAnswer(_ answer: Tensor, _ shape: [Int], _ context: HookContext) throws {
    guard answer.shape == shape else {
      throw EngineError(
        .shape,
        "the hook at \(context.site.rawValue)\(context.layer.map { " of layer \($0)" } ?? "") returned shape "
          + "\(shapeText(answer.shape)); it must keep \(shapeText(shape)) or return nil")
    }
  }

  /// Warnings about interventions that did nothing; throws where one asked to be strict.
  func finish() throws -> [String] {
    try reports.filter { $0.fired == 0 }.map { report in
      let place = report.site.map { " at \($0.rawValue)" } ?? ""
      let message = "\(report.kind)\(place), pos = \(report.positions.text), fired zero times in this run"
      if strict.contains(report.id) { throw EngineError(.position, message) }
      return message
    }
  }
}

private func index(_ site: Site, _ layer: Int?, _ configuration: ModelConfiguration) -> Int {
  Site.indices[site, default: 0] * (configuration.layerCount + 1) + (layer ?? configuration.layerCount)
}

private func unit(_ vector: Tensor, _ what: String) throws -> Tensor {
  let values = vector.values
  let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  guard norm > 0, norm.isFinite else {
    throw EngineError(.numeric, "\(what): the direction has norm \(norm), so it has no direction")
  }
  return try Tensor(values.map { Float(Double($0) / norm) }, shape: vector.shape)
}

/// A sequence's part in one packed forward pass.
struct BatchSequence {
  /// Place in the request.
  let index: Int
  /// First row in the packed batch.
  let row: Int
  /// Absolute positions of its rows, 0-based.
  let span: Range<Int>
  /// Whether its rows are generated tokens.
  let isGenerated: Bool
  let cache: KeyValueCache
}
