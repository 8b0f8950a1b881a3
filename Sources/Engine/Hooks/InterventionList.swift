/// The interventions of one model, in order of registration, which is their order of effect. It may change while a run
/// is under way: each forward pass takes the list as it is when the pass begins.
public final class InterventionList {
  struct Entry {
    let id: Int
    let intervention: Intervention
  }

  private(set) var entries: [Entry] = []
  /// Grows with every change.
  private(set) var version = 0
  private var nextID = 1
  private let configuration: ModelConfiguration

  /// What each did in the last run, and warnings about those that did nothing.
  public private(set) var lastReports: [InterventionReport] = []
  public private(set) var warnings: [String] = []

  init(configuration: ModelConfiguration) { self.configuration = configuration }

  public var isEmpty: Bool { entries.isEmpty }
  public var count: Int { entries.count }

  func contains(_ id: Int) -> Bool { entries.contains { $0.id == id } }

  /// Checks sites, layers and shapes now, before anything runs, and returns the id for `remove(_:)`.
  public func register(_ intervention: Intervention) throws -> Int {
    guard !intervention.places.isEmpty else {
      throw EngineError(.argument, "\(intervention.kind): no layers were given")
    }
    for (index, place) in intervention.places.enumerated() {
      try check(intervention, place, intervention.effect(at: index))
    }
    try intervention.requireFinite()
    let id = nextID
    nextID += 1
    version += 1
    entries.append(Entry(id: id, intervention: intervention))
    lastReports.append(InterventionList.report(id, intervention))
    return id
  }

  /// Removing twice is fine.
  public func remove(_ id: Int) {
    version += 1
    entries.removeAll { $0.id == id }
    lastReports.removeAll { $0.id == id }
  }

  public func removeAll() {
    version += 1
    entries = []
    lastReports = []
    warnings = []
  }

  /// Takes over what a run reports, for those that are registered still. Throws where one that did nothing asked to be
  /// strict.
  func finish(_ reports: [InterventionReport], isWhole: Bool = true) throws {
    let byID = Dictionary(uniqueKeysWithValues: reports.map { ($0.id, $0) })
    lastReports = entries.map { byID[$0.id] ?? InterventionList.report($0.id, $0.intervention) }
    warnings = []
    guard isWhole else { return }
    warnings = try entries.compactMap { entry in
      guard let report = byID[entry.id], report.fired == 0 else { return nil }
      let place = report.site.map { " at \($0.rawValue)" } ?? ""
      let message = "\(report.kind)\(place), pos = \(report.positions.text), fired zero times in this run"
      if entry.intervention.isStrict { throw EngineError(.position, message) }
      return message
    }
  }

  static func report(_ id: Int, _ intervention: Intervention) -> InterventionReport {
    let sites = Set(intervention.places.map(\.site))
    return InterventionReport(
      id: id, kind: intervention.kind, site: sites.count == 1 ? sites.first : nil,
      layers: Array(Set(intervention.places.compactMap(\.layer))).sorted(), positions: intervention.positions)
  }

  private func check(
    _ intervention: Intervention, _ place: Intervention.Place, _ effect: Intervention.Effect
  ) throws {
    try checkPlace(place, configuration)
    try place.site.check(heads: intervention.heads, configuration)
    guard var shape = place.site.rowShape(configuration) else {
      return try checkMatrix(intervention, place, effect)
    }
    if let heads = intervention.heads { shape[0] = heads.count }
    let width = shape.reduce(1, *), headWidth = intervention.heads == nil ? width : configuration.dHead
    func checkVector(_ vector: Tensor, _ what: String) throws {
      guard vector.count == width || vector.count == headWidth else {
        throw EngineError(
          .shape,
          "\(intervention.kind): the \(what) has shape \(shapeText(vector.shape)), but \(place.site.rawValue) of "
            + "\(configuration.family) has \(headWidth) values per \(intervention.heads == nil ? "row" : "head")")
      }
    }
    func checkRows(_ value: Tensor) throws {
      guard value.rank >= 1, value.count == value.shape[0] * width else {
        let takes = intervention.heads == nil ? "[rows, \(width)]" : "[rows, \(shape[0]), \(configuration.dHead)]"
        throw EngineError(
          .shape,
          "patch: the value has shape \(shapeText(value.shape)), but \(place.site.rawValue) takes \(takes)")
      }
    }
    switch effect {
    case .add(let vector, _, _), .ablate(let vector): try checkVector(vector, "direction")
    case .mean(let mean): if mean.count != 1 { try checkVector(mean, "mean") }
    case .patch(let value): try checkRows(value)
    case .patchEach(let values): for value in values { try checkRows(value) }
    case .knockout:
      throw EngineError(.site, "knockout acts on attn_scores, not on \(place.site.rawValue)")
    case .replace, .function: break
    }
  }

  /// What can act on scores and patterns: rows there are as wide as the text is long.
  private func checkMatrix(
    _ intervention: Intervention, _ place: Intervention.Place, _ effect: Intervention.Effect
  ) throws {
    let kind = intervention.kind, site = place.site.rawValue
    let heads = intervention.heads?.count ?? configuration.headCount
    func checkRows(_ value: Tensor) throws {
      guard value.rank == 3, value.shape[0] == heads else {
        throw EngineError(
          .shape,
          "patch: the value has shape \(shapeText(value.shape)), but \(site) takes [heads = \(heads), rows, columns], as "
            + "a capture of it gives")
      }
    }
    switch effect {
    case .function: break
    case .mean(let mean):
      guard mean.count == 1 else {
        throw EngineError(
          .site,
          "\(kind) at \(site) takes one number (mean = 0 takes attention away): rows there are as wide as the text is "
            + "long; m:patch sets them to another run's")
      }
    case .patch(let value): try checkRows(value)
    case .patchEach(let values): for value in values { try checkRows(value) }
    case .knockout where place.site == .attnScores: break
    case .add, .ablate, .replace, .knockout:
      throw EngineError(.site, "\(kind) cannot edit \(site); use a hook function there")
    }
  }
}

/// Throws `.layer` for a layer out of range, `.site` where a layer is missing or not meant.
func checkPlace(_ place: Intervention.Place, _ configuration: ModelConfiguration) throws {
  let name = place.site.rawValue
  guard place.site.exists(in: configuration) else {
    let why =
      place.site == .residMid
      ? ": attention and MLP both read resid_pre and are added together; use resid_pre, attn_out, mlp_out or resid_post"
      : ", whose MLP has no gate; use mlp_pre or mlp_post"
    throw EngineError(.site, "\(name) does not exist in \(configuration.family)\(why)")
  }
  if let layer = place.layer {
    guard place.site.hasLayer else { throw EngineError(.site, "\(name) has no layers; leave layer out") }
    guard (0..<configuration.layerCount).contains(layer) else {
      throw EngineError(
        .layer, "layer \(layer) is out of range: this model has layers 0 to \(configuration.layerCount - 1)")
    }
  } else if place.site.hasLayer {
    throw EngineError(.layer, "\(name) needs a layer (0 to \(configuration.layerCount - 1))")
  }
}
