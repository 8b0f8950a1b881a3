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
    "directions",
    "Vectors at several layers and positions; `d:at(layer)` is one of them, `show(d:table())` all. Given as `dir =` they act "
      + "each at its own layer; they are scaled and summed as vectors are, layer by layer.",
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
        "position", "d:position(pos)", "The directions of one of the positions, at every layer: what dir = takes.",
        results: "directions",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local d = steer.prompt_difference(m, { positive = "Love", negative = "Hate" })
          local h <close> = m:add{ dir = d:position(-1), layers = { 6, 7 }, pos = 1 }
          """
      ) { call in
        let position = try call.argument(1).positions()
        return call.push(DirectionsObject(try call.directions.at(position: position)))
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
        "Writes the vectors of all layers from 1 on, at one position, as llama.cpp's control vectors (.gguf). The format has "
          + "none for resid_post of layer 0: a warning says what was left out.",
        results: "list of the layers written",
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
        let layers = directions.layers.filter { $0 >= first }, lost = directions.layers.filter { $0 < first }
        let vectors = try layers.map { try directions.at($0, position: position) }
        if vectors.isEmpty, let only = directions.layers.first {
          throw call.error(
            "a .gguf file of control vectors begins at \(directions.site.rawValue) of layer \(first), and these directions end "
              + "at layer \(directions.layers.last ?? only); d:at(\(only)):save(path) as .safetensors keeps one",
            kind: .layer)
        }
        try ControlVectorFile.write(path, vectors)
        if !lost.isEmpty {
          call.state.output.note(
            "warning: \(path) lacks the direction of layer \(lost.map(String.init).joined(separator: " and ")): llama.cpp's "
              + "control vectors begin at \(directions.site.rawValue) of layer \(first); d:at(\(lost[0])):save(path) as "
              + ".safetensors keeps it")
        }
        return call.push(layers)
      },
    ], operators: operatorRows)

  private static let sample = """
    local m = model.load("smollm2-135m-instruct")
    local d = steer.prompt_difference(m, { positive = "Love", negative = "Hate", layers = { 6, 7 } })

    """

  private static let operatorRows: [Function] = [
    Function("__add", "d + e", "The sums, layer by layer.", results: "directions", example: sample + "print(d + d)") {
      call in try call.combined { try $0 + $1 }
    },
    Function(
      "__sub", "d - e", "The differences, layer by layer.", results: "directions", example: sample + "print(d - d)"
    ) { call in try call.combined { try $0 - $1 } },
    Function(
      "__mul", "d * number", "Every vector scaled.", results: "directions", example: sample + "print(2 * d)"
    ) { call in
      let (number, other) = call.argument(1).isNumber ? (1, 2) : (2, 1)
      guard call.argument(number).isNumber else { throw call.error("directions are scaled by a number") }
      let factor = Float(try call.argument(number).number())
      let directions = try call.argument(other).object(DirectionsObject.self).directions
      return call.push(DirectionsObject(try directions.mapping { try $0 * factor }))
    },
    Function("__div", "d / number", "Every vector scaled.", results: "directions", example: sample + "print(d / 2)") {
      call in
      guard call.argument(2).isNumber else { throw call.error("directions are divided by a number") }
      let divisor = Float(try call.argument(2).number())
      let directions = try call.argument(1).object(DirectionsObject.self).directions
      return call.push(DirectionsObject(try directions.mapping { try $0 / divisor }))
    },
    Function("__unm", "-d", "The opposite directions.", results: "directions", example: sample + "print(-d)") { call in
      let directions = try call.argument(1).object(DirectionsObject.self).directions
      return call.push(DirectionsObject(try directions.mapping { try -$0 }))
    },
  ]
}

extension Call {
  fileprivate func combined(_ body: (SteeringVector, SteeringVector) throws -> SteeringVector) throws -> Int {
    let left = try argument(1).object(DirectionsObject.self).directions
    let right = try argument(2).object(DirectionsObject.self).directions
    return push(DirectionsObject(try left.combined(with: right, body)))
  }

  fileprivate var directions: Directions { get throws { try this(DirectionsObject.self).directions } }
}

extension PositionSelector {
  /// For a table's cell.
  fileprivate var tableValue: any LuaPushable {
    if case .index(let index) = self { return index }
    return fileText
  }
}
