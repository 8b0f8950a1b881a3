import CShim
import Engine

/// A tensor as Lua holds it. Operations make new ones; rows share storage with the tensor they come from.
public final class TensorObject: LuaObject {
  public let tensor: Tensor
  /// Set by scripts on tensors that gradients are wanted for.
  var requiresGradient = false
  /// What `backward` has added up.
  var gradient: Tensor?
  /// How it was computed, where a gradient may be asked for.
  var recipe: TensorRecipe?

  public init(_ tensor: Tensor) { self.tensor = tensor }

  deinit { releaseRecipe() }

  public var summary: String { tensor.summary.header }
  public var display: String { tensor.description }

  public static let luaType = ObjectType(
    "tensor",
    "A dense array of 32-bit floats. Indices and dimensions are 1-based, negative ones count from the end; `t[i]` is a row "
      + "(which shares memory) or a number, `t[{ i, j }]` an entry; both can be assigned to, in place, where no gradient "
      + "is needed. Arithmetic broadcasts as in NumPy. `t:free()` or `local t <close>` gives its memory back before the "
      + "collector does.",
    fields: [
      Field("dtype", "string", "Always \"f32\".") { call in
        _ = try call.this(TensorObject.self)
        return call.push("f32")
      },
      Field("rank", "integer", "Number of dimensions.") { call in call.push(try call.tensor.rank) },
      Field("count", "integer", "Number of values.") { call in call.push(try call.tensor.count) },
      Field(
        "requires_grad", "boolean", "Whether t:backward() adds to .grad; set it to true on a tensor that is learnt.",
        assign: { call in
          let object = try call.argument(1).object(TensorObject.self), isWanted = try call.argument(3).boolean()
          guard object.recipe == nil || isWanted else {
            throw LuaError("argument", "this tensor was computed from others; t:detach() leaves that behind")
          }
          object.requiresGradient = isWanted
          return 0
        }
      ) { call in call.push(try call.this(TensorObject.self).tracksGradient) },
      Field(
        "grad", "tensor", "What t:backward() has added up; nil before. Set it to nil to start again.",
        assign: { call in
          let object = try call.argument(1).object(TensorObject.self)
          guard call.argument(3).isNil else { throw LuaError("argument", "grad can be set to nil only") }
          object.gradient = nil
          return 0
        }
      ) { call in call.push(try call.this(TensorObject.self).gradient.map(\.asLua)) },
    ],
    methods: valueRows + shapeRows + partRows + elementRows + comparisonRows + reductionRows + lineRows + productRows
      + algebraRows + gradientRows,
    operators: operatorRows,
    index: indexTensor, assignIndex: assignTensor)
}

extension Call {
  /// The tensor a method belongs to.
  var tensor: Tensor {
    get throws { try this(TensorObject.self).tensor }
  }

  /// Pushes a tensor as a result.
  @discardableResult
  func push(_ tensor: Tensor) -> Int { push(TensorObject(tensor)) }

  /// Argument `index` as a dimension of `tensor`, 0-based.
  func dimension(_ index: Int, of tensor: Tensor) throws -> Int { try argument(index).dimension(of: tensor) }

  /// Argument `index` as a dimension, the last one unless given. Throws `.shape` for a tensor of shape [].
  func lineDimension(_ index: Int, of tensor: Tensor) throws -> Int {
    guard tensor.rank > 0 else { throw error("a tensor of shape [] has no dimension", kind: .shape) }
    return isGiven(index) ? try dimension(index, of: tensor) : tensor.rank - 1
  }

  /// Sizes given as arguments `first...last` or as one list.
  func sizes(from first: Int = 1, to last: Int? = nil, allowFree: Bool = false) throws -> [Int] {
    let range = (allowFree ? -1 : 0)...(1 << 40), last = last ?? argumentCount
    if isTable(first) {
      guard last <= first else {
        throw argument(first + 1).error("sizes are one list or one argument each, found both")
      }
      let list = argument(first)
      if let name = try list.fieldNames(allowList: true).first {
        throw list.error("expected sizes, found the key '\(name)'")
      }
      return try list.list { try $0.integer(in: range) }
    }
    guard last >= first else { return [] }
    return try (first...last).map { try argument($0).integer(in: range) }
  }

  /// Sizes, as arguments from `first` on or one list, and options after them.
  func sizesAndOptions(from first: Int = 1) throws -> (shape: [Int], options: OptionReader?) {
    var last = argumentCount
    while last >= first, !isGiven(last) { last -= 1 }
    let hasOptions = last > first && isTable(last)
    return (try sizes(from: first, to: hasOptions ? last - 1 : last), hasOptions ? try options(last) : nil)
  }
}

extension ArgumentReader {
  /// A dimension of `tensor`, 0-based; negative ones count from the end.
  func dimension(of tensor: Tensor) throws -> Int {
    let value = try integer()
    guard value != 0, value.magnitude <= UInt(tensor.rank) else {
      throw error(
        "dimension \(value) does not exist in a tensor of shape \(shapeText(tensor.shape)) (dimensions count from 1)",
        kind: .shape)
    }
    return value > 0 ? value - 1 : tensor.rank + value
  }

  /// A place among `size`, 0-based; negative ones count from the end.
  func place(among size: Int) throws -> Int {
    let value = try integer()
    guard value != 0, value.magnitude <= UInt(size) else {
      throw error("place \(value) is not among 1 to \(size) (places count from 1)", kind: .shape)
    }
    return value > 0 ? value - 1 : size + value
  }

  /// A list of places, or a tensor of them, 0-based.
  func places(among size: Int) throws -> [Int] {
    guard isTensor else { return try list { try $0.place(among: size) } }
    return try tensor().values.enumerated().map { number, value in
      guard let place = Int(exactly: value), place != 0, place.magnitude <= UInt(size) else {
        throw error(
          "entry \(number + 1): \(value) is not a place among 1 to \(size) (places count from 1)", kind: .shape)
      }
      return place > 0 ? place - 1 : size + place
    }
  }
}

extension ArgumentReader {
  /// A tensor argument.
  func tensor() throws -> Tensor { try object(TensorObject.self).tensor }

  var isTensor: Bool { isObject(TensorObject.self) }
}

extension Tensor {
  /// As a result or table entry.
  var asLua: LuaObjectValue { TensorObject(self).asLua }
}
