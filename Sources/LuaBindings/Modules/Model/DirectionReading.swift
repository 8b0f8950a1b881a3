import Engine
import Transfer

/// What `dir =` says: one direction for every place, or vectors with layers of their own.
enum DirectionArgument {
  case one(Tensor, site: Site?, layer: Int?)
  case several([SteeringVector])
}

extension OptionReader {
  /// The option `dir`: a tensor, a vector, directions, or a list of vectors. Throws for vectors of another model, unless
  /// `any_model`.
  func direction(for model: Model) throws -> DirectionArgument {
    let reader = try required("dir")
    if reader.isTensor { return .one(try reader.keptTensor(), site: nil, layer: nil) }
    if reader.isObject(VectorObject.self) {
      let vector = try owned(try reader.vector(), by: model, reader)
      return .one(vector.direction, site: vector.site, layer: vector.layer)
    }
    if reader.isObject(DirectionsObject.self) {
      let directions = try reader.object(DirectionsObject.self).directions
      guard directions.positions.count == 1 else {
        throw reader.error(
          "these directions have \(directions.positions.count) vectors a layer: d:position(pos) takes those of one position, "
            + "d:at(layer, pos) one vector")
      }
      return .several(try directions.all.map { try owned($0, by: model, reader) })
    }
    if reader.isTable, reader.listCount > 0 {
      return .several(
        try reader.list { entry in
          let vector = try owned(try entry.vector(), by: model, entry)
          guard vector.layer != nil, vector.site != nil else {
            throw entry.error("in a list each vector needs its site and layer: steer.from(t, { site =, layer = })")
          }
          return vector
        })
    }
    if reader.isObject(MapObject.self) {
      throw reader.error("a map is no direction; map:vector(v) carries one over, m:replace a whole layer")
    }
    if reader.isObject(AdapterObject.self) {
      throw reader.error("an adapter changes weights: m:attach(adapter) lets all its layers take part")
    }
    throw reader.mismatch("a tensor, a vector, directions or a list of vectors")
  }

  /// A vector argument that must be the model's own, unless `any_model`.
  func owned(_ vector: SteeringVector, by model: Model, _ reader: ArgumentReader) throws -> SteeringVector {
    if try boolean("any_model") { return vector }
    do { try vector.requireModel(model) } catch let failure as EngineError {
      throw reader.error(failure.message, kind: failure.kind)
    }
    return vector
  }

  /// Places and effects of vectors with layers of their own: at `layers` where given, each of which needs a vector; at
  /// `sites`, else where each was read.
  func places(
    of vectors: [SteeringVector], in model: Model, sites: [Site]?, _ effect: (Tensor) -> Intervention.Effect
  ) throws -> (places: [Intervention.Place], effects: [Intervention.Effect]) {
    let named = try optional("site")?.site()
    let asked: [Int]?
    if let named {
      asked = try layers(of: model, at: named.site, named: named.layer)
    } else {
      asked = try layers(of: model)
    }
    if let missing = asked?.first(where: { layer in !vectors.contains { $0.layer == layer } }) {
      let have = vectors.compactMap(\.layer).map(String.init).joined(separator: ", ")
      throw call.error("no direction for layer \(missing); there are directions for layers \(have)", kind: .layer)
    }
    var places: [Intervention.Place] = [], effects: [Intervention.Effect] = []
    for vector in vectors where asked?.contains(vector.layer ?? -1) != false {
      for site in named.map({ [$0.site] }) ?? sites ?? [vector.site ?? .residPost] {
        places.append(.init(site: site, layer: site.hasLayer ? vector.layer : nil))
        effects.append(effect(vector.direction))
      }
    }
    return (places, effects)
  }
}
