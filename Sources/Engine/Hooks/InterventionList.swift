/// The interventions of one model, in order of registration, which is their order of effect.
public final class InterventionList {
  struct Entry {
    let id: Int
    let intervention: Intervention
  }

  private(set) var entries: [Entry] = []
  private var nextID = 1
  private let configuration: ModelConfiguration

  /// What each did in the last run, and warnings about those that did nothing.
  public internal(set) var lastReports: [InterventionReport] = []
  public internal(set) var warnings: [String] = []

  init(configuration: ModelConfiguration) { self.configuration = configuration }

  public var isEmpty: Bool { entries.isEmpty }

  /// Checks sites, layers and shapes now, before anything runs, and returns the id for `remove(_:)`.
  public func register(_ intervention: Intervention) throws -> Int {
    guard !intervention.places.isEmpty else {
      throw EngineError(.argument, "\(intervention.kind): no layers were given")
    }
    for place in intervention.places { try check(intervention, place) }
    try intervention.requireFinite()
    let id = nextID
    nextID += 1
    entries.append(Entry(id: id, intervention: intervention))
    lastReports.append(InterventionList.report(id, intervention))
    return id
  }

  /// Removing twice is fine.
  public func remove(_ id: Int) {
    entries.removeAll { $0.id == id }
    lastReports.removeAll { $0.id == id }
  }

  public func removeAll() {
    entries = []
    lastReports = []
  }

  static func report(_ id: Int, _ intervention: Intervention) -> InterventionReport {
    let sites = Set(intervention.places.map(\.site))
    return InterventionReport(
      id: id, kind: intervention.kind, site: sites.count == 1 ? sites.first : nil,
      layers: Array(Set(intervention.places.compactMap(\.layer))).sorted(), positions: intervention.positions)
  }

  private func check(_ intervention: Intervention, _ place: Intervention.Place) throws {
    try checkPlace(place, configuration)
    let width = place.site.rowShape(configuration)?.reduce(1, *)
    func checkVector(_ vector: Tensor, _ what: String) throws {
      guard let width else {
        throw EngineError(.site, "\(intervention.kind) cannot edit \(place.site.rawValue); use a hook function there")
      }
      guard vector.count == width else {
        throw EngineError(
          .shape,
          "\(intervention.kind): the \(what) has shape \(shapeText(vector.shape)), but \(place.site.rawValue) of "
            + "\(configuration.family) has \(width) values per row")
      }
    }
    switch intervention.effect {
    case .add(let vector, _, _), .ablate(let vector): try checkVector(vector, "direction")
    case .mean(let mean): if mean.count != 1 { try checkVector(mean, "mean") }
    case .patch(let value):
      guard let width else {
        throw EngineError(.site, "patch cannot edit \(place.site.rawValue); use a hook function there")
      }
      guard value.rank >= 1, value.count == value.shape[0] * width else {
        throw EngineError(
          .shape,
          "patch: the value has shape \(shapeText(value.shape)), but \(place.site.rawValue) takes [rows, \(width)]")
      }
    case .replace, .function: break
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
