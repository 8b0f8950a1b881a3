import Engine
import Transfer

extension ModelObject {
  private static let direction = Option(
    "dir", "tensor or vector", .required, "the direction, as wide as the site's rows")
  private static let placeOptions = [SharedOptions.layer, SharedOptions.layers(.none), SharedOptions.site()]

  /// Rows that a model and a `steer.with` scope share.
  static let interventionRows: [Function] = [
    Function(
      "add", "m:add{ dir =, layer | layers =, coeff =, scale =, site =, pos = }",
      "Adds a direction: x + coeff v. Site and layer come from a vector that knows them.",
      options: [direction] + placeOptions + [
        Option("coeff", "number", .number(1), "how much"),
        Option(
          "scale", "string", .string("raw"), "raw: v as it is; unit: v/|v|; relative: |x| v/|v| of each row",
          choices: AdditionScale.allCases.map(\.rawValue)),
        SharedOptions.pos, SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:add{ dir = tensor.randn(m.d_model), layer = 12, coeff = 0.5, scale = "relative", pos = "generated" }
        print(m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let vector = try options.required("dir").direction()
      let effect = Intervention.Effect.add(
        vector.tensor, coefficient: Float(try options.number("coeff")),
        scale: AdditionScale(rawValue: try options.choice("scale")) ?? .raw)
      let places = try options.places(of: object.model, vectorSite: vector.site, vectorLayer: vector.layer)
      return try call.register("add", places, effect, options, object, scope)
    },
    Function(
      "ablate", "m:ablate{ dir =, layers =, site =, pos = }",
      "Removes a direction: x - (x . v^) v^. Without site: at every block input, attention output and MLP output "
        + "(Arditi et al. 2024).",
      options: [direction, SharedOptions.layer, SharedOptions.layers(.string("all"))] + [
        SharedOptions.site(.computed("block input, attention output and MLP output")), SharedOptions.pos,
        SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:ablate{ dir = tensor.randn(m.d_model) }
        print(m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let vector = try options.required("dir").direction()
      let layers = try options.layers(of: object.model) ?? Array(0..<object.model.configuration.layerCount)
      let places =
        try options.isPresent("site")
        ? options.places(of: object.model, vectorSite: nil, vectorLayer: nil, layers: layers)
        : [Site.residPre, .attnOut, .mlpOut].flatMap { site in layers.map { .init(site: site, layer: $0) } }
      return try call.register("ablate", places, .ablate(vector.tensor), options, object, scope)
    },
    Function(
      "mean_ablate", "m:mean_ablate{ layer =, site =, pos =, mean = | prompts = }",
      "Replaces rows by a mean: given, or taken over all tokens of some prompts (token 1 left out).",
      options: placeOptions + [
        Option("mean", "tensor or number", .none, "the mean row"),
        Option("prompts", "list of strings", .none, "prompts whose mean row is taken, without interventions"),
        SharedOptions.pos, SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:mean_ablate{ layer = 4, site = "mlp_out", prompts = { "Some text.", "Another one." } }
        print(m:nll{ texts = { "The sky is blue." } }.mean)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      let (name, value) = try options.oneOf(["mean", "prompts"])
      let means: [Tensor]
      if name == "mean" {
        let mean = value.isNumber ? try Tensor([Float(try value.number())]) : try value.tensor()
        means = places.map { _ in mean }
      } else {
        let prompts = try value.prompts(of: object.model, TextRule())
        let short = prompts.count { $0.tokens.count == 1 }
        if short > 0, short < prompts.count {
          call.state.output.note(
            "mean_ablate: \(short) of \(prompts.count) prompts have one token only, which is left out of the mean")
        }
        means = try meanRows(object.model, prompts, places)
      }
      // One intervention for each place's own mean; one handle when there is one place.
      guard places.count == 1 || name == "mean" else {
        throw call.error("with prompts = give one layer: each layer has its own mean")
      }
      return try call.register("mean_ablate", places, .mean(means[0]), options, object, scope)
    },
    Function(
      "patch", "m:patch{ layer =, site =, pos =, value = tensor }",
      "Sets the selected rows of every sequence to given values, for example another run's.",
      options: placeOptions + [
        Option("value", "tensor [rows, ...]", .required, "one row per selected position"), SharedOptions.pos,
        SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local clean = m:run{ prompt = "Paris is in France", capture = { site = "resid_post", layers = 10, pos = -1 } }
        local h <close> = m:patch{ layer = 10, pos = -1, value = clean.acts:at(10) }
        print(m:top_tokens(m:run{ prompt = "Rome is in Italy" }.logits, 1)[1].text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      var value = try options.required("value").tensor()
      let width = places.first?.site.rowShape(object.model.configuration)?.reduce(1, *)
      if value.rank == 1, value.count == width { value = try value.reshaped([1, value.count]) }
      return try call.register("patch", places, .patch(value), options, object, scope)
    },
    Function(
      "replace", "m:replace{ layer =, with = tensor | { model =, layer =, map = } }",
      "Replaces a whole layer's rows: by a tensor, or by another model's activations of the same text, mapped and "
        + "aligned as in mapper. Token 1 and generated tokens stay as they are.",
      options: placeOptions + [
        Option("with", "tensor or { model =, layer =, map = }", .required, "the rows, or where they come from"),
        SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:replace{ layer = 12, with = { model = m, layer = 12 } }
        print(m:top_tokens(m:run{ prompt = "The capital of France is" }.logits, 1)[1].text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      guard places.count == 1, let place = places.first else { throw call.error("give one layer to replace") }
      let with = try options.required("with")
      if with.isTensor {
        return try call.register(
          "replace", places, .patch(try with.tensor()), options, object, scope, positions: .prompt)
      }
      let known = ["model", "layer", "map"]
      for name in try with.fieldNames(limit: 100) where !known.contains(name) {
        throw with.error("unknown key '\(name)'\(suggestion(for: name, in: known)); known: layer, map, model")
      }
      guard let sourceReader = with.field("model"), let layerReader = with.field("layer") else {
        throw with.error("model and layer are needed")
      }
      let source = try sourceReader.model(), target = object.model
      let layers = try layerReader.layers(of: source)
      guard layers.count == 1 else { throw layerReader.error("one layer is needed") }
      let map = try with.field("map")?.transferMap()
      let effect = Intervention.Effect.replace { _, prompt in
        try mappedRows(
          for: prompt, targetModel: target, source: source, sourceLayer: layers[0], map: map, site: place.site)
      }
      return try call.register("replace", places, effect, options, object, scope, positions: .prompt)
    },
    Function(
      "hook", "m:hook{ layer =, site =, pos =, fn = function(x, ctx) }",
      "Calls a function once per sequence and forward with the selected rows; nil leaves them, a tensor of the same "
        + "shape replaces them. ctx = { site, layer, sequence, positions, generated }.",
      options: placeOptions + [
        Option("fn", "function(x, ctx)", .required, "gets the rows; may return new ones"), SharedOptions.pos,
        SharedOptions.strict,
      ],
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:hook{ layer = 3, site = "mlp_out", fn = function(x, ctx) return x * 0.5 end }
        m:run{ prompt = "Hello" }
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      let key = try LuaFunctionKey(try options.required("fn"), in: object)
      let effect = Intervention.Effect.function { context, rows in
        var table: LuaTable = [
          "site": context.site.rawValue, "sequence": context.sequence + 1, "positions": context.positions,
          "generated": context.generated,
        ]
        if let layer = context.layer { table.set("layer", layer) }
        return try key.call([rows.asLua, table], results: 1) { results in
          if results[0].isNil { return nil }
          guard results[0].isTensor else {
            throw results[0].mismatch("nil or a tensor of shape \(shapeText(rows.shape))")
          }
          return try results[0].tensor()
        }
      }
      do {
        return try call.register("hook", places, effect, options, object, scope, key: key)
      } catch {
        key.remove()
        throw error
      }
    },
  ]

  /// Mean row of a site over all tokens of some prompts but the first ones, without interventions.
  private static func meanRows(_ model: Model, _ prompts: [Prompt], _ places: [Intervention.Place]) throws -> [Tensor] {
    try places.map { place in
      guard let shape = place.site.rowShape(model.configuration) else {
        throw EngineError(.site, "mean_ablate cannot edit \(place.site.rawValue)")
      }
      let width = shape.reduce(1, *)
      var sums = [Double](repeating: 0, count: width), count = 0
      let positions = PositionSelector.range(from: prompts.contains { $0.tokens.count > 1 } ? 2 : 1, to: nil)
      let capture = CaptureRequest(site: place.site, layers: place.layer.map { [$0] } ?? [], positions: positions) {
        rows in
        for row in 0..<rows.positions.count {
          for i in 0..<width { sums[i] += Double(rows.pointer[row * width + i]) }
        }
        count += rows.positions.count
      }
      _ = try model.run(prompts, logits: .none, captures: [capture], intervening: false)
      return try Tensor(sums.map { Float($0 / Double(count)) })
    }
  }
}

extension OptionReader {
  /// Site and layers of an intervention: the options', else the vector's.
  func places(
    of model: Model, vectorSite: Site?, vectorLayer: Int?, layers given: [Int]? = nil
  ) throws -> [Intervention.Place] {
    let named = try optional("site")?.site()
    let site = named?.site ?? vectorSite ?? .residPost
    guard site.hasLayer else { return [.init(site: site, layer: nil)] }
    guard let layers = try given ?? (layers(of: model) ?? (named?.layer ?? vectorLayer).map { [$0] }) else {
      throw call.error(
        "option 'layer' is missing: layers go from 0 to \(model.configuration.layerCount - 1)", kind: .layer)
    }
    return layers.map { .init(site: site, layer: $0) }
  }
}

extension Call {
  fileprivate func register(
    _ kind: String, _ places: [Intervention.Place], _ effect: Intervention.Effect, _ options: OptionReader,
    _ object: ModelObject, _ scope: ScopeObject?, positions: PositionSelector? = nil, key: LuaFunctionKey? = nil
  ) throws -> Int {
    let intervention = Intervention(
      kind: kind, places: places, positions: try positions ?? options.positions("pos"), effect: effect,
      isStrict: try options.boolean("strict"))
    let id: Int
    do {
      id = try object.model.interventions.register(intervention)
    } catch let failure as EngineError {
      throw error(
        failure.message.hasPrefix(kind + ": ") ? String(failure.message.dropFirst(kind.count + 2)) : failure.message,
        kind: failure.kind)
    }
    let handle = InterventionObject(object, id: id, kind: kind)
    handle.functionKey = key
    scope?.handles.append(handle)
    return push(handle)
  }
}

/// `steer.with(m, fn)`, a row of the module `steer`.
let steerWithRow = Function(
  "with", "steer.with(m, fn)",
  "Runs fn(s), where s has the model's intervention methods; what was made on s is removed when fn returns or fails.",
  results: "what fn returns",
  example: """
    local m = model.load("smollm2-135m-instruct")
    local text = steer.with(m, function(s)
      s:add{ dir = tensor.randn(m.d_model), layer = 10, coeff = 0.3, scale = "relative" }
      return m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text
    end)
    """
) { call in
  let scope = ScopeObject(try call.argument(1).object(ModelObject.self))
  let function = try call.argument(2).function()
  defer { for handle in scope.handles { handle.remove() } }
  return try call.pushResults(of: function, [scope.asLua])
}
