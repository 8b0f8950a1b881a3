import Engine

/// Captured activations of one sequence: `acts:at(layer [, site])`, `acts:get("embed")`.
public final class ActivationsObject: LuaObject {
  struct Key: Hashable {
    let site: Site
    let layer: Int?
  }
  private var parts: [Key: [Piece]] = [:]
  let sites: [Site]

  /// What one forward pass gave, and where its rows belong among all.
  private struct Piece {
    let tensor: Tensor
    let slots: [Int]
    /// Absolute, 1-based.
    let positions: [Int]
  }
  /// Rows of later positions do not count.
  private var lastPosition = Int.max

  init(sites: [Site]) { self.sites = sites }

  func add(_ rows: ActivationRows) throws {
    parts[Key(site: rows.site, layer: rows.layer), default: []].append(
      Piece(tensor: try rows.tensor(), slots: rows.slots, positions: rows.positions))
  }

  /// Forgets what came of later steps of a generation, whose tokens are no part of its result.
  func keepRows(through position: Int) {
    lastPosition = position
    parts = parts.filter { $0.value.contains { $0.positions.contains { $0 <= position } } }
  }

  /// Every captured place with its rows, in an order that only the places decide.
  func contents() throws -> [(place: String, tensor: Tensor)] {
    try parts.keys.map {
      (place: "\($0.site.rawValue) \($0.layer ?? -1)", tensor: try tensor($0.site, layer: $0.layer))
    }
    .sorted { $0.place < $1.place }
  }

  public var summary: String {
    let layers = Set(parts.keys.compactMap(\.layer)).count
    return "activations of \(sites.map(\.rawValue).joined(separator: ", ")) at \(layers) layers"
  }

  func tensor(_ site: Site, layer: Int?) throws -> Tensor {
    let key = Key(site: site, layer: layer)
    guard let found = parts[key] else {
      let layers = parts.keys.filter { $0.site == site }.compactMap(\.layer).sorted()
      let have =
        !sites.contains(site)
        ? "captured sites are \(sites.map(\.rawValue).joined(separator: ", "))"
        : layers.isEmpty
          ? "no row was captured" : "captured layers are \(layers.map(String.init).joined(separator: ", "))"
      let place = layer.map { " of layer \($0)" } ?? ""
      throw LuaError("site", "no activations of \(site.rawValue)\(place): \(have)")
    }
    let order = order(found)
    let whole = try site.isAttentionMatrix ? joinedMatrices(found, order) : joinedRows(found, order)
    parts[key] = [
      Piece(
        tensor: whole, slots: Array(order.indices), positions: order.map { found[$0.piece].positions[$0.row] })
    ]
    return whole
  }

  /// Piece and row of each slot, in order; a row that came again counts.
  private func order(_ found: [Piece]) -> [(piece: Int, row: Int)] {
    var places: [Int: (piece: Int, row: Int)] = [:]
    for (piece, part) in found.enumerated() {
      for (row, slot) in part.slots.enumerated() where part.positions[row] <= lastPosition {
        places[slot] = (piece, row)
      }
    }
    return places.sorted { $0.key < $1.key }.map(\.value)
  }

  /// Whether one piece holds all rows, in order, and no others.
  private func isWhole(_ found: [Piece], _ order: [(piece: Int, row: Int)]) -> Bool {
    found.count == 1 && order.count == found[0].slots.count
      && order.enumerated().allSatisfy { $0.offset == $0.element.row }
  }

  private func joinedRows(_ found: [Piece], _ order: [(piece: Int, row: Int)]) throws -> Tensor {
    if isWhole(found, order) { return found[0].tensor }
    let shape = Array(found[0].tensor.shape.dropFirst()), width = shape.reduce(1, *)
    let whole = try Tensor(uninitialized: [order.count] + shape)
    for (row, place) in order.enumerated() {
      (whole.mutablePointer + row * width).update(
        from: found[place.piece].tensor.pointer + place.row * width, count: width)
    }
    return whole
  }

  /// `[heads, rows, columns]` of prompt and later steps as one; columns a step did not have yet are zero.
  private func joinedMatrices(_ found: [Piece], _ order: [(piece: Int, row: Int)]) throws -> Tensor {
    if isWhole(found, order) { return found[0].tensor }
    let heads = found[0].tensor.shape[0], columns = order.map { found[$0.piece].tensor.shape[2] }.max() ?? 0
    let whole = try Tensor.zeros([heads, order.count, columns])
    for (row, place) in order.enumerated() {
      let source = found[place.piece].tensor, rows = source.shape[1], width = source.shape[2]
      for head in 0..<heads {
        (whole.mutablePointer + (head * order.count + row) * columns).update(
          from: source.pointer + (head * rows + place.row) * width, count: width)
      }
    }
    return whole
  }

  public static let luaType = ObjectType(
    "activations", "Captured activations of one sequence, one row per selected position, in the order of pos.",
    methods: [
      Function(
        "at", "acts:at(layer [, site])",
        "Rows of a site at a layer; the site may be left out when only one was captured.",
        results: "tensor [rows, ...]; [heads, rows, columns] for attention matrices",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local r = m:run{ prompt = "Hello", logits = "none", capture = { site = "resid_post", layers = { 3, 4 } } }
          print(r.acts:at(3):shape()[1])
          """
      ) { call in
        let acts = try call.this(ActivationsObject.self)
        var site = acts.sites.count == 1 ? acts.sites[0] : Site.residPost
        if let name = call.optionalArgument(2) { site = try name.site().site }
        return call.push(try acts.tensor(site, layer: try call.argument(1).integer()))
      },
      Function(
        "get", "acts:get(site)", "Rows of a site without layers: embed or final_norm.",
        results: "tensor [rows, d_model]",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local r = m:run{ prompt = "Hello", logits = "none", capture = { site = "embed" } }
          print(r.acts:get("embed"):shape()[2])
          """
      ) { call in
        let found = try call.argument(1).site()
        return call.push(try call.this(ActivationsObject.self).tensor(found.site, layer: found.layer))
      },
    ])
}

extension OptionReader {
  /// Capture requests that fill one object per sequence; empty without the option.
  func captures(
    _ name: String = "capture", of model: Model, sequences: Int
  ) throws -> (requests: [CaptureRequest], objects: [ActivationsObject]) {
    guard let table = optional(name) else { return ([], []) }
    try table.checkKeys(["site", "layer", "layers", "pos", "head", "heads"])
    if table.field("head") != nil, table.field("heads") != nil { throw table.error("give head or heads, not both") }
    let heads =
      try table.field("head").map { [try $0.integer()] } ?? table.field("heads")?.oneOrMany { try $0.integer() }
    let named = try table.field("site")?.oneOrMany { try $0.site() } ?? [(site: .residPost, layer: nil)]
    let positions = try table.field("pos")?.positions() ?? .all
    if table.field("layer") != nil, table.field("layers") != nil { throw table.error("give layer or layers, not both") }
    let given = table.field("layer") ?? table.field("layers")
    if let given {
      guard named.contains(where: { $0.site.hasLayer && $0.layer == nil }) else {
        let why = named.contains { $0.layer != nil } ? "the site's name says its layer" : "these sites have no layers"
        throw given.error(why + "; leave it out", kind: .layer)
      }
    }
    let layers = try given?.layers(of: model) ?? Array(0..<model.configuration.layerCount)
    let objects = (0..<sequences).map { _ in ActivationsObject(sites: named.map(\.site)) }
    let requests = named.map { found in
      CaptureRequest(
        site: found.site, layers: found.layer.map { [$0] } ?? layers, positions: positions, heads: heads
      ) { try objects[$0.sequence].add($0) }
    }
    return (requests, objects)
  }
}
