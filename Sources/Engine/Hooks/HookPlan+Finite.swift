import CKernels

/// NaN and infinity are named where they enter: an intervention that makes them, a function that returns them, scores
/// that leave a token nothing to attend to.
extension HookPlan {
  /// Throws `.numeric` where rows hold values that are no finite numbers. `what`: `add`, `hook`; `wereFinite`: whether
  /// they were good before it.
  func requireFinite(_ rows: SelectedRows, after what: String, wereFinite: Bool) throws {
    for (part, offset) in rows.parts.flatMap({ part in rows.blocks.map { (part, $0) } }) {
      let base = rows.start(part) + offset
      let bad = ck_first_nonfinite_row(part.count, rows.blockWidth, base, rows.stride)
      guard bad < part.count else { continue }
      let value = (0..<rows.blockWidth).lazy.map { base[bad * rows.stride + $0] }.first { !$0.isFinite } ?? .nan
      let place = "\(rows.site.rawValue)\(rows.layer.map { " of layer \($0)" } ?? "")"
      let token = "position \(part.range.lowerBound + bad + 1) of sequence \(rows.sequence.index + 1)"
      throw EngineError(
        .numeric,
        wereFinite
          ? "\(what) at \(place) made values that are no finite numbers (\(numberText(Double(value)))) at \(token): what it adds or returns is "
            + "no number or beyond float32"
          : "\(place) has values that are no finite numbers (\(numberText(Double(value)))) at \(token) before \(what): damaged weights, or an "
            + "intervention earlier in the model, made them")
    }
  }

  /// Throws `.numeric` for what an edit made of rows of an attention matrix `[heads, rows, columns]`: NaN, infinity (but
  /// for scores of -infinity, which mask a key), or a token all of whose keys are masked.
  /// `heads` are those of the matrix.
  func requireUsable(_ matrix: Tensor, heads: [Int], after what: String, _ context: HookContext) throws {
    let rows = matrix.shape[1], columns = matrix.shape[2]
    let areScores = context.site == .attnScores
    func error(_ row: Int, _ happened: String, _ advice: String = "") -> EngineError {
      EngineError(
        .numeric,
        "\(what) at \(context.site.rawValue) of layer \(context.layer ?? 0) \(happened) of position "
          + "\(context.positions[row % rows]) of sequence \(context.sequence + 1) in head \(heads[row / rows])\(advice)"
      )
    }
    for row in 0..<matrix.shape[0] * rows {
      let values = matrix.pointer + row * columns
      var hasKey = false
      for column in 0..<columns {
        let value = values[column]
        guard value.isFinite || (areScores && value == -.infinity) else {
          throw error(
            row, "put \(numberText(Double(value))) into the row",
            areScores ? "; -inf alone can stand there, and masks a key" : "")
        }
        hasKey = hasKey || value.isFinite
      }
      guard hasKey else {
        throw error(
          row, "masked every key",
          ": all scores are -inf, and their softmax is no number. Leave one key, such as the first token, or set rows of "
            + "pattern to zero")
      }
    }
  }
}

extension SelectedRows {
  var areFinite: Bool {
    parts.allSatisfy { part in
      blocks.allSatisfy { ck_first_nonfinite_row(part.count, blockWidth, start(part) + $0, stride) == part.count }
    }
  }
}

extension Intervention {
  /// Throws `.numeric` where a direction, a mean or a value has entries that are no finite numbers.
  func requireFinite() throws {
    for effect in effects {
      switch effect {
      case .add(let vector, let coefficient, _):
        guard coefficient.isFinite else {
          throw EngineError(.numeric, "\(kind): the coefficient is \(coefficient) as float32; it must be finite")
        }
        try vector.requireNumbers("\(kind): the direction")
      case .ablate(let vector): try vector.requireNumbers("\(kind): the direction")
      case .mean(let mean): try mean.requireNumbers("\(kind): the mean")
      case .patch(let value): try requireFinite([value])
      case .patchEach(let values): try requireFinite(values)
      case .knockout, .replace, .function: break
      }
    }
  }

  /// Values of a patch; scores have -infinity where a key is masked.
  private func requireFinite(_ values: [Tensor]) throws {
    let areScores = places.contains { $0.site == .attnScores }
    for value in values { try value.requireNumbers("\(kind): the value", allowing: areScores ? -.infinity : nil) }
  }
}

extension Tensor {
  /// Throws `.numeric`, with how many and the first, where entries are NaN or infinite, but for `allowed`. `what` begins
  /// the message.
  public func requireNumbers(_ what: String, allowing allowed: Float? = nil) throws {
    guard count > 0, ck_first_nonfinite_row(1, count, pointer, count) == 0 else { return }
    let bad = (0..<count).filter { !pointer[$0].isFinite && pointer[$0] != allowed }
    guard let first = bad.first else { return }
    throw EngineError(
      .numeric,
      "\(what) has \(bad.count) of \(count) values that are no finite numbers, the first \(numberText(Double(pointer[first]))) at index "
        + "\(first + 1)")
  }
}
