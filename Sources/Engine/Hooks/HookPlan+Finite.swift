import CKernels

/// NaN and infinity are named where they enter: an intervention that makes them, a function that returns them, scores
/// that leave a token nothing to attend to.
extension HookPlan {
  /// Throws `.numeric` where rows hold values that are no finite numbers. `what`: `add`, `hook`; `wereFinite`: whether
  /// they were good before it.
  func requireFinite(_ rows: Rows, after what: String, wereFinite: Bool) throws {
    for part in rows.parts {
      let base = rows.start(part)
      let bad = ck_first_nonfinite_row(part.count, rows.width, base, rows.stride)
      guard bad < part.count else { continue }
      let value = (0..<rows.width).lazy.map { base[bad * rows.stride + $0] }.first { !$0.isFinite } ?? .nan
      let place = "\(rows.site.rawValue)\(rows.layer.map { " of layer \($0)" } ?? "")"
      let token = "position \(part.lowerBound + bad + 1) of sequence \(rows.sequence.index + 1)"
      throw EngineError(
        .numeric,
        wereFinite
          ? "\(what) at \(place) made values that are no finite numbers (\(value)) at \(token): what it adds or returns is "
            + "no number or beyond float32"
          : "\(place) has values that are no finite numbers (\(value)) at \(token) before \(what): damaged weights, or an "
            + "intervention earlier in the model, made them")
    }
  }

  /// Throws `.numeric` for what a function made of an attention matrix `[heads, rows, columns]`: NaN, infinity (but for
  /// scores of -infinity, which mask a key), or a token all of whose keys are masked.
  func requireUsable(
    _ base: UnsafePointer<Float>, heads: Int, columns: Int, _ site: Site, layer: Int, sequence: Int, positions: [Int]
  ) throws {
    let rows = positions.count
    let place = "the hook at \(site.rawValue) of layer \(layer)"
    for row in 0..<heads * rows {
      let values = base + row * columns
      var seen = false
      for column in 0..<columns {
        let value = values[column]
        guard value.isFinite || (site == .attnScores && value == -.infinity) else {
          throw EngineError(
            .numeric,
            "\(place) returned \(value) in head \(row / rows) at position \(positions[row % rows]) of sequence "
              + "\(sequence + 1)"
              + (site == .attnScores ? "; only -inf, which masks a key, can stand beside finite scores" : ""))
        }
        seen = seen || value.isFinite
      }
      guard seen else {
        throw EngineError(
          .numeric,
          "\(place) masked every key of position \(positions[row % rows]) of sequence \(sequence + 1) in head "
            + "\(row / rows): all scores are -inf, and their softmax is no number. Leave one key, such as the first token, "
            + "or set rows of pattern to zero instead")
      }
    }
  }
}

extension Intervention {
  /// Throws `.numeric` where a direction, a mean or a value has entries that are no finite numbers.
  func requireFinite() throws {
    switch effect {
    case .add(let vector, let coefficient, _):
      guard coefficient.isFinite else {
        throw EngineError(.numeric, "\(kind): the coefficient is \(coefficient) as float32; it must be finite")
      }
      try vector.requireNumbers("\(kind): the direction")
    case .ablate(let vector): try vector.requireNumbers("\(kind): the direction")
    case .mean(let mean): try mean.requireNumbers("\(kind): the mean")
    case .patch(let value): try value.requireNumbers("\(kind): the value")
    case .replace, .function: break
    }
  }
}

extension Tensor {
  /// Throws `.numeric`, with how many and the first, where entries are NaN or infinite. `what` begins the message.
  public func requireNumbers(_ what: String) throws {
    guard ck_first_nonfinite_row(1, count, pointer, count) == 0 else { return }
    let bad = (0..<count).filter { !pointer[$0].isFinite }
    guard let first = bad.first else { return }
    throw EngineError(
      .numeric,
      "\(what) has \(bad.count) of \(count) values that are no finite numbers, the first \(pointer[first]) at index "
        + "\(first + 1)")
  }
}
