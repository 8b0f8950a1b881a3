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

  /// Training rows apart from a tenth of their texts, which say when training should stop.
  func validation(_ training: [Int], _ options: MapperOptions) throws -> (training: [Int], validation: [Int]) {
    let texts = Set(training.map { rows[$0].text })
    guard texts.count >= 2 else {
      throw EngineError(
        .argument, "training until it converges needs 2 texts or more beside the held-out ones; give epochs = instead")
    }
    let chosen = try heldOutTexts(texts, holdout: 0.1, seed: options.seed &+ 1)
    return (training.filter { !chosen.contains(rows[$0].text) }, training.filter { chosen.contains(rows[$0].text) })
  }

  /// Each text's rows with those of another one, the next in a random round of all: rows of content with rows of content
  /// from the first on, rows of the template from the last backwards, as far as both reach. What a map can learn of such
  /// pairs is what template and place tell, nothing that the texts say. Throws `.argument` for one text.
  func shuffledTexts(_ training: [Int], seed: Int) throws -> (source: [Int], target: [Int]) {
    let texts = Dictionary(grouping: training) { rows[$0].text }.sorted { $0.key < $1.key }.map(\.value)
    guard texts.count >= 2 else {
      throw EngineError(.argument, "one text has no other to be shuffled with; give more texts")
    }
    var generator = RandomGenerator(seed: seed)
    let round = generator.permutation(texts.count)
    var source: [Int] = [], target: [Int] = []
    for (place, text) in round.enumerated() {
      let other = texts[round[(place + 1) % round.count]]
      let content = (texts[text].filter { !rows[$0].isTemplate }, other.filter { !rows[$0].isTemplate })
      let template = (texts[text].filter { rows[$0].isTemplate }, other.filter { rows[$0].isTemplate })
      let counts = (min(content.0.count, content.1.count), min(template.0.count, template.1.count))
      source += content.0.prefix(counts.0) + template.0.suffix(counts.1)
      target += content.1.prefix(counts.0) + template.1.suffix(counts.1)
    }
    guard !source.isEmpty else { throw EngineError(.argument, "there are no rows to fit a map to") }
    return (source, target)
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
