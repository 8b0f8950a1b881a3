import Engine
import Transfer

extension ModelObject {
  private static let direction = Option(
    "dir", "tensor, vector, directions or list of vectors", .required,
    "the direction, as wide as the site's rows; directions give each layer its own")
  static let anyModel = Option(
    "any_model", "boolean", .boolean(false),
    "takes a vector of another model; one of a model that this one was trained or merged from, or the other way round, "
      + "needs no leave")
  static let placeOptions = [SharedOptions.layer, SharedOptions.layers(.none), SharedOptions.site()]

  /// Rows that a model and a `steer.with` scope share.
  static let interventionRows = steeringRows + settingRows

  private static let steeringRows: [Function] = [
    Function(
      "add", "m:add{ dir =, layer | layers =, coeff =, scale =, site =, pos = }",
      "Adds a direction: x + coeff v. Site and layer come from a vector that knows them.",
      options: [direction] + placeOptions + [
        Option("coeff", "number", .number(1), "how much"),
        Option(
          "scale", "string", .string("raw"), "raw: v as it is; unit: v/|v|; relative: |x| v/|v| of each row",
          choices: AdditionScale.allCases.map(\.rawValue)),
        SharedOptions.pos, anyModel, SharedOptions.strict,
      ] + SharedOptions.heads,
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:add{ dir = tensor.randn(m.d_model), layer = 12, coeff = 0.5, scale = "relative", pos = "generated" }
        print(m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let coefficient = Float(try options.number("coeff"))
      let scale = AdditionScale(rawValue: try options.choice("scale")) ?? .raw
      func effect(_ vector: Tensor) -> Intervention.Effect { .add(vector, coefficient: coefficient, scale: scale) }
      switch try options.direction(for: object.model) {
      case .one(let tensor, let site, let layer):
        let places = try options.places(of: object.model, vectorSite: site, vectorLayer: layer)
        return try call.register("add", places, [effect(tensor)], options, object, scope)
      case .several(let vectors):
        let (places, effects) = try options.places(of: vectors, in: object.model, sites: nil, effect)
        return try call.register("add", places, effects, options, object, scope)
      }
    },
    Function(
      "ablate", "m:ablate{ dir =, layers =, site =, pos = }",
      "Removes a direction: x - (x . v^) v^. Without site: at every block input, attention output and MLP output "
        + "(Arditi et al. 2024); directions act at those of their own layers.",
      options: [direction, SharedOptions.layer, SharedOptions.layers(.string("all"))] + [
        SharedOptions.site(.computed("block input, attention output and MLP output")), SharedOptions.pos, anyModel,
        SharedOptions.strict,
      ] + SharedOptions.heads,
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:ablate{ dir = tensor.randn(m.d_model) }
        print(m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let everywhere = [Site.residPre, .attnOut, .mlpOut]
      switch try options.direction(for: object.model) {
      case .one(let tensor, _, _):
        let layers = try options.layers(of: object.model) ?? Array(0..<object.model.configuration.layerCount)
        let places =
          try options.isPresent("site")
          ? options.places(of: object.model, vectorSite: nil, vectorLayer: nil, otherwise: layers)
          : everywhere.flatMap { site in layers.map { .init(site: site, layer: $0) } }
        return try call.register("ablate", places, [.ablate(tensor)], options, object, scope)
      case .several(let vectors):
        let (places, effects) = try options.places(of: vectors, in: object.model, sites: everywhere) { .ablate($0) }
        return try call.register("ablate", places, effects, options, object, scope)
      }
    },
    Function(
      "hook", "m:hook{ layer =, site =, pos =, fn = function(x, ctx) }",
      "Calls a function once per sequence and forward with the selected rows; nil leaves them, a tensor of the same "
        + "shape replaces them. ctx = { site, layer, sequence, positions, generated }. It may remove itself and register "
        + "others, which count from the next forward pass on; a removed function is not called again.",
      options: placeOptions + [
        Option("fn", "function(x, ctx)", .required, "gets the rows; may return new ones, or assign to x"),
        SharedOptions.pos,
        SharedOptions.strict,
      ] + SharedOptions.heads,
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:hook{ layer = 3, site = "mlp_out", fn = function(x, ctx) return x * 0.5 end }
        m:run{ prompt = "Hello" }
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      return try call.register("hook", places, options, object, scope) { keep in
        let key = try LuaFunctionKey(try options.required("fn"), in: object)
        keep(key)
        return [Intervention.Effect.calling(key)]
      }
    },
  ]
}

extension Intervention.Effect {
  /// A function that gets the rows and what a script is told of them.
  fileprivate static func calling(_ key: LuaFunctionKey) -> Intervention.Effect {
    .function { context, rows in
      var table: LuaTable = [
        "site": context.site.rawValue, "sequence": context.sequence + 1, "positions": context.positions,
        "generated": context.generated,
      ]
      if let layer = context.layer { table.set("layer", layer) }
      return try key.call([rows.asLua, table], results: 1) { results in
        // Rows that the function assigned to are its answer, too.
        if results[0].isNil { return rows.storage.version > 0 ? rows : nil }
        guard results[0].isTensor else {
          throw results[0].mismatch("nil or a tensor of shape \(shapeText(rows.shape))")
        }
        return try results[0].tensor()
      }
    }
  }
}
