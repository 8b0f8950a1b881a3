import Engine
import Transfer

extension ModelObject {
  /// Interventions that put other values in place of rows.
  static let settingRows: [Function] = [
    Function(
      "mean_ablate", "m:mean_ablate{ layer =, site =, pos =, mean = | prompts = }",
      "Replaces rows by a mean: given, or taken at each layer over all tokens of some prompts (token 1 left out). At "
        + "attn_scores and pattern a number, for every position a row can see: mean = 0 at pattern takes attention away.",
      options: placeOptions + [
        Option("mean", "tensor, vector or number", .none, "the mean row"),
        Option("prompts", "list of strings", .none, "prompts whose mean row is taken, without interventions"),
        SharedOptions.pos, anyModel, SharedOptions.strict,
      ] + SharedOptions.heads,
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
        let means = try meanRows(object.model, prompts, places, heads: try options.heads())
        return try call.register("mean_ablate", places, means.map { .mean($0) }, options, object, scope)
      }
      let mean: Tensor
      if value.isNumber {
        mean = try Tensor([Float(try value.number())])
      } else if value.isObject(VectorObject.self) {
        mean = try options.owned(try value.vector(), by: object.model, value).direction
      } else {
        mean = try value.keptTensor()
      }
      return try call.register("mean_ablate", places, [.mean(mean)], options, object, scope)
    },
    Function(
      "patch", "m:patch{ layer =, site =, pos =, value = tensor }",
      "Sets the selected rows of every sequence to given values, for example another run's: row i of the value goes to the "
        + "i-th position of pos, in the order of its list. A position listed twice needs the same row twice.",
      options: placeOptions + [
        Option(
          "value", "tensor [rows, ...], vector, run, or list with one for each sequence", .required,
          "one row per selected position; [heads, rows, columns] at attn_scores and pattern; of a run, what it captured "
            + "at the site and layer"), SharedOptions.pos, anyModel, SharedOptions.strict,
      ] + SharedOptions.heads,
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
      if reader.isObject(VectorObject.self) {
        let vector = try options.owned(try reader.vector(), by: object.model, reader)
        let places = try options.places(of: object.model, vectorSite: vector.site, vectorLayer: vector.layer)
        let row = try vector.direction.reshaped([1, vector.width])
        return try call.register("patch", places, [.patch(row)], options, object, scope)
      }
      let places = try options.places(of: object.model, vectorSite: nil, vectorLayer: nil)
      let isList = !reader.isTensor && reader.isTable && reader.listCount > 0
      let effects =
        try isList ? nil : places.map { Intervention.Effect.patch(try reader.rows(at: $0, options, object)) }
      let lists = try isList ? places.map { place in try reader.list { try $0.rows(at: place, options, object) } } : []
      return try call.register(
        "patch", places, effects ?? lists.map { .patchEach($0) }, options, object, scope)
    },
    Function(
      "replace", "m:replace{ layer =, with = tensor | { model =, layer =, map = } }",
      "Replaces a whole layer's rows: by a tensor, or by another model's activations of the same text, mapped and "
        + "aligned as in mapper. A tensor has a row for each token of the prompt, or for each but token 1. Token 1 and "
        + "generated tokens stay as they are.",
      options: placeOptions + [
        Option("with", "tensor or { model =, layer =, map = }", .required, "the rows, or where they come from"),
        anyModel,
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
        let effect = try rowsAfterFirst(try with.keptTensor(), place.site, object.model)
        return try call.register("replace", places, [effect], options, object, scope, positions: nil)
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
      if map == nil, try !options.boolean("any_model"), !target.identity.isRelated(to: source.identity) {
        throw with.error(
          "\(source.name) has other axes than \(target.name), also where the width is the same; map = mapper.fit{ from =, to =, "
            + "... } carries its activations over, and any_model = true takes them as they are")
      }
      let effect = Intervention.Effect.replace { _, prompt in
        try mappedRows(
          for: prompt, targetModel: target, source: source, sourceLayer: layers[0], map: map, site: place.site)
      }
      return try call.register("replace", places, [effect], options, object, scope, positions: nil)
    },
    Function(
      "knockout", "m:knockout{ layer | layers =, head | heads =, from =, to = }",
      "Attention knockout (Geva et al. 2023): tokens at `from` attend no more to tokens at `to`, whose scores become -inf "
        + "before the softmax, so that nothing flows from `to` to `from` in these layers and heads. A token that would have "
        + "nothing left to attend to is an error.",
      options: [
        SharedOptions.layer, SharedOptions.layers(.string("all")),
        Option("from", "as pos", .required, "the tokens that attend"),
        Option("to", "as pos", .required, "the tokens that are not attended to"), SharedOptions.strict,
      ] + SharedOptions.heads,
      results: "intervention",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:knockout{ layers = { from = 10, to = 15 }, from = -1, to = { match = "France" } }
        print(m:top_tokens(m:run{ prompt = "The capital of France is" }.logits, 1)[1].text)
        """
    ) { call in
      let (object, scope) = try call.interventionTarget(), options = try call.options()
      let layers = try options.layers(of: object.model) ?? Array(0..<object.model.configuration.layerCount)
      let places = layers.map { Intervention.Place(site: .attnScores, layer: $0) }
      return try call.register("knockout", places, options, object, scope, positions: "from") { keep in
        [.knockout(to: try options.required("to").positions(keep: keep, in: object))]
      }
    },
  ]

  /// Rows for all tokens of each prompt but the first, from a tensor with or without a row for that.
  fileprivate static func rowsAfterFirst(
    _ value: Tensor, _ site: Site, _ model: Model
  ) throws -> Intervention.Effect {
    let width = site.rowShape(model.configuration)?.reduce(1, *) ?? 0
    guard value.rank >= 1, width > 0, value.count == value.shape[0] * width else {
      throw EngineError(
        .shape, "replace: the tensor has shape \(shapeText(value.shape)), but \(site.rawValue) takes [rows, \(width)]")
    }
    try value.requireNumbers("replace: the value")
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
  fileprivate static func meanRows(_ model: Model, _ prompts: [Prompt], _ places: [Intervention.Place], heads: [Int]?)
    throws -> [Tensor]
  {
    let positions = PositionSelector.range(from: prompts.contains { $0.tokens.count > 1 } ? 2 : 1, to: nil)
    var sums = places.map { _ in [Double]() }, counts = places.map { _ in 0 }
    let captures = try places.enumerated().map { i, place in
      guard var shape = place.site.rowShape(model.configuration) else {
        throw EngineError(
          .site,
          "mean_ablate at \(place.site.rawValue) takes mean = a number: rows there are as wide as the text is long")
      }
      if let heads { shape[0] = heads.count }
      let width = shape.reduce(1, *)
      sums[i] = Array(repeating: 0, count: width)
      return CaptureRequest(
        site: place.site, layers: place.layer.map { [$0] } ?? [], positions: positions, heads: heads
      ) { rows in
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

extension ArgumentReader {
  /// Rows to put at a place: a tensor, or what a run captured there. One row may come without its first dimension.
  fileprivate func rows(
    at place: Intervention.Place, _ options: OptionReader, _ object: ModelObject
  ) throws -> Tensor {
    let value: Tensor
    if isTensor {
      value = try keptTensor()
    } else if isObject(ActivationsObject.self) || (isTable && field("acts") != nil) {
      let acts = try (isTable ? field("acts") ?? self : self).object(ActivationsObject.self)
      do { value = try acts.tensor(place.site, layer: place.layer) } catch let failure as LuaError {
        throw error(failure.message, kind: .site)
      }
    } else {
      throw mismatch("a tensor, a vector, or a run with captured activations")
    }
    guard let shape = place.site.rowShape(object.model.configuration) else { return value }
    let heads = try options.heads()
    let width = heads.map { $0.count * object.model.configuration.dHead } ?? shape.reduce(1, *)
    return value.count == width && (value.rank == 1 || value.shape[0] != 1)
      ? try value.reshaped([1, value.count]) : value
  }
}
