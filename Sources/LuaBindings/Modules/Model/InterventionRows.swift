import Engine
import Transfer

extension ModelObject {
  private static let direction = Option(
    "dir", "tensor, vector, directions or list of vectors", .required,
    "the direction, as wide as the site's rows; directions give each layer its own")
  private static let anyModel = Option(
    "any_model", "boolean", .boolean(false),
    "takes a vector of another model; one of a model that this one was trained or merged from, or the other way round, "
      + "needs no leave")
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
        SharedOptions.pos, anyModel, SharedOptions.strict,
      ],
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
      ],
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
      "mean_ablate", "m:mean_ablate{ layer =, site =, pos =, mean = | prompts = }",
      "Replaces rows by a mean: given, or taken at each layer over all tokens of some prompts (token 1 left out). At "
        + "attn_scores and pattern a number, for every position a row can see: mean = 0 at pattern takes attention away.",
      options: placeOptions + [
        Option("mean", "tensor, vector or number", .none, "the mean row"),
        Option("prompts", "list of strings", .none, "prompts whose mean row is taken, without interventions"),
        SharedOptions.pos, anyModel, SharedOptions.strict,
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
      if name == "prompts" {
        let prompts = try value.prompts(of: object.model, TextRule())
        let short = prompts.count { $0.tokens.count == 1 }
        if short > 0, short < prompts.count {
          call.state.output.note(
            "mean_ablate: \(short) of \(prompts.count) prompts have one token only, which is left out of the mean")
        }
        let means = try meanRows(object.model, prompts, places)
        return try call.register("mean_ablate", places, means.map { .mean($0) }, options, object, scope)
      }
      let mean: Tensor
      if value.isNumber {
        mean = try Tensor([Float(try value.number())])
      } else if value.isObject(VectorObject.self) {
        mean = try options.owned(try value.vector(), by: object.model, value).direction
      } else {
        mean = try value.tensor()
      }
      return try call.register("mean_ablate", places, [.mean(mean)], options, object, scope)
    },
    Function(
      "patch", "m:patch{ layer =, site =, pos =, value = tensor }",
      "Sets the selected rows of every sequence to given values, for example another run's: row i of the value goes to the "
        + "i-th position of pos, in the order of its list. A position listed twice needs the same row twice.",
      options: placeOptions + [
        Option(
          "value", "tensor [rows, ...], or vector", .required,
          "one row per selected position; [heads, rows, columns] at attn_scores and pattern"), SharedOptions.pos,
        anyModel, SharedOptions.strict,
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
      let reader = try options.required("value")
      var value: Tensor, vector: SteeringVector?
      if reader.isObject(VectorObject.self) {
        vector = try options.owned(try reader.vector(), by: object.model, reader)
        value = try reader.vector().direction
      } else {
        value = try reader.tensor()
      }
      let places = try options.places(of: object.model, vectorSite: vector?.site, vectorLayer: vector?.layer)
      let width = places.first?.site.rowShape(object.model.configuration)?.reduce(1, *)
      if value.rank == 1, value.count == width { value = try value.reshaped([1, value.count]) }
      return try call.register("patch", places, [.patch(value)], options, object, scope)
    },
    Function(
      "replace", "m:replace{ layer =, with = tensor | { model =, layer =, map = } }",
      "Replaces a whole layer's rows: by a tensor, or by another model's activations of the same text, mapped and "
        + "aligned as in mapper. A tensor has a row for each token of the prompt, or for each but token 1. Token 1 and "
        + "generated tokens stay as they are.",
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
        let effect = try rowsAfterFirst(try with.tensor(), place.site, object.model)
        return try call.register("replace", places, [effect], options, object, scope, positions: .prompt)
      }
      guard with.isTable else { throw with.mismatch("a tensor or { model =, layer =, map = }") }
      try with.checkKeys(["model", "layer", "map"])
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
      return try call.register("replace", places, [effect], options, object, scope, positions: .prompt)
    },
    Function(
      "hook", "m:hook{ layer =, site =, pos =, fn = function(x, ctx) }",
      "Calls a function once per sequence and forward with the selected rows; nil leaves them, a tensor of the same "
        + "shape replaces them. ctx = { site, layer, sequence, positions, generated }. It may remove itself and register "
        + "others, which count from the next forward pass on; a removed function is not called again.",
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
        return try call.register("hook", places, [effect], options, object, scope, key: key)
      } catch {
        key.remove()
        throw error
      }
    },
  ]

  /// Rows for all tokens of each prompt but the first, from a tensor with or without a row for that.
  private static func rowsAfterFirst(
    _ value: Tensor, _ site: Site, _ model: Model
  ) throws -> Intervention.Effect {
    let width = site.rowShape(model.configuration)?.reduce(1, *) ?? 0
    guard value.rank >= 1, width > 0, value.count == value.shape[0] * width else {
      throw EngineError(
        .shape, "replace: the tensor has shape \(shapeText(value.shape)), but \(site.rawValue) takes [rows, \(width)]")
    }
    return .replace { sequence, prompt in
      let rows = value.shape[0], count = prompt.tokens.count
      guard rows == count || rows == count - 1 else {
        throw EngineError(
          .shape,
          "replace: the tensor has \(rows) rows, but sequence \(sequence + 1) has \(count) tokens; give a row for each, or "
            + "for each but token 1, which stays as it is")
      }
      let skipped = rows == count ? 1 : 0
      return ReplacementRows(
        positions: Array(2..<max(2, count + 1)),
        values: try Tensor(copying: value.pointer + skipped * width, shape: [max(0, rows - skipped), width]))
    }
  }

  /// Mean row of each place over all tokens of some prompts but the first ones, without interventions.
  private static func meanRows(_ model: Model, _ prompts: [Prompt], _ places: [Intervention.Place]) throws -> [Tensor] {
    let positions = PositionSelector.range(from: prompts.contains { $0.tokens.count > 1 } ? 2 : 1, to: nil)
    var sums = places.map { _ in [Double]() }, counts = places.map { _ in 0 }
    let captures = try places.enumerated().map { i, place in
      guard let width = place.site.rowShape(model.configuration)?.reduce(1, *) else {
        throw EngineError(
          .site,
          "mean_ablate at \(place.site.rawValue) takes mean = a number: rows there are as wide as the text is long")
      }
      sums[i] = Array(repeating: 0, count: width)
      return CaptureRequest(site: place.site, layers: place.layer.map { [$0] } ?? [], positions: positions) { rows in
        for row in 0..<rows.positions.count {
          for column in 0..<width { sums[i][column] += Double(rows.pointer[row * width + column]) }
        }
        counts[i] += rows.positions.count
      }
    }
    _ = try model.run(prompts, logits: .none, captures: captures, intervening: false)
    return try zip(sums, counts).map { sum, count in try Tensor(sum.map { Float($0 / Double(count)) }) }
  }
}

extension OptionReader {
  /// Site and layers of an intervention: the options', else the vector's, else `otherwise`.
  func places(
    of model: Model, vectorSite: Site?, vectorLayer: Int?, otherwise: [Int]? = nil
  ) throws -> [Intervention.Place] {
    let named = try optional("site")?.site()
    let site = named?.site ?? vectorSite ?? .residPost
    let given = try layers(of: model, at: site, named: named?.layer)
    guard site.hasLayer else { return [.init(site: site, layer: nil)] }
    guard let layers = given ?? vectorLayer.map({ [$0] }) ?? otherwise else {
      throw call.error(
        "option 'layer' is missing: layers go from 0 to \(model.configuration.layerCount - 1)", kind: .layer)
    }
    return layers.map { .init(site: site, layer: $0) }
  }
}

extension Call {
  fileprivate func register(
    _ kind: String, _ places: [Intervention.Place], _ effects: [Intervention.Effect], _ options: OptionReader,
    _ object: ModelObject, _ scope: ScopeObject?, positions: PositionSelector? = nil, key: LuaFunctionKey? = nil
  ) throws -> Int {
    let intervention = Intervention(
      kind: kind, places: places, positions: try positions ?? options.positions("pos"), effects: effects,
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
    object.functionKeys[id] = key
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
