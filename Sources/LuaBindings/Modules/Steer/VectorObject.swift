import Engine
import Foundation
import Transfer

/// A steering vector as Lua holds it. Arithmetic makes new ones.
public final class VectorObject: LuaObject {
  public let vector: SteeringVector

  public init(_ vector: SteeringVector) { self.vector = vector }

  /// Norm, norm relative to the stream, and cosine to the mean residual, with site, layer and position.
  public var summary: String { "vector " + vector.summary }

  public static let luaType = ObjectType(
    "vector",
    "A direction in one model's activations: `v.site`, `v.layer`, `v.pos`, its norm, and where it comes from. Sums keep "
      + "site and layer where both sides agree and drop the means; scaling keeps all. `v.direction` is the tensor.",
    fields: fieldRows, methods: methodRows, operators: operatorRows)

  private static let fieldRows: [Field] = [
    Field("site", "string", "Where it was read; nil after a sum over different sites.") {
      $0.push(try $0.vector.site?.rawValue)
    },
    Field("layer", "integer", "Its layer; nil after a sum over different layers.") { $0.push(try $0.vector.layer) },
    Field("pos", "integer, string or table", "The position it was read at; nil when unknown.") {
      $0.push(try $0.vector.position.map(luaValue) ?? LuaNil())
    },
    Field("norm", "number", "Its length.") { $0.push(try $0.vector.norm) },
    Field("relative_norm", "number", "Norm over the root mean square norm of the activations; nil when unknown.") {
      $0.push(try $0.vector.relativeNorm)
    },
    Field("cosine_to_stream", "number", "Cosine to the mean activation; nil when unknown.") {
      $0.push(try $0.vector.cosineToStream)
    },
    Field("method", "string", "How it was made.") { $0.push(try $0.vector.origin.method) },
    Field("model", "string", "Name of its model; nil when unknown.") { $0.push(try $0.vector.origin.model?.name) },
    Field("model_hash", "string", "Hash of its model's weights; nil when unknown.") {
      $0.push(try $0.vector.origin.model?.hash)
    },
    Field("template", "string", "Chat template of its prompts; nil for plain text.") {
      $0.push(try $0.vector.origin.template)
    },
    Field("n", "list", "How many positive and negative rows it was made of; nil when unknown.") { call in
      let origin = try call.vector.origin
      guard let positive = origin.positiveCount, let negative = origin.negativeCount else { return call.push(LuaNil()) }
      return call.push([positive, negative])
    },
    Field("seed", "integer", "Seed of a random vector; nil otherwise.") { $0.push(try $0.vector.origin.seed) },
    Field("masked", "list", "Stream dimensions set to zero in it, from 0.") {
      $0.push(try $0.vector.origin.maskedDimensions)
    },
    Field("direction", "tensor [d]", "The values.") { $0.push(try $0.vector.direction) },
    Field("tensor", "tensor [d]", "The values: another name of direction.") { $0.push(try $0.vector.direction) },
    Field(
      "means", "table", "{ positive =, negative = }: the unmasked mean activations it is the difference of, or nil."
    ) {
      call in
      guard let means = try call.vector.means else { return call.push(LuaNil()) }
      let table: LuaTable = [
        "positive": means.positive.asLua, "negative": means.negative.asLua, "scale": Double(means.scale),
      ]
      return call.push(table)
    },
  ]

  private static let methodRows: [Function] = [
    Function(
      "save", "v:save(path)",
      "Writes the vector: .safetensors with all that is known of it, or .gguf as llama.cpp's control vector (direction "
        + "only, resid_post of layer 1 or later).",
      results: "nothing", example: "steer.from(tensor.ones(576), { layer = 12 }):save(\"ones.safetensors\")"
    ) { call in
      let vector = try call.vector
      let path = try call.argument(1).path()
      if path.lowercased().hasSuffix(".gguf") {
        try ControlVectorFile.write(path, [vector])
      } else {
        guard path.lowercased().hasSuffix(".safetensors") else {
          throw call.argument(1).error("vectors are saved as .safetensors or .gguf, not \"\(path)\"")
        }
        try vector.save(path)
      }
      return 0
    },
    Function(
      "scaled", "v:scaled(norm)", "The same direction with another norm.", results: "vector",
      example: "local unit = steer.from(tensor.ones(576), { layer = 12 }):scaled(1)", retries: true
    ) { call in
      let norm = try call.argument(1).number()
      guard norm > 0 else { throw call.argument(1).mismatch("a number above 0") }
      return call.push(VectorObject(try call.vector.rescaled(to: norm)))
    },
  ]
}

extension Call {
  /// The vector a field or method belongs to.
  var vector: SteeringVector { get throws { try this(VectorObject.self).vector } }
}

extension ArgumentReader {
  /// A vector argument.
  func vector() throws -> SteeringVector {
    if isObject(DirectionsObject.self) {
      let all = try object(DirectionsObject.self).directions.all
      guard all.count == 1 else { throw error("expected a vector, found directions: take one with d:at(layer)") }
      return all[0]
    }
    if isTensor { throw error("expected a vector, found a tensor: steer.from(t, { site =, layer = }) makes one of it") }
    return try object(VectorObject.self).vector
  }

  /// A tensor, or a vector with its site and layer.
  func direction() throws -> (tensor: Tensor, site: Site?, layer: Int?) {
    if isTensor { return (try keptTensor(), nil, nil) }
    guard isObject(VectorObject.self) || isObject(DirectionsObject.self) else { throw mismatch("a tensor or a vector") }
    let vector = try vector()
    return (vector.direction, vector.site, vector.layer)
  }

  /// A file path, `~` expanded.
  func path() throws -> String {
    let path = try string()
    guard !path.isEmpty else { throw mismatch("a path") }
    return expandingHome(path)
  }
}

/// A position as scripts write it.
func luaValue(of position: PositionSelector) -> any LuaPushable {
  switch position {
  case .all: "all"
  case .prompt: "prompt"
  case .generated: "generated"
  case .last: -1
  case .index(let index): index
  case .list(let list): list
  case .computed: "function"
  case .match(let text): ["match": text] as LuaTable
  case .range(let from, let to):
    {
      var table = LuaTable()
      if let from { table.set("from", from) }
      if let to { table.set("to", to) }
      return table
    }()
  }
}
