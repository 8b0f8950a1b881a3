import Engine

/// Activations of two models on the same texts, row by row.
public struct ActivationPairs: Sendable {
  /// `[rows, dFrom]`
  public let source: Tensor
  /// `[rows, dTo]`
  public let target: Tensor
  /// What each row is.
  public let rows: [Row]

  public struct Row: Sendable, Equatable {
    /// Number of the text it comes from; equal texts have one number, so that none is on both sides of a split.
    public let text: Int
    public let isTemplate: Bool
    /// Whether it is its text's last row.
    public let isLast: Bool

    public init(text: Int, isTemplate: Bool = false, isLast: Bool = false) {
      self.text = text
      self.isTemplate = isTemplate
      self.isLast = isLast
    }
  }

  public var count: Int { rows.count }
  public var sourceWidth: Int { source.shape[1] }
  public var targetWidth: Int { target.shape[1] }

  /// Throws `.shape` when the three do not have equally many rows.
  public init(source: Tensor, target: Tensor, rows: [Row]) throws {
    guard source.rank == 2, target.rank == 2, source.shape[0] == rows.count, target.shape[0] == rows.count else {
      throw EngineError(
        .shape,
        "activation pairs: source \(shapeText(source.shape)) and target \(shapeText(target.shape)) must be "
          + "matrices of \(rows.count) rows")
    }
    self.source = source
    self.target = target
    self.rows = rows
  }

  /// Row numbers for training and for the report. Whole texts are held out: rows of one text resemble each other.
  /// Throws `.argument` when there are too few texts for a fraction above 0.
  public func split(holdout: Double, seed: Int) throws -> (training: [Int], heldOut: [Int]) {
    guard holdout >= 0, holdout < 1 else {
      throw EngineError(.argument, "holdout = \(holdout) is not a fraction from 0 up to, but without, 1")
    }
    let held = try heldOutTexts(Set(rows.map(\.text)), holdout: holdout, seed: seed)
    let training = rows.indices.filter { !held.contains(rows[$0].text) }
    guard !training.isEmpty else { throw EngineError(.argument, "there are no rows to fit a map to") }
    return (training, rows.indices.filter { held.contains(rows[$0].text) })
  }

  /// The pairs of some rows, copied.
  public func subset(_ indices: [Int]) throws -> ActivationPairs {
    try ActivationPairs(
      source: source.gathered(rows: indices), target: target.gathered(rows: indices), rows: indices.map { rows[$0] })
  }
}

/// The share `holdout` of `texts`, at least one, chosen by `seed`.
func heldOutTexts(_ texts: Set<Int>, holdout: Double, seed: Int) throws -> Set<Int> {
  guard holdout > 0 else { return [] }
  guard texts.count >= 2 else {
    throw EngineError(
      .argument,
      "\(texts.count) text\(texts.count == 1 ? "" : "s") cannot be split into training and held-out ones; "
        + "give more texts, or holdout = 0 for a map without a report")
  }
  let sorted = texts.sorted()
  var generator = RandomGenerator(seed: seed)
  let count = min(texts.count - 1, max(1, Int((holdout * Double(texts.count)).rounded())))
  return Set(generator.permutation(sorted.count).prefix(count).map { sorted[$0] })
}
