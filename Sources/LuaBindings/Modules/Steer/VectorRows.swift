import Engine
import Transfer

/// Controls, files, and vectors of one's own.
let vectorRows: [Function] = [
  Function(
    "random_like", "steer.random_like(v, { kind =, activations =, seed = })",
    "A random vector of equal norm, with the same mask, site and layer: what a direction must beat. \"isotropic\": every "
      + "direction equally likely. \"covariance\": a random combination of activations less their class's mean. Isotropic "
      + "ones of directions are drawn layer by layer, with seed, seed + 1, ...",
    options: [
      Option("kind", "string", .string("isotropic"), "how it is drawn", choices: ["isotropic", "covariance"]),
      Option(
        "activations", "tensor [rows, d], or a list of them by class", .none,
        "for \"covariance\": rows of the vector's site and layer"),
      Option("model", "model", .none, "instead of activations: captures them at the vector's site, layer and position"),
      Option("texts", "list of strings, or list of such lists by class", .none, "with model: what it reads"),
      SteerOptions.chat(true), Option("seed", "integer", .integer(0), "another seed gives another vector"),
    ],
    results: "vector",
    example: """
      local v = steer.from(tensor.randn(576, { seed = 1 }), { layer = 12 })
      print(steer.random_like(v, { seed = 2 }).norm, v.norm)
      """
  ) { call in
    let options = try call.options(2)
    let seed = try options.integer("seed")
    if call.argument(1).isObject(DirectionsObject.self), try options.choice("kind") == "isotropic" {
      let directions = try call.argument(1).object(DirectionsObject.self).directions
      if directions.all.count == 1 { return call.push(VectorObject(try directions.all[0].randomLike(seed: seed))) }
      var next = seed - 1
      return call.push(
        DirectionsObject(
          try directions.mapping {
            next += 1
            return try $0.randomLike(seed: next)
          }))
    }
    let vector = try call.argument(1).vector()
    if try options.choice("kind") == "isotropic" {
      for name in ["activations", "model", "texts"] where options.isPresent(name) {
        throw call.error("option '\(name)' belongs to kind = \"covariance\"")
      }
      return call.push(VectorObject(try vector.randomLike(seed: seed)))
    }
    return call.push(VectorObject(try vector.randomLike(activations: try call.classes(vector, options), seed: seed)))
  },
  Function(
    "from", "steer.from(t, { site =, layer =, pos =, model = })", "A vector of one's own values.",
    options: [
      SharedOptions.site(), SharedOptions.layer,
      Option("pos", "position", .none, "the position it was read at", choices: SharedOptions.positionWords),
      Option("model", "model", .none, "the model it belongs to; checks site, layer and width"),
    ],
    results: "vector", example: "print(steer.from(tensor.ones(576), { site = \"resid_post\", layer = 12 }))"
  ) { call in
    let values = try call.argument(1).tensor()
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
  /// Activations by class: given, or captured where the vector was read.
  fileprivate func classes(_ vector: SteeringVector, _ options: OptionReader) throws -> [Tensor] {
    let (name, value) = try options.oneOf(["activations", "model"])
    if name == "activations" { return try value.oneOrMany { try $0.tensor() } }
    let model = try value.model()
    let texts = try options.required("texts")
    guard let layer = vector.layer, let site = vector.site else {
      throw error("the vector has no site and layer to capture activations at; give activations =")
    }
    if let owner = vector.origin.model, !model.identity.isRelated(to: owner) {
      throw error("the vector belongs to \(owner.name), not to \(model.name) (hash \(model.hash.prefix(12)))")
    }
    guard texts.isTable, texts.listCount > 0 else { throw texts.mismatch("a list of strings") }
    let chat = try options.boolean("chat")
    let isNested = texts.entry(1)?.isTable == true
    let classes =
      isNested ? try texts.list { try $0.prompts(of: model, chat: chat) } : [try texts.prompts(of: model, chat: chat)]
    return try classes.map { prompts in
      var rows: [Tensor] = []
      let capture = CaptureRequest(site: site, layers: [layer], positions: vector.position ?? .last) { captured in
        rows.append(try Tensor(copying: captured.pointer, shape: [captured.positions.count, captured.width]))
      }
      try withProgress("activations", prompts: prompts.count) { update in
        _ = try model.run(prompts, logits: .none, captures: [capture], progress: update)
      }
      return try Tensor.concatenated(rows)
    }
  }

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
