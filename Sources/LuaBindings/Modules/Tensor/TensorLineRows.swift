import Engine

extension TensorObject {
  /// What works on each line of a dimension and keeps it.
  static let lineRows: [Function] = [
    Function(
      "softmax", "t:softmax([dim])", "exp(x) / sum exp(x) along a dimension, the last unless given.",
      results: "a tensor", example: "local p = tensor.randn(2, 5):softmax(2)", retries: true
    ) { call in
      let dimension = try call.lineDimension(1, of: call.tensor)
      return try call.push(from: [call.tensorObject]) { try $0[0].softmax(dimension: dimension) }
    },
    Function(
      "log_softmax", "t:log_softmax([dim])", "x - log sum exp(x) along a dimension, the last unless given.",
      results: "a tensor", example: "local logp = tensor.randn(2, 5):log_softmax()", retries: true
    ) { call in
      let dimension = try call.lineDimension(1, of: call.tensor)
      return try call.push(from: [call.tensorObject]) { try $0[0].logSoftmax(dimension: dimension) }
    },
    Function(
      "cumsum", "t:cumsum([dim])", "Running sums along a dimension, the last unless given.", results: "a tensor",
      example: "print(tensor.ones(3):cumsum())", retries: true
    ) { call in
      let dimension = try call.lineDimension(1, of: call.tensor)
      return try call.push(from: [call.tensorObject]) { try $0[0].cumulativeSum(dimension: dimension) }
    },
    Function(
      "sort", "t:sort([dim] [, { descending = }])",
      "The values of each line of a dimension, the last unless given, in rising order (NaN last), and the 1-based places "
        + "they came from; equal values keep their order.",
      options: [Option("descending", "boolean", .boolean(false), "falling order, NaN first")],
      results: "a tensor of values and a tensor of places, both of the same shape",
      example: "local values, places = tensor.from({ 3, 9, 4 }):sort(1, { descending = true })", retries: true
    ) { call in
      let object = try call.tensorObject, hasOptions = call.isTable(1)
      if hasOptions, call.isGiven(2) { throw call.argument(2).error("options stand last") }
      let dimension =
        hasOptions ? max(0, object.tensor.rank - 1) : try call.lineDimension(1, of: object.tensor)
      guard object.tensor.rank > 0 else { throw call.error("a tensor of shape [] has no dimension", kind: .shape) }
      let isFalling = try call.options(hasOptions ? 1 : 2).boolean("descending")
      guard object.tensor.shape[dimension] <= 1 << 24 else {
        throw call.error("places beyond 2^24 do not fit a tensor of 32-bit floats", kind: .shape)
      }
      var places: Tensor?
      let values = try TensorObject.computed(from: [object]) { variables in
        let result = try variables[0].sorted(dimension: dimension, descending: isFalling)
        places = result.places
        return result.values
      }
      return call.push(values.asLua, try places.map { try ($0 + 1).asLua })
    },
    Function(
      "topk", "t:topk(k)", "The k largest values of the last dimension, largest first, and their 1-based places.",
      results: "a tensor of values and a list of places (of lists, for a matrix)",
      example: "local values, places = tensor.from({ 3, 9, 4 }):topk(2)", retries: true
    ) { call in
      let object = try call.tensorObject, tensor = object.tensor
      let k = try call.argument(1).integer(in: 1...max(1, tensor.lastDimension))
      let indices = try tensor.topk(k).indices, width = tensor.lastDimension
      let values = try TensorObject.computed(from: [object]) {
        try $0[0].picked(indices.enumerated().map { $0 / k * width + $1 }, shape: tensor.shape.dropLast() + [k])
      }
      let places = indices.map { $0 + 1 }
      if tensor.rank == 1 { return call.push(values.asLua, places) }
      return call.push(values.asLua, stride(from: 0, to: places.count, by: k).map { Array(places[$0..<($0 + k)]) })
    },
  ]
}
