import Engine

/// Captured activations of one sequence: `acts:at(layer [, site])`, `acts:get("embed")`.
public final class ActivationsObject: LuaObject {
  private struct Key: Hashable {
    let site: Site
    let layer: Int?
  }
  /// In the order they came; `last`: the absolute 1-based position of the last row.
  private var parts: [Key: [(rows: Tensor, last: Int)]] = [:]
  let sites: [Site]

  init(sites: [Site]) { self.sites = sites }

  func add(_ rows: ActivationRows) throws {
    parts[Key(site: rows.site, layer: rows.layer), default: []].append((try rows.tensor(), rows.positions.last ?? 0))
  }

  /// Forgets what came of later steps of a generation, whose tokens are no part of its result.
  func keepRows(through position: Int) {
    for key in parts.keys { parts[key]?.removeAll { $0.last > position } }
    parts = parts.filter { !$0.value.isEmpty }
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
    let rows = found.map(\.rows)
    let whole = site.isAttentionMatrix ? try joinedMatrices(rows) : try Tensor.concatenated(rows)
    parts[key] = [(whole, found[found.count - 1].last)]
    return whole
  }

  /// `[heads, rows, columns]` of prompt and later steps as one; columns a step did not have yet are zero.
  private func joinedMatrices(_ found: [Tensor]) throws -> Tensor {
    if found.count == 1 { return found[0] }
    let heads = found[0].shape[0], rows = found.reduce(0) { $0 + $1.shape[1] }
    let columns = found.map { $0.shape[2] }.max() ?? 0
    var values = [Float](repeating: 0, count: heads * rows * columns)
    var row = 0
    for part in found {
      let source = part.values, width = part.shape[2]
      for head in 0..<heads {
        for r in 0..<part.shape[1] {
          let from = (head * part.shape[1] + r) * width, to = (head * rows + row + r) * columns
          values.replaceSubrange(to..<to + width, with: source[from..<from + width])
        }
      }
      row += part.shape[1]
    }
    return try Tensor(values, shape: [heads, rows, columns])
  }

  public static let luaType = ObjectType(
    "activations", "Captured activations of one sequence, one row per selected position.",
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
    let known = ["site", "layers", "layer", "pos"]
    for name in try table.fieldNames(limit: 100) where !known.contains(name) {
      throw table.error("unknown key '\(name)'\(suggestion(for: name, in: known)); known: layers, pos, site")
    }
    let named = try table.field("site")?.oneOrMany { try $0.site() } ?? [(site: .residPost, layer: nil)]
    let positions = try table.field("pos")?.positions() ?? .all
    let layers =
      try (table.field("layers") ?? table.field("layer"))?.layers(of: model)
      ?? Array(0..<model.configuration.layerCount)
    let objects = (0..<sequences).map { _ in ActivationsObject(sites: named.map(\.site)) }
    let requests = named.map { found in
      CaptureRequest(
        site: found.site, layers: found.layer.map { [$0] } ?? layers, positions: positions
      ) { try objects[$0.sequence].add($0) }
    }
    return (requests, objects)
  }
}
