import Engine
import Transfer

/// Vectors at several layers and positions, as difference methods make them in one pass.
public final class DirectionsObject: LuaObject {
  public let directions: Directions

  public init(_ directions: Directions) { self.directions = directions }

  public var summary: String {
    let layers = directions.layers
    let positions = directions.positions
    let span =
      layers.count == 1 ? "layer \(layers[0])" : "\(layers.count) layers (\(layers[0]) to \(layers[layers.count - 1]))"
    return "directions at \(directions.site.rawValue), \(span), "
      + (positions.count == 1 ? "position \(positions[0].fileText)" : "\(positions.count) positions")
  }

  public static let luaType = ObjectType(
    "directions", "Vectors at several layers and positions; `d:at(layer)` is one of them, `show(d:table())` all.",
    fields: [
      Field("site", "string", "Where they were read.") { $0.push(try $0.directions.site.rawValue) },
      Field("layers", "list", "Layers there are.") { $0.push(try $0.directions.layers) },
      Field("positions", "list", "Positions there are.") {
        $0.push(LuaList(try $0.directions.positions.map(luaValue)))
      },
    ],
    methods: [
      Function(
        "at", "d:at(layer [, pos])", "The vector of a layer; the position is needed where there are several.",
        results: "vector",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local d = steer.mean_difference(m, { positive = { "I love it" }, negative = { "I hate it" }, chat = false })
          print(d:at(12))
          """
      ) { call in
        let directions = try call.directions
        let position = try call.optionalArgument(2)?.positions()
        return call.push(VectorObject(try directions.at(try call.argument(1).integer(), position: position)))
      },
      Function(
        "table", "d:table()",
        "What there is, for show: layer, position, norm, rows of either side, norm relative to the stream, cosine to its "
          + "mean.",
        results: "list of { layer, pos, norm, n_positive, n_negative, relative_norm, cosine_to_stream }",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local d = steer.mean_difference(m, { positive = { "I love it" }, negative = { "I hate it" }, chat = false })
          show(d:table())
          """
      ) { call in
        let directions = try call.directions
        let rows = try directions.layers.flatMap { layer in
          try directions.positions.map { position -> LuaTable in
            let vector = try directions.at(layer, position: position)
            var row: LuaTable = ["layer": layer, "pos": position.tableValue, "norm": vector.norm]
            if let n = vector.origin.positiveCount { row.set("n_positive", n) }
            if let n = vector.origin.negativeCount { row.set("n_negative", n) }
            if let relative = vector.relativeNorm { row.set("relative_norm", relative) }
            if let cosine = vector.cosineToStream { row.set("cosine_to_stream", cosine) }
            return row
          }
        }
        return call.push(rows)
      },
      Function(
        "save", "d:save(path [, pos])",
        "Writes the vectors of all layers from 1 on, at one position, as llama.cpp's control vectors (.gguf).",
        results: "nothing",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local d = steer.mean_difference(m, { positive = { "I love it" }, negative = { "I hate it" }, chat = false })
          d:save("love.gguf")
          """
      ) { call in
        let directions = try call.directions
        let path = try call.argument(1).path()
        guard path.lowercased().hasSuffix(".gguf") else {
          throw call.argument(1).error(
            "directions are saved as .gguf control vectors; d:at(layer):save(path) writes one vector")
        }
        let position = try call.optionalArgument(2)?.positions()
        let first = directions.site == .residPre ? 2 : 1
        try ControlVectorFile.write(
          path, directions.layers.filter { $0 >= first }.map { try directions.at($0, position: position) })
        return 0
      },
    ])
}

extension Call {
  fileprivate var directions: Directions { get throws { try this(DirectionsObject.self).directions } }
}

extension PositionSelector {
  /// For a table's cell.
  fileprivate var tableValue: any LuaPushable {
    if case .index(let index) = self { return index }
    return fileText
  }
}
