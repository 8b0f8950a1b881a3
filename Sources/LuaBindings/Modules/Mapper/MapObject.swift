import Engine
import Transfer

/// A fitted map between two models' activations as Lua holds it.
public final class MapObject: LuaObject {
  public let map: TransferMap

  public init(_ map: TransferMap) { self.map = map }

  public var summary: String {
    let card = map.card
    let report = card.report
    let held = report.rows > 0 ? "fvu \(numberText(report.fvu)) on \(report.rows) held-out rows" : "no held-out rows"
    return "map (\(card.options.method.rawValue)) \(card.source.model.name) \(card.site) \(card.source.layer) -> "
      + "\(card.target.model.name) \(card.target.layer), \(card.source.width) to \(card.target.width), \(held)"
  }

  public static let luaType = ObjectType(
    "map",
    "A function from one model's activations to another's. `map(x)` carries activations, `map:vector(v)` a steering "
      + "vector, `m:replace` a whole layer.",
    fields: fieldRows, methods: methodRows, operators: [callRow])

  private static let fieldRows: [Field] = [
    Field(
      "report", "table",
      "On held-out texts: mse, fvu (fraction of variance unexplained, per dimension and averaged), fvu_template, "
        + "fvu_pooled, cosine_centred, cosine_last, rows, training_rows, seconds. Of trained maps also curve (a list of "
        + "{ epoch, loss, held_out or validation, lr }), best_epoch, whose parameters were kept, and converged: nil where "
        + "a fixed number of epochs checks nothing."
    ) { call in
      let report = try call.map.card.report
      var table: LuaTable = [
        "mse": report.mse, "fvu": report.fvu, "fvu_template": report.fvuTemplate, "fvu_pooled": report.fvuPooled,
        "cosine_centred": report.cosineCentred, "cosine_last": report.cosineLast, "rows": report.rows,
        "training_rows": report.trainingRows, "seconds": report.seconds,
      ]
      if let curve = report.curve { table.set("curve", curve.map(\.asTable)) }
      if let converged = report.converged { table.set("converged", converged) }
      if let best = report.bestEpoch { table.set("best_epoch", best) }
      return call.push(table)
    },
    Field("fvu_by_dimension", "tensor [d_to]", "fvu of every target dimension; NaN where it never changes.") { call in
      call.push(try Tensor(call.map.card.report.fvuByDimension.map { Float($0) }))
    },
    Field("from_layer", "integer", "Layer it reads in the source.") { $0.push(try $0.map.card.source.layer) },
    Field("to_layer", "integer", "Layer it writes in the target.") { $0.push(try $0.map.card.target.layer) },
    Field("from_model", "string", "Name of the source model.") { $0.push(try $0.map.card.source.model.name.printable) },
    Field("to_model", "string", "Name of the target model.") { $0.push(try $0.map.card.target.model.name.printable) },
    Field("from_hash", "string", "Hash of the source model's weights.") {
      $0.push(try $0.map.card.source.model.hash.printable)
    },
    Field("to_hash", "string", "Hash of the target model's weights.") {
      $0.push(try $0.map.card.target.model.hash.printable)
    },
    Field("d_from", "integer", "Width of its input.") { $0.push(try $0.map.card.source.width) },
    Field("d_to", "integer", "Width of its output.") { $0.push(try $0.map.card.target.width) },
    Field("site", "string", "Site of both ends.") { $0.push(try $0.map.card.site) },
    Field(
      "weight", "tensor [d_to, d_from]",
      "W of a linear map, y = W x + b, on raw activations; an error for an autoencoder."
    ) { call in call.push(try call.linear("weight").weight.cloned()) },
    Field("bias", "tensor [d_to]", "b of a linear map, y = W x + b, in raw units; an error for an autoencoder.") {
      call in
      call.push(try call.linear("bias").bias.cloned())
    },
    Field("parameters", "table", "All its tensors by name, on raw activations.") { call in
      var table = LuaTable()
      for (name, tensor) in try call.map.mapper.tensors { table.set(name, TensorObject(try tensor.cloned()).asLua) }
      return call.push(table)
    },
    Field("fitted_to", "string", "Which rows it was fitted to where not all were; nil otherwise.") {
      $0.push(try $0.map.card.options.rows)
    },
    Field("method", "string", "What it is (?map_methods).") { $0.push(try $0.map.card.options.method.rawValue) },
    Field("hidden", "integer", "Units of an autoencoder; nil otherwise.") {
      $0.push((try $0.map.mapper as? AutoencoderMap)?.hidden)
    },
    Field("align", "string", "How tokens were paired.") { $0.push(try $0.map.card.options.alignment.rawValue) },
    Field("chat", "boolean", "Whether texts were wrapped in the models' templates.") { $0.push(try $0.map.card.chat) },
    Field("seed", "integer", "Seed of the split and the training.") { $0.push(try $0.map.card.options.seed) },
  ]

  private static let fitted = """
    local m = model.load("smollm2-135m-instruct")
    local texts = { "The ferry left at six.", "Bread needs flour, water and salt.", "Prices rose in May." }
    local map = mapper.fit{ from = m, to = m, from_layer = 10, to_layer = 12, texts = texts, method = "ridge" }

    """

  private static let callRow = Function(
    "__call", "map(x)", "Carries activations over.", results: "tensor [rows, d_to], or [d_to] for one row [d_from]",
    example: fitted + "print(map(tensor.zeros(1, m.d_model)):shape()[2])", retries: true
  ) { call in
    let map = try call.argument(1).transferMap()
    let reader = call.argument(2)
    guard reader.isTensor else {
      if reader.isObject(VectorObject.self) { throw reader.error("a vector is carried over by map:vector(v)") }
      throw reader.mismatch("a tensor [rows, \(map.card.source.width)]")
    }
    let x = try reader.detachedTensor()
    do { try x.requireNumbers("x") } catch let failure as EngineError {
      throw reader.error(failure.message, kind: failure.kind)
    }
    return call.push(x.rank == 1 && x.count == map.card.source.width ? try map.mapper.row(x) : try map(x))
  }

  private static let methodRows: [Function] = [
    Function(
      "vector", "map:vector(v [, { mode =, norm = }])",
      "The steering vector in the target model, at the map's layer, the target's massive dimensions masked. Of directions "
        + "it takes the one of the layer it reads.",
      options: [
        Option(
          "mode", "string", .string("means"), "means: M(mean+) - M(mean-); direct: M(v) - M(0)",
          choices: TransferMap.VectorMode.allCases.map(\.rawValue)),
        Option(
          "norm", "string or number", .string("mapped"),
          "mapped: as it comes; relative: the same fraction of the stream's norm as in the source; or a number",
          choices: ["mapped", "relative"]),
      ],
      results: "vector",
      example: fitted + """
        local d = steer.mean_difference(m, { positive = { "I love it" }, negative = { "I hate it" }, chat = false })
        print(map:vector(d:at(10), { norm = "relative" }))
        """
    ) { call in
      let map = try call.map
      let reader = call.argument(1), vector: SteeringVector
      if reader.isObject(DirectionsObject.self) {
        vector = try reader.object(DirectionsObject.self).directions.at(map.card.source.layer)
      } else {
        vector = try reader.vector()
      }
      let options = try call.options(2)
      let mode = TransferMap.VectorMode(rawValue: try options.choice("mode")) ?? .means
      var norm = TransferMap.VectorNorm.mapped
      if let reader = options.optional("norm"), reader.isNumber {
        norm = .given(try reader.number())
      } else if try options.choice("norm") == "relative" {
        norm = .relative
      }
      return call.push(VectorObject(try map.vector(vector, mode: mode, norm: norm)))
    },
    Function(
      "save", "map:save(folder)",
      "Writes map.safetensors and map.json: parameters, models with their hashes, options, report.",
      results: "nothing", example: fitted + "map:save(\"maps/ten-to-twelve\")"
    ) { call in
      try call.map.save(call.argument(1).path())
      return 0
    },
  ]
}

extension Call {
  /// The map a field or method belongs to.
  fileprivate var map: TransferMap { get throws { try this(MapObject.self).map } }

  fileprivate func linear(_ name: String) throws -> AffineMap {
    let map = try map
    if let linear = map.mapper as? AffineMap { return linear }
    throw error(
      "an autoencoder is not linear and has no \(name); map.parameters has "
        + map.mapper.tensors.map(\.name).joined(separator: ", "))
  }
}

extension MapReport.Epoch {
  fileprivate var asTable: LuaTable {
    var table: LuaTable = ["epoch": epoch, "loss": loss, "lr": learningRate]
    if let heldOut { table.set("held_out", heldOut) }
    if let validation { table.set("validation", validation) }
    return table
  }
}

extension ArgumentReader {
  /// A map argument.
  func transferMap() throws -> TransferMap { try object(MapObject.self).map }
}
