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

  public var summary: String { tensor.summary.header }
  public var display: String { tensor.description }

  public static let luaType = ObjectType(
    "tensor",
    "A dense array of 32-bit floats. Indices and dimensions are 1-based, negative ones count from the end; `t[i]` is a row "
      + "(which shares memory) or a number. Arithmetic broadcasts as in NumPy. `t:free()` or `local t <close>` gives its "
      + "memory back before the collector does.",
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
    methods: shapeRows + reductionRows + productRows + algebraRows + gradientRows,
    operators: operatorRows,
    index: indexTensor)
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
  func dimension(_ index: Int, of tensor: Tensor) throws -> Int {
    let argument = argument(index), value = try argument.integer()
    guard value != 0, abs(value) <= tensor.rank else {
      throw argument.error(
        "dimension \(value) does not exist in a tensor of shape \(shapeText(tensor.shape)) (dimensions count from 1)",
        kind: .shape)
    }
    return value > 0 ? value - 1 : tensor.rank + value
  }

  /// Sizes given as arguments `first...last` or as one list.
  func sizes(from first: Int = 1, to last: Int? = nil, allowFree: Bool = false) throws -> [Int] {
    let range = (allowFree ? -1 : 0)...(1 << 40)
    if isTable(first) { return try argument(first).list { try $0.integer(in: range) } }
    let last = last ?? argumentCount
    guard last >= first else { return [] }
    return try (first...last).map { try argument($0).integer(in: range) }
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

/// `t[i]`. One past the end is nil, so that `ipairs` ends; anything else outside is an error.
@Sendable private func indexTensor(_ call: Call) throws -> Int? {
  var isInteger: Int32 = 0
  let index = Int(lua_tointegerx(call.stack.pointer, 2, &isInteger))
  guard lua_type(call.stack.pointer, 2) == LUA_TNUMBER, isInteger != 0 else { return nil }
  let object = try call.argument(1).object(TensorObject.self), tensor = object.tensor
  guard let size = tensor.shape.first else { throw LuaError("shape", "a tensor of shape [] has no rows; use t:item()") }
  if index == size + 1 {
    call.stack.pushNil()
    return 1
  }
  guard index != 0, abs(index) <= size else {
    throw LuaError(
      "shape",
      "index \(index) is outside a tensor of shape \(shapeText(tensor.shape))"
        + (index == 0 ? " (indices count from 1)" : ""))
  }
  let place = index > 0 ? index - 1 : size + index
  if tensor.rank == 1 { return call.push(tensor.pointer[place]) }
  return call.push(try tensor.row(place), from: [object]) {
    try $0[0].rows(place..<place + 1).reshaped(Array(tensor.shape.dropFirst()))
  }
}
