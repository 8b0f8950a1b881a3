import CKernels

/// Attention scores and patterns, whose rows are as wide as the text is long.
extension HookPlan {
  /// Lets all actions see and edit one sequence's matrix `[heads, rows, columns]`.
  func visitMatrix(
    _ site: Site, layer: Int, _ sequence: BatchSequence, _ base: UnsafeMutablePointer<Float>, heads: Int, columns: Int
  ) throws {
    for action in actions(site, layer) {
      let parts = action.selection.sequences[sequence.index].intersection(sequence.span)
      guard !parts.isEmpty else { continue }
      let matrix = SelectedMatrix(
        parts: parts, base: base, heads: action.heads ?? Array(0..<heads), rows: sequence.span, columns: columns,
        window: configuration.layers[layer].window)
      switch action.work {
      case .capture(let sink):
        let selected = try matrix.gathered()
        try sink(
          ActivationRows(
            site: site, layer: layer, sequence: sequence.index, positions: matrix.positions, slots: matrix.slots,
            shape: selected.shape, pointer: selected.pointer))
      case .edit(let effect, let id):
        let context = context(site, layer, sequence.index, matrix.positions)
        try edit(effect, action, matrix, context, id, times: sequence.standsFor)
        try requireUsable(
          matrix.gathered(), heads: matrix.heads, after: reports[id]?.kind ?? "an intervention", context)
      }
    }
  }

  private func edit(
    _ effect: Intervention.Effect, _ action: Action, _ matrix: SelectedMatrix, _ context: HookContext, _ id: Int,
    times: Int
  ) throws {
    func record(_ rows: Int, _ change: Double) {
      self.record(id, rows: rows * times, change: change * Double(times), times: times)
    }
    func patch(_ value: Tensor) {
      let rows = value.shape[1], width = value.shape[2], slots = matrix.slots.filter { $0 < rows }
      let change = matrix.edit { head, _, slot, columns, row in
        guard slot < rows else { return }
        let source = value.pointer + (head * rows + slot) * width
        for column in columns where column < width { row[column] = source[column] }
      }
      record(slots.count, change)
    }
    switch effect {
    case .mean(let mean):
      let value = mean.pointer[0]
      let change = matrix.edit { _, _, _, columns, row in
        for column in columns { row[column] = value }
      }
      record(matrix.positions.count, change)
    case .patch(let value): patch(value)
    case .patchEach(let values): patch(values[context.sequence])
    case .knockout: try hide(action, matrix, context, record)
    case .function(let body):
      guard !isRemoved(id) else { return }
      let selected = try matrix.gathered()
      guard let answer = try body(context, selected) else {
        return record(matrix.positions.count, 0)
      }
      try checkAnswer(answer, selected.shape, context)
      let count = matrix.positions.count, width = matrix.columns
      for head in matrix.heads.indices {
        let first = answer.pointer + head * count * width
        try checkRepeats(answer, matrix.parts, context, row: { first + $0 * width }, width: width)
      }
      let change = matrix.edit { head, place, _, _, row in
        row.update(from: answer.pointer + (head * count + place) * width, count: width)
      }
      record(count, change)
    case .add, .ablate, .replace: preconditionFailure("refused at registration")
    }
  }

  /// Lets the selected rows attend no more to the positions that `action` hides. Throws where nothing would be left.
  private func hide(
    _ action: Action, _ matrix: SelectedMatrix, _ context: HookContext, _ record: (Int, Double) -> Void
  ) throws {
    let hidden = action.hidden?.sequences[context.sequence].parts.map(\.range) ?? []
    var starved: Int?, rows = 0
    _ = matrix.edit { head, place, _, columns, row in
      var isHit = false
      for range in hidden {
        for column in range.clamped(to: columns) {
          row[column] = -.infinity
          isHit = true
        }
      }
      if isHit, head == 0 { rows += 1 }
      if !columns.contains(where: { row[$0] > -.infinity }) { starved = place }
    }
    if let starved {
      throw EngineError(
        .position,
        "knockout leaves position \(context.positions[starved]) of sequence \(context.sequence + 1) nothing to attend to at "
          + "layer "
          + "\(context.layer ?? 0): keep at least the position itself")
    }
    record(rows, Double(rows))
  }
}

/// The selected rows of one sequence's attention matrix.
private struct SelectedMatrix {
  let parts: [ResolvedPositions.Part]
  let base: UnsafeMutablePointer<Float>
  /// The heads that are meant.
  let heads: [Int]
  /// Absolute positions of all rows of the matrix, 0-based.
  let rows: Range<Int>
  let columns: Int
  /// Positions a row sees, its own included; nil for all before it.
  let window: Int?

  /// 1-based.
  var positions: [Int] { parts.flatMap { $0.range.map { $0 + 1 } } }
  var slots: [Int] { parts.flatMap { Array($0.slots) } }

  /// `[heads, selected rows, columns]`.
  func gathered() throws -> Tensor {
    let places = parts.flatMap { $0.range.map { $0 - rows.lowerBound } }
    let tensor = try Tensor(uninitialized: [heads.count, places.count, columns])
    for (at, head) in heads.enumerated() {
      for (i, place) in places.enumerated() {
        (tensor.mutablePointer + (at * places.count + i) * columns).update(
          from: base + (head * rows.count + place) * columns, count: columns)
      }
    }
    return tensor
  }

  /// Lets `body` change each selected row of each head, given the head's place among `heads`, the row's place among the
  /// selected ones here, its slot, and the columns it can see. Returns the sum over selected rows of |change| / |row|,
  /// averaged over heads.
  func edit(
    _ body: (
      _ head: Int, _ place: Int, _ slot: Int, _ columns: Range<Int>, _ row: UnsafeMutablePointer<Float>
    ) -> Void
  ) -> Double {
    var change = 0.0
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { buffer in
      guard let scratch = buffer.baseAddress else { return }
      for (at, head) in heads.enumerated() {
        var place = 0
        for part in parts {
          for (position, slot) in zip(part.range, part.slots) {
            let row = base + (head * rows.count + position - rows.lowerBound) * columns
            scratch.update(from: row, count: columns)
            let low = window.map { max(0, position + 1 - $0) } ?? 0
            body(at, place, slot, low..<position + 1, scratch)
            // Of what the row sees: masked scores are -inf, which have no difference.
            change += ck_edit_set(1, position + 1 - low, row + low, columns, scratch + low, 0) / Double(heads.count)
            row.update(from: scratch, count: columns)
            place += 1
          }
        }
      }
    }
    return change
  }
}
