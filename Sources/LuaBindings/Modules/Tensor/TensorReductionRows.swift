import Engine

extension TensorObject {
  fileprivate static let keepOption = Option(
    "keep", "boolean", .boolean(false), "the dimension stays, with size 1, so that the result broadcasts")
  fileprivate static let correctionOption = Option(
    "correction", "integer", .integer(1), "the divisor is n - correction; 0 for the whole population, as NumPy has it")

  /// Sums and the like: over all values, or along one dimension.
  static let reductionRows: [Function] = [
    reduction(
      "sum", "The sum", number: { $0.sum() }, all: { v, _ in try v.sum() },
      along: { v, d, _ in try v.sum(dimension: d) }
    ),
    reduction(
      "mean", "The mean", number: { try $0.mean() }, all: { v, _ in try v.mean() },
      along: { v, d, _ in try v.mean(dimension: d) }),
    reduction("norm", "The Euclidean norm", number: { $0.norm() }) { v, d, _ in try v.norm(dimension: d) },
    reduction(
      "max", "The largest value (NaN where there is one)", number: { Double(try $0.maximum()) },
      all: { v, _ in try v.maximum() }, along: { v, d, _ in try v.maximum(dimension: d) }),
    reduction(
      "min", "The smallest value (NaN where there is one)", number: { Double(try $0.minimum()) },
      all: { v, _ in try v.minimum() }, along: { v, d, _ in try v.minimum(dimension: d) }),
    reduction("std", "The standard deviation", options: [correctionOption]) { v, d, options in
      try v.standardDeviation(dimension: d, correction: options?.integer("correction", in: 0...1 << 30) ?? 1)
    },
    reduction("var", "The variance", options: [correctionOption]) { v, d, options in
      try v.variance(dimension: d, correction: options?.integer("correction", in: 0...1 << 30) ?? 1)
    },
    reduction("logsumexp", "log sum exp(x)") { v, d, _ in try v.logSumExp(dimension: d) },
    Function(
      "quantile", "t:quantile(q [, dim] [, { keep = }])",
      "The q quantile, 0 to 1, of all values or along a dimension, linear between neighbours; NaN where there is one.",
      options: [keepOption],
      results: "a number (a tensor of shape [] where gradients are kept); with a dimension a tensor",
      example: "local median = tensor.randn(101):quantile(0.5)", retries: true
    ) { call in
      let q = try call.argument(1).number(in: 0...1)
      return try call.reduce(at: 2, number: nil, all: nil) { v, d, _ in try v.quantile(q, dimension: d) }
    },
    extremePlace("argmax", "largest") { try $0.argmax(dimension: $1) },
    extremePlace("argmin", "smallest") { try $0.argmin(dimension: $1) },
  ]
}

private typealias Along = @Sendable (Variable, Int, OptionReader?) throws -> Variable

private func reduction(
  _ name: String, _ words: String, options: [Option] = [], number: (@Sendable (Tensor) throws -> Double)? = nil,
  all: (@Sendable (Variable, OptionReader?) throws -> Variable)? = nil, along: @escaping Along
) -> Function {
  let keys = (options + [TensorObject.keepOption]).map { "\($0.name) =" }.joined(separator: ", ")
  return Function(
    name, "t:\(name)([dim] [, { \(keys) }])", "\(words) of all values, or along a dimension, which then disappears.",
    options: options + [TensorObject.keepOption],
    results: "a number (a tensor of shape [] where gradients are kept); with a dimension a tensor",
    example:
      "print(tensor.randn(2, 3):\(name)(), tensor.randn(2, 3):\(name)(1), tensor.randn(2, 3):\(name)(2, { keep = true }))",
    retries: true
  ) { call in try call.reduce(at: 1, number: number, all: all, along: along) }
}

private func extremePlace(
  _ name: String, _ word: String, _ places: @escaping @Sendable (Tensor, Int) throws -> [Int]
) -> Function {
  Function(
    name, "t:\(name)([dim] [, { keep = }])",
    "The 1-based place of the \(word) value of a vector, the first of equals (of NaN, where there is one); or the places "
      + "along a dimension.",
    options: [TensorObject.keepOption], results: "an integer; with a dimension a tensor",
    example: "print(tensor.from({ 1, 5, 2 }):\(name)(), tensor.randn(2, 3):\(name)(2))", retries: true
  ) { call in
    let tensor = try call.tensor, (dimension, options) = try call.reductionArguments(at: 1, of: tensor)
    let isKept = try options?.boolean("keep") ?? false
    guard dimension != nil || (tensor.rank == 1 && !isKept) else {
      throw call.error("\(shapeText(tensor.shape)) is not a vector; give a dimension, as t:\(name)(2)", kind: .shape)
    }
    let along = dimension ?? 0
    guard tensor.count > 0 else {
      throw call.error("a tensor of shape \(shapeText(tensor.shape)) is empty", kind: .shape)
    }
    let found = try places(tensor, along)
    guard dimension != nil else { return call.push(found[0] + 1) }
    guard tensor.shape[along] <= 1 << 24 else {
      throw call.error("places beyond 2^24 do not fit a tensor of 32-bit floats", kind: .shape)
    }
    var shape = tensor.shape
    if isKept { shape[along] = 1 } else { shape.remove(at: along) }
    return call.push(try Tensor(found.map { Float($0 + 1) }, shape: shape))
  }
}

extension Call {
  /// `[dim] [, { options }]` from argument `index` on.
  fileprivate func reductionArguments(
    at index: Int, of tensor: Tensor
  ) throws -> (dimension: Int?, options: OptionReader?) {
    if isTable(index) {
      if isGiven(index + 1) { throw argument(index + 1).error("options stand last") }
      return (nil, try options(index))
    }
    let dimension = isGiven(index) ? try dimension(index, of: tensor) : nil
    return (dimension, isGiven(index + 1) ? try options(index + 1) : nil)
  }

  /// A reduction of all values, to a number where no gradient is kept and no dimension stays, or along a dimension.
  /// Without `all` the values are one line for `along`; without `number` the number is that of `all`.
  fileprivate func reduce(
    at index: Int, number: ((Tensor) throws -> Double)?, all: ((Variable, OptionReader?) throws -> Variable)?,
    along: (Variable, Int, OptionReader?) throws -> Variable
  ) throws -> Int {
    let object = try tensorObject, tensor = object.tensor
    let (dimension, options) = try reductionArguments(at: index, of: tensor)
    let isKept = try options?.boolean("keep") ?? false
    if let dimension {
      return try push(from: [object]) { variables in
        let result = try along(variables[0], dimension, options)
        return isKept ? try result.reshaped(tensor.keptShape(dimension)) : result
      }
    }
    if let number, !isKept, !object.tracksGradient { return push(try number(tensor)) }
    let result = try TensorObject.computed(from: [object]) { variables in
      let result = try all?(variables[0], options) ?? along(variables[0].flattened(), 0, options)
      return isKept ? try result.reshaped(tensor.shape.map { _ in 1 }) : result
    }
    return isKept || object.tracksGradient ? push(result) : push(result.tensor.pointer[0])
  }
}
