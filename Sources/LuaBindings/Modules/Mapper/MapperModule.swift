import Engine
import Transfer

extension Module {
  /// Maps between two models' activations.
  static let mapper = Module(
    "mapper", "Maps from one model's activations to another's, fitted to both models' readings of the same texts.",
    functions: [fitRow, pairsRow, loadRow], types: [MapObject.self, PairsObject.self],
    topics: [
      MapperRows.methods,
      Topic(
        "alignment",
        """
        Two tokenizers and two templates cut the same text differently. align = "offset" pairs, within a message's content,
        a target token with the source token that ends at the same byte, else with the last one that ends before; the
        template after a message is paired from its end backwards. align = "index" pairs the i-th tokens. The first token,
        an attention sink with a norm of its own, is never a row unless include_first = true. Conversations are paired message
        by message. Texts that were rendered beforehand (from_texts, to_texts) are paired turn by turn: what stands between
        control tokens and is equal on both sides, else the runs of text that both share; texts without any are refused.
        """),
    ])

  private static let fitRow = Function(
    "fit", "mapper.fit{ from =, to =, from_layer =, to_layer =, texts =, method = }",
    "Fits a map to two models' activations of the same texts (?map_methods, ?alignment). Trained ones "
      + "see standardised inputs and outputs, which is folded into the map, and lr falls tenfold for the last 30 % of steps. "
      + "preset = \"paper\": raw mean squared error, AdamW 1e-4, 3 epochs, batches of 16 sequences. Several layers, both "
      + "ways or several fits of the same texts: mapper.pairs.",
    options: [
      Option("from", "model", .required, "the source model"), Option("to", "model", .required, "the target model"),
      Option("from_layer", "integer", .required, "layer read in the source"),
      Option("to_layer", "integer", .required, "layer predicted in the target"), SharedOptions.site(),
    ] + MapperRows.texts + MapperRows.fitting,
    results: "map",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local texts = { "The ferry left at six.", "Bread needs flour, water and salt.", "Prices rose in May." }
      local map = mapper.fit{ from = m, to = m, from_layer = 10, to_layer = 12, texts = texts, method = "ridge" }
      show({ map.report })
      """
  ) { call in
    let options = try call.options()
    let from = try options.required("from").model()
    let to = try options.required("to").model()
    let fromLayer = try call.layer("from_layer", of: from, options)
    let toLayer = try call.layer("to_layer", of: to, options)
    let site = try options.site("site").0
    var settings = try options.mapperOptions()
    settings.alignment = try options.alignment()
    settings.includesFirst = try options.boolean("include_first")
    let prompts = try options.pairedPrompts(from, to)
    let pairs = try PairStream(
      from: PairEnd(model: from, prompts: prompts.from, layer: fromLayer),
      to: PairEnd(model: to, prompts: prompts.to, layer: toLayer), site: site, alignment: settings.alignment,
      includingFirst: settings.includesFirst)
    call.noteUnpaired(pairs, settings.alignment)
    let map = try call.withPhases { phases in
      try TransferMap.fit(pairs, options: settings, chat: prompts.isChat) { phases.update($0) }
    }
    return call.push(MapObject(map))
  }

  private static let loadRow = Function(
    "load", "mapper.load(folder [, { from =, to = }])",
    "Reads what map:save wrote; models given must be those it was fitted to.",
    options: [
      Option("from", "model", .none, "the source model, checked by hash"),
      Option("to", "model", .none, "the target model, checked by hash"),
    ],
    results: "map", example: "local ok, map = pcall(mapper.load, \"maps/ten-to-twelve\")"
  ) { call in
    let map = try TransferMap(folder: call.argument(1).path())
    let options = try call.options(2)
    try map.requireModels(
      source: options.optional("from")?.model().identity, target: options.optional("to")?.model().identity)
    return call.push(MapObject(map))
  }
}

extension Call {
  fileprivate func layer(_ name: String, of model: Model, _ options: OptionReader) throws -> Int {
    let reader = try options.required(name)
    let layers = try reader.layers(of: model)
    guard layers.count == 1 else { throw reader.error("one layer is needed") }
    return layers[0]
  }
}

extension PhaseProgress {
  func update(_ progress: MapFitProgress) {
    switch progress {
    case .capturing(let done, let total): update("activations", done, of: total)
    case .training(let training): update("training the map", training.step, of: training.steps)
    }
  }
}

extension Call {
  /// Says which texts take no part in a map, or not whole.
  fileprivate func noteUnpaired(_ pairs: PairStream, _ alignment: TokenAlignment) {
    let empty = pairs.alignments.indices.filter { pairs.alignments[$0].isEmpty }
    if let first = empty.first {
      state.output.note(
        "mapper: \(empty.count) of \(pairs.alignments.count) texts have no pair of tokens, the first of them text \(first + 1)"
      )
    }
    guard alignment == .index else { return }
    let uneven = pairs.alignments.indices.filter {
      pairs.source.prompts[$0].tokens.count != pairs.target.prompts[$0].tokens.count
    }
    if let first = uneven.first {
      state.output.note(
        "mapper: \(uneven.count) of \(pairs.alignments.count) texts have more tokens in one model than in the other (text "
          + "\(first + 1) is the first); with align = \"index\" the surplus is left out")
    }
  }
}
