import Engine
import Foundation

/// One candidate of a refusal direction, as it was judged on validation prompts.
public struct RefusalCandidate: Sendable, Equatable {
  public let layer: Int
  public let position: Int
  /// Mean refusal score of harmful prompts with the direction ablated everywhere: low is good. Not a number where that
  /// was not asked, as the direction does not induce refusal.
  public let refusal: Double
  /// Mean refusal score of harmless prompts with the direction added at its layer: must be above 0.
  public let steering: Double
  /// Divergence of the next-token distribution on harmless prompts with the direction ablated; not a number as above.
  public let divergence: Double

  public init(layer: Int, position: Int, refusal: Double, steering: Double, divergence: Double) {
    (self.layer, self.position) = (layer, position)
    (self.refusal, self.steering, self.divergence) = (refusal, steering, divergence)
  }

  func passes(_ limit: Double) -> Bool {
    !refusal.isNaN && steering >= 0 && divergence <= limit
  }
}

/// The refusal direction of Arditi et al. 2024 ("Refusal in language models is mediated by a single direction",
/// appendix C): of the differences of means at every layer and every template position after the instruction, the one
/// whose ablation leaves the least refusal, among those that induce refusal when added and change little else.
public struct RefusalDirection: Sendable {
  public let vector: SteeringVector
  public let chosen: RefusalCandidate
  /// All candidates judged, in order of position and layer. The last fifth of the layers never counts and is not
  /// judged.
  public let candidates: [RefusalCandidate]
  /// Positions that not every prompt has.
  public let gaps: [String]

  public struct Options: Sendable {
    /// Largest divergence allowed.
    public var divergenceLimit = 0.1
    /// Whether harmful prompts the model does not refuse, and harmless ones it does, are dropped first.
    public var filters = true
    /// Stream dimensions set to zero in every candidate.
    public var masked: [Int] = []
    /// First tokens of a refusal.
    public var refusalTokens: [Int]
    /// Positions from the end; nil: the template after the instruction, at least the last token.
    public var positions: [Int]?
    /// Layers, of which those in the last fifth are left out; nil: all.
    public var layers: [Int]?
    /// Whether ablation is judged for candidates, too, that do not induce refusal when added and so cannot be chosen.
    public var judgesAll = false

    public init(refusalTokens: [Int]) { self.refusalTokens = refusalTokens }
  }

  public struct Prompts: Sendable {
    public var harmful: [Prompt], harmless: [Prompt]
    /// The same for judging candidates.
    public var harmfulValidation: [Prompt], harmlessValidation: [Prompt]

    public init(
      harmful: [Prompt], harmless: [Prompt], harmfulValidation: [Prompt], harmlessValidation: [Prompt]
    ) {
      (self.harmful, self.harmless) = (harmful, harmless)
      (self.harmfulValidation, self.harmlessValidation) = (harmfulValidation, harmlessValidation)
    }
  }

  /// `progress`: candidates judged, of how many. Throws `.argument` for empty sets, sets that filtering empties, and
  /// where no candidate passes: then it lists the best ones and the limit each would need.
  public init(
    of model: Model, _ prompts: Prompts, options: Options, template: String? = nil,
    progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws {
    let prompts = try RefusalDirection.filtered(model, prompts, options)
    let layerCount = model.configuration.layerCount, firstLate = Int(Double(layerCount) * (1 - 0.2))
    let layers = (options.layers ?? Array(0..<layerCount)).filter { $0 < firstLate }
    let positions = options.positions ?? RefusalDirection.templatePositions(prompts.harmful[0])
    let directions = try Directions.meanDifference(
      model, positive: prompts.harmful, negative: prompts.harmless,
      at: ReadingPlace(site: .residPre, layers: layers, positions: positions.map { .index($0) }),
      masked: options.masked,
      template: template)
    let judge = try RefusalJudge(model, prompts, layers: layers, tokens: options.refusalTokens)
    var found: [(layer: Int, position: Int, direction: Tensor)] = []
    for position in positions {
      for layer in layers {
        let vector = try directions.at(layer, position: .index(position))
        // At layer 0 the template's rows are the same in every prompt: no direction.
        if vector.norm > 0 { found.append((layer, position, vector.direction)) }
      }
    }
    var candidates: [RefusalCandidate] = []
    for (done, candidate) in found.enumerated() {
      try Interrupt.check()
      candidates.append(
        try judge.judge(
          candidate.direction, layer: candidate.layer, position: candidate.position, ablatesAlways: options.judgesAll))
      try progress(done + 1, found.count)
    }
    let passing = candidates.filter { $0.passes(options.divergenceLimit) }
    guard let best = passing.min(by: { $0.refusal < $1.refusal }) else {
      throw RefusalDirection.nothingPasses(candidates, options.divergenceLimit)
    }
    vector = try directions.at(best.layer, position: .index(best.position))
    chosen = best
    self.candidates = candidates
    gaps = directions.gaps
  }

  /// Positions of the template after the last message, from the end: -5 to -1 for Gemma and ChatML.
  static func templatePositions(_ prompt: Prompt) -> [Int] {
    guard let end = prompt.contentSpans.last?.upperBound, let spans = prompt.spans else { return [-1] }
    let count = spans.count { $0.upperBound > end }
    return count == 0 ? [-1] : (0..<count).map { $0 - count }
  }

  /// First tokens of words that open a refusal, as the model's tokenizer has them at the start of an answer.
  public static func openingTokens(
    _ tokenizer: Tokenizer, words: [String] = ["I", "Sorry", "As", "Unfortunately"]
  ) throws -> [Int] {
    Set(try words.compactMap { try tokenizer.encode(Array($0.utf8), bos: .never, special: false).ids.first }).sorted()
  }

  /// Refusal score of each prompt's next token, with the interventions registered now. Logits of at most 256 prompts
  /// are held at a time. `progress`: prompts done.
  public static func scores(
    _ model: Model, _ prompts: [Prompt], tokens: [Int], progress: ((Int) -> Void)? = nil
  ) throws -> [Double] {
    var scores: [Double] = []
    for start in stride(from: 0, to: prompts.count, by: 256) {
      let part = Array(prompts[start..<min(prompts.count, start + 256)])
      for result in try model.run(part, logits: .last, progress: { progress?(start + $0) }) {
        scores.append(try result.logits.map { try refusalScore($0, tokens: tokens) } ?? .nan)
      }
    }
    return scores
  }

  private static func filtered(_ model: Model, _ prompts: Prompts, _ options: Options) throws -> Prompts {
    guard options.filters else { return try requireSome(prompts, "given") }
    func kept(_ list: [Prompt], _ keep: (Double) -> Bool) throws -> [Prompt] {
      guard !list.isEmpty else { return [] }
      return try zip(list, scores(model, list, tokens: options.refusalTokens)).filter { keep($0.1) }.map(\.0)
    }
    return try requireSome(
      Prompts(
        harmful: kept(prompts.harmful) { $0 > 0 }, harmless: kept(prompts.harmless) { $0 < 0 },
        harmfulValidation: kept(prompts.harmfulValidation) { $0 > 0 },
        harmlessValidation: kept(prompts.harmlessValidation) { $0 < 0 }),
      "left after filtering by the refusal score (filter = false keeps all: a model that never refuses needs it)")
  }

  private static func requireSome(_ prompts: Prompts, _ what: String) throws -> Prompts {
    for (list, name) in [
      (prompts.harmful, "harmful"), (prompts.harmless, "harmless"), (prompts.harmfulValidation, "harmful_val"),
      (prompts.harmlessValidation, "harmless_val"),
    ] where list.isEmpty {
      throw EngineError(.argument, "refusal_direction: no \(name) prompts are \(what)")
    }
    return prompts
  }

  private static func nothingPasses(_ candidates: [RefusalCandidate], _ limit: Double) -> EngineError {
    let inducing = candidates.filter { $0.passes(.infinity) }.sorted { $0.divergence < $1.divergence }
    guard !inducing.isEmpty else {
      let best = candidates.sorted { $0.steering > $1.steering }.prefix(3).map {
        "layer \($0.layer) at \($0.position) (steering \(numberText($0.steering)))"
      }
      return EngineError(
        .argument,
        "refusal_direction: adding any of the \(candidates.count) candidates does not induce refusal; nearest: "
          + best.joined(separator: ", "))
    }
    let lines = inducing.prefix(3).map { candidate in
      "layer \(candidate.layer) at \(candidate.position) (refusal \(numberText(candidate.refusal)), steering "
        + "\(numberText(candidate.steering))) needs kl_limit \(numberText(candidate.divergence))"
    }
    return EngineError(
      .argument,
      "refusal_direction: none of \(candidates.count) candidates passes kl_limit = \(limit) and induces "
        + "refusal; nearest: \(lines.joined(separator: "; "))")
  }
}
