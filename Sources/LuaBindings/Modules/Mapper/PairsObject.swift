import Engine
import Transfer

/// Activations of two models on the same texts as Lua holds them.
public final class PairsObject: LuaObject {
  public let pairs: PairSet

  public init(_ pairs: PairSet) { self.pairs = pairs }

  public var summary: String {
    func side(_ side: PairSet.Side) -> String {
      "\(side.model.name) \(side.layers.map(String.init).joined(separator: ", ")) (\(side.width))"
    }
    return "pairs of \(pairs.count()) rows of \(pairs.textCount) texts at \(pairs.site.rawValue): "
      + "\(side(pairs.source)) and \(side(pairs.target))"
  }

  public static let luaType = ObjectType(
    "pairs",
    "Activations of two models on the same texts, captured once: any number of fits, either way. `#P` is the number of "
      + "rows, `P.x` and `P.y` are the rows at one pair of layers, `P:rows{ ... }` some of them with what each row is.",
    fields: fieldRows, methods: [fitRow, rowsRow], operators: [lengthRow])

  private static let fieldRows: [Field] = [
    Field("x", "tensor [rows, d_from]", "The source's rows; an error that names P:rows where it has several layers.") {
      call in call.push(try call.onlyLayers().pairs.source)
    },
    Field("y", "tensor [rows, d_to]", "The target's rows that stand for them, likewise.") { call in
      call.push(try call.onlyLayers().pairs.target)
    },
    Field("texts", "integer", "How many texts were given.") { $0.push(try $0.pairs.textCount) },
    Field(
      "coverage", "number", "Share of the target's tokens, first ones left out, that have a counterpart in the source."
    ) { $0.push(try $0.pairs.coverage) },
    Field("from_model", "string", "Name of the source model.") { $0.push(try $0.pairs.source.model.name) },
    Field("to_model", "string", "Name of the target model.") { $0.push(try $0.pairs.target.model.name) },
    Field("from_layers", "list", "Layers captured in the source.") { $0.push(try $0.pairs.source.layers) },
    Field("to_layers", "list", "Layers captured in the target.") { $0.push(try $0.pairs.target.layers) },
    Field("d_from", "integer", "Width of the source's rows.") { $0.push(try $0.pairs.source.width) },
    Field("d_to", "integer", "Width of the target's rows.") { $0.push(try $0.pairs.target.width) },
    Field("site", "string", "Site of both.") { $0.push(try $0.pairs.site.rawValue) },
    Field("align", "string", "How tokens were paired.") { $0.push(try $0.pairs.alignment.rawValue) },
    Field("chat", "boolean", "Whether the models' templates wrote the texts.") { $0.push(try $0.pairs.isChat) },
  ]

  private static let sample = """
    local m = model.load("smollm2-135m-instruct")
    local texts = { "The ferry left at six.", "Bread needs flour, water and salt.", "Prices rose in May." }
    local P = mapper.pairs{ from = m, to = m, from_layers = { 8, 10 }, to_layer = 12, texts = texts }

    """

  private static let choosing: [Option] = [
    Option(
      "direction", "string", .string("forward"), "forward: from the source to the target; backward: the other way",
      choices: MapDirection.allCases.map(\.rawValue)),
    Option("from_layer", "integer", .computed("the only one"), "layer of the source, whichever way the map goes"),
    Option("to_layer", "integer", .computed("the only one"), "layer of the target, whichever way the map goes"),
    Option(
      "rows", "string, or list of row numbers", .string("all"),
      "all; content, of messages; template, around them; last, each text's last", choices: kinds),
    Option(
      "texts", "list of integers", .computed("all"), "rows of these texts only, numbered from 1 as they were given"),
  ]
  private static let kinds = PairSet.Selection.Kind.allCases.map(\.rawValue)

  private static let fitRow = Function(
    "fit", "P:fit{ direction =, from_layer =, to_layer =, method =, rows =, texts = }",
    "Fits a map to rows that were captured: the one that mapper.fit of the same texts gives, without running a model. Takes "
      + "the options of mapper.fit (?map_methods).",
    options: choosing + MapperRows.fitting, results: "map",
    example: sample + """
      for _, layer in ipairs(P.from_layers) do
        for _, direction in ipairs{ "forward", "backward" } do
          print(P:fit{ from_layer = layer, direction = direction, method = "ridge" })
        end
      end
      """
  ) { call in
    let pairs = try call.pairs, options = try call.options()
    let chosen = try options.choice(of: pairs)
    let settings = try options.mapperOptions()
    let map = try call.withPhases { phases in
      try TransferMap.fit(
        pairs, chosen.direction, fromLayer: chosen.from, toLayer: chosen.to, chosen.selection, options: settings
      ) { phases.update($0) }
    }
    return call.push(MapObject(map))
  }

  private static let rowsRow = Function(
    "rows", "P:rows{ from_layer =, to_layer =, direction =, rows =, texts = }",
    "Rows, and what each is: the number of its text, and its position, from 1, in the model it is read from and in the other.",
    options: choosing,
    results: "{ x, y, text, from_pos, to_pos, template }: x is what a map of this direction takes",
    example: sample + """
      local last = P:rows{ from_layer = 10, rows = "last" }
      print(last.x:shape()[1], last.text[1], last.from_pos[1])
      """
  ) { call in
    let pairs = try call.pairs, options = try call.options()
    let chosen = try options.choice(of: pairs)
    let rows = try pairs.chosen(
      chosen.direction, fromLayer: chosen.from, toLayer: chosen.to, chosen.selection)
    let table: LuaTable = [
      "x": TensorObject(rows.pairs.source).asLua, "y": TensorObject(rows.pairs.target).asLua,
      "text": rows.from.map { $0.text + 1 }, "from_pos": rows.from.map { $0.token + 1 },
      "to_pos": rows.to.map { $0.token + 1 }, "template": rows.pairs.rows.map(\.isTemplate),
    ]
    return call.push(table)
  }

  private static let lengthRow = Function(
    "__len", "#P", "How many rows there are, forward.", results: "integer", example: sample + "print(#P)"
  ) { call in call.push(try call.argument(1).object(PairsObject.self).pairs.count()) }
}

extension OptionReader {
  /// `direction`, layers, `rows` and `texts`.
  fileprivate func choice(
    of pairs: PairSet
  ) throws -> (direction: MapDirection, from: Int?, to: Int?, selection: PairSet.Selection) {
    var selection = PairSet.Selection()
    if let rows = optional("rows"), rows.isTable {
      guard rows.listCount > 0 else { throw rows.error("the list is empty") }
      selection.rows = try rows.list { try $0.integer(in: 1...Int.max) - 1 }
      guard Set(selection.rows ?? []).count == selection.rows?.count else { throw rows.error("a row is listed twice") }
    } else {
      selection.kind = PairSet.Selection.Kind(rawValue: try choice("rows")) ?? .all
    }
    if let texts = optional("texts") {
      guard texts.isTable, texts.listCount > 0 else { throw texts.mismatch("a list of text numbers") }
      selection.texts = Set(try texts.list { try $0.integer(in: 1...Int.max) - 1 })
    }
    return (
      MapDirection(rawValue: try choice("direction")) ?? .forward, try optional("from_layer")?.integer(),
      try optional("to_layer")?.integer(), selection
    )
  }
}

extension Call {
  fileprivate var pairs: PairSet { get throws { try this(PairsObject.self).pairs } }

  /// The rows at the only pair of layers.
  fileprivate func onlyLayers() throws -> PairSet.Chosen {
    let pairs = try pairs
    guard pairs.source.layers.count == 1, pairs.target.layers.count == 1 else {
      func list(_ layers: [Int]) -> String { layers.map(String.init).joined(separator: ", ") }
      throw error(
        "there are layers \(list(pairs.source.layers)) of the source and \(list(pairs.target.layers)) of the target; "
          + "P:rows{ from_layer =, to_layer = } gives x and y of two of them", kind: .layer)
    }
    return try pairs.chosen()
  }
}

extension Module {
  static let pairsRow = Function(
    "pairs", "mapper.pairs{ from =, to =, from_layer =, to_layer =, texts = }",
    "Runs two models once over the same texts and keeps what any number of maps, both ways, are fitted to: P:fit{ ... }. "
      + "Memory is 4 bytes x tokens x width x layers of either model; what does not fit is refused before anything runs.",
    options: [
      Option("from", "model", .required, "the source model"), Option("to", "model", .required, "the target model"),
      Option("from_layer", "integer", .none, "layer kept of the source"),
      Option("from_layers", "integer, list, { from =, to = } or \"all\"", .none, "several", choices: ["all"]),
      Option("to_layer", "integer", .none, "layer kept of the target"),
      Option("to_layers", "integer, list, { from =, to = } or \"all\"", .none, "several", choices: ["all"]),
      SharedOptions.site(),
    ] + MapperRows.texts,
    results: "pairs",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local talk = {
        { role = "user", content = "Name a fjord." }, { role = "assistant", content = "Sognefjord." },
        { role = "user", content = "And a lake?" },
      }
      local texts = { talk, { { role = "user", content = "What is a cwm?" } } }
      local P = mapper.pairs{ from = m, to = m, from_layer = 10, to_layers = { 10, 12 }, conversations = texts }
      print(P, P:fit{ to_layer = 12, method = "ridge" })
      """
  ) { call in
    let options = try call.options()
    func layers(_ one: String, _ several: String, _ model: Model) throws -> [Int] {
      let (name, reader) = try options.oneOf([one, several])
      let layers = try reader.layers(of: model)
      guard name == several || layers.count == 1 else { throw reader.error("one layer; \(several) takes several") }
      guard Set(layers).count == layers.count else { throw reader.error("a layer is listed twice") }
      return layers
    }
    let from = try options.required("from").model(), to = try options.required("to").model()
    let fromLayers = try layers("from_layer", "from_layers", from), toLayers = try layers("to_layer", "to_layers", to)
    let site = try options.site("site").0
    let prompts = try options.pairedPrompts(from, to)
    let pairs = try call.withPhases { phases in
      try PairSet(
        from: .init(model: from, prompts: prompts.from, layers: fromLayers),
        to: .init(model: to, prompts: prompts.to, layers: toLayers), site: site, alignment: options.alignment(),
        includingFirst: options.boolean("include_first"), isChat: prompts.isChat
      ) { phases.update("activations", $0, of: $1) }
    }
    return call.push(PairsObject(pairs))
  }
}
