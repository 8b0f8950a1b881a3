import Engine

/// Which way a map goes.
public enum MapDirection: String, CaseIterable, Codable, Sendable {
  case forward, backward
}

/// Activations of two models on the same texts at several layers, captured once: what any number of maps, both ways, are
/// fitted to. Tokens that no pair needs are left out.
public struct PairSet: Sendable {
  /// A row of one model: 0-based text and token.
  public struct Place: Sendable, Hashable {
    public let text: Int
    public let token: Int
  }

  /// One model's activations.
  public struct Side: Sendable {
    public let model: ModelIdentity
    public let layers: [Int]
    public let width: Int
    /// Massive dimensions, left out of vectors and norms.
    public let masked: [Int]
    /// What each row is.
    public let places: [Place]
    /// `[places.count, width]` for each layer.
    let activations: [Int: Tensor]
  }

  /// Rows of both sides that stand for each other.
  struct Pair: Sendable {
    let source: Int, target: Int
    let isTemplate: Bool, isLast: Bool
  }

  public let source: Side, target: Side
  public let site: Site
  public let alignment: TokenAlignment
  public let includesFirst: Bool
  /// Whether texts were written in each model's chat template.
  public let isChat: Bool
  /// Number of texts given.
  public let textCount: Int
  /// Share of the target's tokens, first ones left out, that have a counterpart.
  public let coverage: Double
  /// Number of each text; equal ones share one.
  private let numbers: [Int]
  /// Each target token's counterpart, and each source token's.
  private let forward: [Pair], backward: [Pair]

  /// Pairs in the map's direction, as the options choose them.
  func aligned(_ direction: MapDirection) -> [Pair] { direction == .forward ? forward : backward }

  public func count(_ direction: MapDirection = .forward) -> Int { aligned(direction).count }

  /// One model and what it reads.
  public struct Reading {
    public let model: Model
    public let prompts: [Prompt]
    public let layers: [Int]

    public init(model: Model, prompts: [Prompt], layers: [Int]) {
      (self.model, self.prompts, self.layers) = (model, prompts, layers)
    }
  }

  /// Runs each model once over all texts. `progress`: texts read, by either model, and how many that will be.
  /// Throws `.memory` with the bytes needed before anything runs, `.argument`, `.layer`, `.site`, `.shape`, `.missing`
  /// for what cannot be paired, and what `Model.run` throws.
  public init(
    from source: Reading, to target: Reading, site: Site = .residPost, alignment: TokenAlignment = .offset,
    includingFirst: Bool = false, isChat: Bool = false, progress: @escaping (Int, Int) -> Void = { _, _ in }
  ) throws {
    let aligner = TextAligner(source.model, target.model, alignment, includingFirst: includingFirst)
    let forth = try aligner.rows(source.prompts, target.prompts)
    // The other way, a token may have another counterpart, or one at all.
    let back = try aligner.reversed.rows(target.prompts, source.prompts).map { rows in
      rows.map { AlignedRow(source: $0.target, target: $0.source, isTemplate: $0.isTemplate) }
    }
    guard forth.contains(where: { !$0.isEmpty }) || back.contains(where: { !$0.isEmpty }) else {
      throw EngineError(.argument, "the texts give no pair of rows; are they one token each?")
    }
    let places = (PairSet.places(forth, back, \.source), PairSet.places(forth, back, \.target))
    let widths = (try source.width(at: site), try target.width(at: site))
    try PairSet.requireRoom(
      [(source, places.0.count, widths.0), (target, places.1.count, widths.1)], texts: forth.count)
    let total = 2 * forth.count
    self.source = try Side(source, at: site, places.0, widths.0) { progress($0, total) }
    self.target = try Side(target, at: site, places.1, widths.1) { progress(forth.count + $0, total) }
    forward = PairSet.pairs(forth, places)
    backward = PairSet.pairs(back, places)
    (self.site, self.alignment, self.includesFirst, self.isChat) = (site, alignment, includingFirst, isChat)
    textCount = forth.count
    numbers = textNumbers(source.prompts, target.prompts)
    let tokens = target.prompts.reduce(0) { $0 + max(0, $1.tokens.count - (includingFirst ? 0 : 1)) }
    coverage = tokens > 0 ? Double(forward.count) / Double(tokens) : 0
  }

  private static func places(
    _ forth: [[AlignedRow]], _ back: [[AlignedRow]], _ end: (AlignedRow) -> Int
  ) -> [Place] {
    zip(forth, back).enumerated().flatMap { text, rows in
      Set((rows.0 + rows.1).map(end)).sorted().map { Place(text: text, token: $0) }
    }
  }

  private static func pairs(_ aligned: [[AlignedRow]], _ places: ([Place], [Place])) -> [Pair] {
    func index(_ places: [Place]) -> [Place: Int] {
      Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1, $0) })
    }
    let source = index(places.0), target = index(places.1)
    return aligned.enumerated().flatMap { text, rows in
      rows.enumerated().compactMap { place, row in
        guard let a = source[Place(text: text, token: row.source)], let b = target[Place(text: text, token: row.target)]
        else { return nil }
        return Pair(source: a, target: b, isTemplate: row.isTemplate, isLast: place == rows.count - 1)
      }
    }
  }

  private static func requireRoom(_ sides: [(reading: Reading, rows: Int, width: Int)], texts: Int) throws {
    let sizes = sides.map { $0.reading.layers.count * $0.rows * $0.width * 4 }
    let needed = sizes.reduce(0, +), live = TensorMemory.live, budget = TensorMemory.budget
    guard live + needed > budget else { return }
    let parts = sides.map {
      "\($0.rows) rows of \($0.width) at \($0.reading.layers.count) layer\($0.reading.layers.count == 1 ? "" : "s")"
    }
    throw EngineError(
      .memory,
      "pairs of \(texts) text\(texts == 1 ? "" : "s") need \(byteText(needed)) (\(parts.joined(separator: " and "))); "
        + "\(byteText(live)) of the budget of \(byteText(budget)) are in use. Give fewer texts or layers, or fit one "
        + "pair of layers at a time with mapper.fit, whose closed-form methods hold no rows")
  }

  // MARK: What was captured

  /// Rows to use, and how they are chosen.
  public struct Selection: Sendable {
    public enum Kind: String, CaseIterable, Sendable {
      case all, content, template
      /// Each text's last row.
      case last
    }

    public var kind = Kind.all
    /// 0-based texts; nil for all.
    public var texts: Set<Int>?
    /// 0-based rows among those of the direction; nil for all.
    public var rows: [Int]?

    public init(kind: Kind = .all, texts: Set<Int>? = nil, rows: [Int]? = nil) {
      (self.kind, self.texts, self.rows) = (kind, texts, rows)
    }

    /// As a map's card remembers it: `last, 40 texts`; nil for all rows.
    var summary: String? {
      var parts = kind == .all ? [] : [kind.rawValue]
      if let texts { parts.append("\(texts.count) texts") }
      if let rows { parts.append("\(rows.count) rows by number") }
      return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
  }

  /// A choice of rows with their activations: `pairs.source` is what the map takes.
  public struct Chosen: Sendable {
    public let pairs: ActivationPairs
    /// Where each row stands in the model it is read from and in the one it is predicted for.
    public let from: [Place], to: [Place]
  }

  /// Rows at a pair of layers, each of which may be left out where there is one only: `fromLayer` of the source and
  /// `toLayer` of the target, whichever way the map goes. Throws `.layer` or `.argument`, naming what there is.
  public func chosen(
    _ direction: MapDirection = .forward, fromLayer: Int? = nil, toLayer: Int? = nil, _ selection: Selection = .init()
  ) throws -> Chosen {
    let first = try source.rows(fromLayer, name: "from_layer"), second = try target.rows(toLayer, name: "to_layer")
    let (from, to, x, y) = direction == .forward ? (source, target, first, second) : (target, source, second, first)
    let pairs = aligned(direction)
    let chosen = try picked(selection, of: pairs)
    let ends: (Pair) -> (Int, Int) = { direction == .forward ? ($0.source, $0.target) : ($0.target, $0.source) }
    let places = chosen.map { ends(pairs[$0]) }
    return Chosen(
      pairs: try ActivationPairs(
        source: PairSet.gathered(x, places.map(\.0)), target: PairSet.gathered(y, places.map(\.1)),
        rows: zip(chosen, places).map { row, place in
          ActivationPairs.Row(
            text: numbers[from.places[place.0].text], isTemplate: pairs[row].isTemplate, isLast: pairs[row].isLast)
        }), from: places.map { from.places[$0.0] }, to: places.map { to.places[$0.1] })
  }

  private func picked(_ selection: Selection, of pairs: [Pair]) throws -> [Int] {
    if let wrong = selection.texts?.first(where: { !(0..<textCount).contains($0) }) {
      throw EngineError(.argument, "text \(wrong + 1) does not exist: there are texts 1 to \(textCount)")
    }
    if let wrong = selection.rows?.first(where: { !pairs.indices.contains($0) }) {
      throw EngineError(.argument, "row \(wrong + 1) does not exist: there are rows 1 to \(pairs.count)")
    }
    let chosen = (selection.rows ?? Array(pairs.indices)).filter { row in
      let pair = pairs[row]
      switch selection.kind {
      case .all: break
      case .content: guard !pair.isTemplate else { return false }
      case .template: guard pair.isTemplate else { return false }
      case .last: guard pair.isLast else { return false }
      }
      return selection.texts?.contains(source.places[pair.source].text) ?? true
    }
    guard !chosen.isEmpty else {
      throw EngineError(.argument, "no row is left: of \(pairs.count) rows none is of this kind in these texts")
    }
    return chosen
  }

  /// The rows themselves where all are wanted in order, else a copy.
  private static func gathered(_ rows: Tensor, _ places: [Int]) throws -> Tensor {
    places.count == rows.shape[0] && places.enumerated().allSatisfy { $0 == $1 }
      ? rows : try rows.gathered(rows: places)
  }
}

extension PairSet.Reading {
  fileprivate func width(at site: Site) throws -> Int {
    guard !layers.isEmpty, Set(layers).count == layers.count else {
      throw EngineError(.layer, "layers \(layers) of \(model.name): each is needed once")
    }
    return try layers.map { try PairEnd(model: model, prompts: prompts, layer: $0).width(at: site) }[0]
  }
}

extension PairSet.Side {
  /// One pass over all prompts.
  fileprivate init(
    _ reading: PairSet.Reading, at site: Site, _ places: [PairSet.Place], _ width: Int,
    progress: @escaping (Int) -> Void
  ) throws {
    let wanted = Dictionary(grouping: places.enumerated(), by: \.element.text)
    let tensors = try reading.layers.map { _ in try Tensor(uninitialized: [places.count, width]) }
    let layers = Dictionary(uniqueKeysWithValues: zip(reading.layers, tensors))
    let capture = CaptureRequest(site: site, layers: reading.layers) { captured in
      guard let out = captured.layer.flatMap({ layers[$0] }) else { return }
      for (row, place) in wanted[captured.sequence] ?? [] {
        (out.mutablePointer + row * width).update(from: captured.pointer + place.token * width, count: width)
      }
    }
    _ = try reading.model.run(reading.prompts, logits: .none, captures: [capture], progress: progress)
    self.init(
      model: reading.model.identity, layers: reading.layers, width: width,
      masked: try MassiveDimensions.masked(reading.model, site), places: places, activations: layers)
  }

  fileprivate func rows(_ layer: Int?, name: String) throws -> Tensor {
    let list = layers.map(String.init).joined(separator: ", ")
    guard let layer = layer ?? (layers.count == 1 ? layers[0] : nil) else {
      throw EngineError(.layer, "which layer of \(model.name)? Give \(name) = one of \(list)")
    }
    guard let rows = activations[layer] else {
      throw EngineError(.layer, "layer \(layer) of \(model.name) was not captured; layers \(list) were (\(name))")
    }
    return rows
  }

  /// The one layer, or the one given, as a number.
  func layer(_ given: Int?) -> Int { given ?? layers[0] }
}
