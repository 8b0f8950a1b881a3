import Engine
import Transfer

extension Module {
  /// Maps between two models' activations.
  static let mapper = Module(
    "mapper", "Maps from one model's activations to another's, fitted to both models' readings of the same texts.",
    functions: [fitRow, loadRow], types: [MapObject.self],
    topics: [
      Topic(
        "alignment",
        """
        Two tokenizers and two templates cut the same text differently. align = "offset" pairs, within a message's content,
        a target token with the source token that ends at the same byte, else with the last one that ends before; the
        template after a message is paired from its end backwards. align = "index" pairs the i-th tokens. The first token,
        an attention sink with a norm of its own, is never a row unless include_first = true.
        """)
    ])

  private static let fitRow = Function(
    "fit", "mapper.fit{ from =, to =, from_layer =, to_layer =, texts =, method = }",
    "Fits a map to two models' activations of the same texts. Inputs and outputs are standardised for training, which is "
      + "folded into the map; lr falls tenfold for the last 30 % of steps. preset = \"paper\": raw mean squared error, AdamW "
      + "1e-4, 3 epochs, batches of 16 sequences.",
    options: [
      Option("from", "model", .required, "the source model"), Option("to", "model", .required, "the target model"),
      Option("from_layer", "integer", .required, "layer read in the source"),
      Option("to_layer", "integer", .required, "layer predicted in the target"), SharedOptions.site(),
      Option("texts", "list of strings", .none, "what both models read"),
      Option("from_texts", "list of strings", .none, "what the source reads, with to_texts"),
      Option("to_texts", "list of strings", .none, "what the target reads, with from_texts"), SteerOptions.chat(false),
      Option(
        "method", "string", .string("autoencoder"), "kind of map",
        choices: MapperOptions.Method.allCases.map(\.rawValue)),
      Option(
        "preset", "string", .string("standard"), "how it is trained",
        choices: MapperOptions.Preset.allCases.map(\.rawValue)),
      Option("hidden", "integer", .computed("floor(sqrt(d_from d_to))"), "units of the autoencoder"),
      Option("epochs", "integer", .computed("12; paper: 3"), "passes over the rows"),
      Option("lr", "number", .computed("1e-3; paper: 1e-4"), "learning rate of Adam"),
      Option("batch", "integer", .computed("256; paper: 16 sequences"), "rows of a batch"),
      Option(
        "lambda", "number", .number(1e-3), "ridge penalty, relative to the mean variance of the standardised source"),
      Option(
        "align", "string", .string("offset"), "how tokens are paired", choices: TokenAlignment.allCases.map(\.rawValue)),
      Option("holdout", "number", .number(0.1), "share of texts kept for the report"),
      Option("include_first", "boolean", .boolean(false), "first tokens, which are attention sinks, become rows too"),
      Option("seed", "integer", .integer(0), "of the split, the start and the order of rows"),
    ],
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
    let chat = try options.boolean("chat")
    let site = try options.site("site").0
    let settings = try mapperOptions(options)
    let prompts = try call.pairedPrompts(from, to, options, chat: chat)
    let pairs = try PairStream(
      from: PairEnd(model: from, prompts: prompts.from, layer: fromLayer),
      to: PairEnd(model: to, prompts: prompts.to, layer: toLayer), site: site, alignment: settings.alignment,
      includingFirst: settings.includesFirst)
    call.noteUnpaired(pairs, settings.alignment)
    let map = try call.withPhases { phases in
      try TransferMap.fit(pairs, options: settings, chat: chat) { progress in
        switch progress {
        case .capturing(let done, let total): phases.update("activations", done, of: total)
        case .training(let training): phases.update("training the map", training.step, of: training.steps)
        }
      }
    }
    return call.push(MapObject(map))
  }

  private static func mapperOptions(_ options: OptionReader) throws -> MapperOptions {
    var settings = MapperOptions()
    settings.method = MapperOptions.Method(rawValue: try options.choice("method")) ?? .autoencoder
    settings.preset = MapperOptions.Preset(rawValue: try options.choice("preset")) ?? .standard
    settings.hidden = try options.optional("hidden")?.integer(in: 1...1 << 20)
    settings.epochs = try options.optional("epochs")?.integer(in: 1...1_000_000)
    settings.learningRate = try options.optional("lr")?.number()
    settings.batch = try options.optional("batch")?.integer(in: 1...1 << 24)
    settings.lambda = try options.number("lambda", in: 0...Double.infinity)
    settings.alignment = TokenAlignment(rawValue: try options.choice("align")) ?? .offset
    settings.holdout = try options.number("holdout", in: 0...1)
    settings.includesFirst = try options.boolean("include_first")
    settings.seed = try options.integer("seed")
    return settings
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

  /// The same texts as both models read them.
  fileprivate func pairedPrompts(
    _ from: Model, _ to: Model, _ options: OptionReader, chat: Bool
  ) throws -> (from: [Prompt], to: [Prompt]) {
    func read(_ name: String, _ model: Model) throws -> [Prompt] {
      let reader = try options.required(name)
      guard reader.isTable else { throw reader.mismatch("a list of strings") }
      guard reader.listCount > 0 else { throw reader.error("the list is empty") }
      return try reader.prompts(of: model, chat: chat)
    }
    if options.isPresent("texts") {
      for name in ["from_texts", "to_texts"] where options.isPresent(name) {
        throw error("give texts, or from_texts and to_texts, not both")
      }
      return (try read("texts", from), try read("texts", to))
    }
    guard options.isPresent("from_texts"), options.isPresent("to_texts") else {
      throw error("texts are missing: give texts =, or from_texts = and to_texts =")
    }
    let pair = (from: try read("from_texts", from), to: try read("to_texts", to))
    guard pair.from.count == pair.to.count else {
      throw error("from_texts has \(pair.from.count) texts and to_texts \(pair.to.count); they are read in pairs")
    }
    return pair
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
