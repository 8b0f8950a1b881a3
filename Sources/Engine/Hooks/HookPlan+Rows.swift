import CKernels

/// Sites whose rows are all of one width.
extension HookPlan {
  /// Lets all actions of a site see and edit its rows: `base [rows, width]` at distance `stride`, of all sequences.
  func visit(
    _ site: Site, layer: Int?, _ sequences: [BatchSequence], _ base: UnsafeMutablePointer<Float>, stride: Int
  ) throws {
    let list = actions(site, layer)
    guard !list.isEmpty, let whole = site.rowShape(configuration) else { return }
    for action in list {
      let rowShape = action.heads.map { [$0.count, whole[1]] } ?? whole
      let blocks = action.heads.map { $0.map { $0 * whole[1] } } ?? [0]
      for sequence in sequences {
        let parts = action.selection.sequences[sequence.index].intersection(sequence.span)
        guard !parts.isEmpty else { continue }
        let rows = SelectedRows(
          site: site, layer: layer, sequence: sequence, parts: parts, rowShape: rowShape, blocks: blocks,
          isWhole: action.heads == nil, base: base + sequence.row * stride, stride: stride)
        switch action.work {
        case .capture(let sink):
          try requireFinite(rows, after: "capturing", wereFinite: false)
          try capture(rows, sink)
        case .edit(let effect, let id):
          let wereFinite = rows.areFinite
          try edit(effect, action, rows, id)
          try requireFinite(rows, after: reports[id]?.kind ?? "an intervention", wereFinite: wereFinite)
        }
      }
    }
  }

  private func capture(_ rows: SelectedRows, _ sink: (ActivationRows) throws -> Void) throws {
    func handOver(_ pointer: UnsafePointer<Float>) throws {
      try sink(
        ActivationRows(
          site: rows.site, layer: rows.layer, sequence: rows.sequence.index, positions: rows.positions,
          slots: rows.parts.flatMap { Array($0.slots) }, shape: [rows.count] + rows.rowShape, pointer: pointer))
    }
    // Rows that lie together are handed over in place.
    if rows.parts.count == 1, rows.isWhole, rows.stride == rows.width { return try handOver(rows.start(rows.parts[0])) }
    let copy = try rows.gathered()
    try handOver(copy.pointer)
  }

  private func edit(_ effect: Intervention.Effect, _ action: Action, _ rows: SelectedRows, _ id: Int) throws {
    var changed = 0, change = 0.0
    let width = rows.width, block = rows.blockWidth, stride = rows.stride
    /// Every stretch of rows, head by head where it is limited to some; `at`: where the head begins in the row.
    func eachPart(_ body: (_ start: UnsafeMutablePointer<Float>, ResolvedPositions.Part, _ at: Int) -> Double) {
      for part in rows.parts {
        changed += part.count
        for (i, offset) in rows.blocks.enumerated() {
          change += body(rows.start(part) + offset, part, i * block) / Double(rows.blocks.count)
        }
      }
    }
    /// A direction or mean of the whole row, or one for every head.
    func values(_ vector: Tensor, _ at: Int) -> UnsafePointer<Float> {
      vector.pointer + (vector.count == width ? at : 0)
    }
    func patch(_ value: Tensor) {
      eachPart { start, part, at in
        let count = max(0, min(part.count, value.shape[0] - part.slot))  // generated positions may be beyond the value
        if at == 0 { changed -= part.count - count }
        guard count > 0 else { return 0 }
        return ck_edit_set(count, block, start, stride, value.pointer + part.slot * width + at, width)
      }
    }
    switch effect {
    case .add(_, let coefficient, let scale):
      guard let direction = action.direction else { return }
      eachPart { ck_edit_add($1.count, block, $0, stride, values(direction, $2), coefficient, scale == .relative) }
    case .ablate:
      guard let direction = action.direction else { return }
      eachPart { ck_edit_ablate($1.count, block, $0, stride, values(direction, $2)) }
    case .mean(let mean):
      let full = mean.count > 1 || width == 1 ? mean : try Tensor(repeating: mean.pointer[0], shape: [width])
      eachPart { ck_edit_set($1.count, block, $0, stride, values(full, $2), 0) }
    case .patch(let value): patch(value)
    case .patchEach(let list): patch(list[rows.sequence.index])
    case .knockout: preconditionFailure("refused at registration")
    case .replace:
      guard let replacement = action.replacement?[rows.sequence.index] else { return }
      for (i, position) in replacement.positions.enumerated()
      where rows.parts.contains(where: { $0.range.contains(position - 1) }) {
        let row = rows.base + (position - 1 - rows.sequence.span.lowerBound) * stride
        change += ck_edit_set(1, width, row, stride, replacement.values.pointer + i * width, 0)
        changed += 1
      }
    case .function(let body):
      guard !isRemoved(id) else { return }
      let context = context(rows.site, rows.layer, rows.sequence.index, rows.positions)
      let selected = try rows.gathered()
      if let answer = try body(context, selected) {
        try checkAnswer(answer, selected.shape, context)
        try checkRepeats(answer, rows.parts, context, row: { answer.pointer + $0 * width }, width: width)
        var first: [Int: Int] = [:], row = 0  // by slot, of which every part has its own
        for part in rows.parts {
          first[part.slot] = row
          row += part.count
        }
        eachPart { start, part, at in
          ck_edit_set(
            part.count, block, start, stride, answer.pointer + first[part.slot, default: 0] * width + at, width)
        }
      } else {
        changed = rows.count
      }
    }
    let sequences = rows.sequence.standsFor
    record(id, rows: changed * sequences, change: change * Double(sequences), times: sequences)
  }

  func record(_ id: Int, rows: Int, change: Double, times: Int = 1) {
    guard rows > 0 else { return }
    reports[id]?.fired += times
    reports[id]?.rows += rows
    reports[id]?.changeSum += change
  }

  /// What a function is told. `positions`: 1-based.
  func context(_ site: Site, _ layer: Int?, _ sequence: Int, _ positions: [Int]) -> HookContext {
    let length = prompts[sequence].tokens.count
    return HookContext(
      site: site, layer: layer, sequence: sequence, positions: positions,
      generated: positions.allSatisfy { $0 > length })
  }

  func checkAnswer(_ answer: Tensor, _ shape: [Int], _ context: HookContext) throws {
    guard answer.shape == shape else {
      throw EngineError(
        .shape,
        "the hook at \(context.place) returned shape \(shapeText(answer.shape)); it must keep \(shapeText(shape)) or "
          + "return nil")
    }
  }

  /// A function that sees a position twice must answer the same row twice.
  func checkRepeats(
    _ answer: Tensor, _ parts: [ResolvedPositions.Part], _ context: HookContext, row: (Int) -> UnsafePointer<Float>,
    width: Int
  ) throws {
    guard parts.count > 1, Set(context.positions).count < context.positions.count else { return }
    var first: [Int: Int] = [:]
    for (place, position) in context.positions.enumerated() {
      guard let before = first.updateValue(place, forKey: position) else { continue }
      let a = row(before), b = row(place)
      guard (0..<width).allSatisfy({ a[$0] == b[$0] }) else {
        throw EngineError(
          .position,
          "the hook at \(context.place) returned different rows (\(before + 1) and \(place + 1)) for position \(position), "
            + "which its pos lists twice")
      }
    }
  }
}

extension HookContext {
  fileprivate var place: String { site.rawValue + (layer.map { " of layer \($0)" } ?? "") }
}

/// One sequence's selected rows of a site.
struct SelectedRows {
  let site: Site
  let layer: Int?
  let sequence: BatchSequence
  /// Selected absolute positions, 0-based.
  let parts: [ResolvedPositions.Part]
  /// Shape of a selected row: of the heads, where there are only some.
  let rowShape: [Int]
  /// Where in the site's rows the heads begin; 0 for whole rows.
  let blocks: [Int]
  let isWhole: Bool
  /// First row of the sequence.
  let base: UnsafeMutablePointer<Float>
  let stride: Int

  /// Values of a selected row, and of one head of it.
  var width: Int { rowShape.reduce(1, *) }
  var blockWidth: Int { width / blocks.count }
  var count: Int { parts.reduce(0) { $0 + $1.count } }
  /// 1-based.
  var positions: [Int] { parts.flatMap { $0.range.map { $0 + 1 } } }

  func start(_ part: ResolvedPositions.Part) -> UnsafeMutablePointer<Float> {
    base + (part.range.lowerBound - sequence.span.lowerBound) * stride
  }

  func gathered() throws -> Tensor {
    let tensor = try Tensor(uninitialized: [count] + rowShape)
    var row = 0
    for part in parts {
      for i in 0..<part.count {
        for (place, offset) in blocks.enumerated() {
          (tensor.mutablePointer + row * width + place * blockWidth)
            .update(from: start(part) + i * stride + offset, count: blockWidth)
        }
        row += 1
      }
    }
    return tensor
  }
}
