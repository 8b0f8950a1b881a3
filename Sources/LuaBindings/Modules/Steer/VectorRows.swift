import Engine
import Transfer

/// Controls, files, and vectors of one's own.
let vectorRows: [Function] = [
  randomLikeRow,
  Function(
    "from", "steer.from(t, { site =, layer =, pos =, model = })", "A vector of one's own values.",
    options: [
      SharedOptions.site(), SharedOptions.layer,
      Option("pos", "position", .none, "the position it was read at", choices: SharedOptions.positionWords),
      Option("model", "model", .none, "the model it belongs to; checks site, layer and width"),
    ],
    results: "vector", example: "print(steer.from(tensor.ones(576), { site = \"resid_post\", layer = 12 }))"
  ) { call in
    let values = try call.argument(1).keptTensor()
    let options = try call.options(2)
    let named = try options.site("site")
    let model = try options.optional("model")?.model()
    let layer = try options.optional("layer")?.integer(in: 0...Int.max) ?? named.1
    if let model, let layer, layer >= model.configuration.layerCount {
      throw call.error(
        "layer \(layer) is out of range: \(model.name) has layers 0 to \(model.configuration.layerCount - 1)",
        kind: .layer)
    }
    if let model, let shape = named.0.rowShape(model.configuration), shape.reduce(1, *) != values.count {
      throw call.error(
        "\(values.count) values; rows of \(named.0.rawValue) of \(model.name) have \(shape.reduce(1, *))", kind: .shape)
    }
    let flat = values.rank == 2 && values.shape[0] == 1 ? try values.reshaped([values.count]) : values
    var position = try options.optional("pos")?.positions()
    if position == .last { position = .index(-1) }
    return call.push(
      VectorObject(
        try SteeringVector(
          direction: flat.cloned(), site: named.0, layer: layer, position: position,
          origin: VectorOrigin(method: "given", model: model?.identity))))
  },
  Function(
    "load", "steer.load(path [, { model = }])",
    "Reads what v:save wrote; a .gguf file of control vectors gives directions: direction.N is resid_post of layer N.",
    options: [
      Option(
        "model", "model", .none,
        "refuses a vector of another model, by hash; control vectors of another width or architecture")
    ],
    results: "vector, or directions for .gguf", example: "local ok, v = pcall(steer.load, \"refusal.safetensors\")"
  ) { call in
    let path = try call.argument(1).path()
    let model = try call.options(2).optional("model")?.model()
    if path.lowercased().hasSuffix(".gguf") {
      let directions = try ControlVectorFile.read(path)
      if let model { try call.check(directions, fits: model) }
      return call.push(DirectionsObject(directions))
    }
    let vector = try SteeringVector(path: path)
    if let model, let owner = vector.origin.model, !model.identity.isRelated(to: owner) {
      throw call.error(
        "\(path) belongs to \(owner.name) with hash \(owner.hash.prefix(12)), not to \(model.name) with hash "
          + "\(model.hash.prefix(12)); a map carries it over: map:vector(v)")
    }
    return call.push(VectorObject(vector))
  },
]

extension Call {
  fileprivate func check(_ directions: Directions, fits model: Model) throws {
    for layer in directions.layers {
      guard layer < model.configuration.layerCount else {
        throw error(
          "direction.\(layer) has no place in \(model.name), which has layers 0 to \(model.configuration.layerCount - 1)",
          kind: .layer)
      }
      do { try directions.at(layer).requireModel(model) } catch let failure as EngineError {
        throw error(failure.message, kind: failure.kind)
      }
      let width = try directions.at(layer).width
      guard width == model.configuration.dModel else {
        throw error("its vectors have \(width) values, \(model.name) needs \(model.configuration.dModel)", kind: .shape)
      }
    }
  }
}
