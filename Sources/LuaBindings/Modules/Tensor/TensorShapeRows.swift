import Engine

extension TensorObject {
  /// The same values in other shapes.
  static let shapeRows: [Function] = [
    Function(
      "transpose", "t:transpose([i, j])",
      "Exchanges dimensions i and j; without them the dimensions come in reverse order: rows become columns.",
      results: "a tensor", example: "local columns = tensor.zeros(2, 3):transpose()", retries: true
    ) { call in
      let object = try call.tensorObject
      guard call.isGiven(1) || call.isGiven(2) else { return try call.push(from: [object]) { try $0[0].transposed() } }
      let i = try call.dimension(1, of: object.tensor), j = try call.dimension(2, of: object.tensor)
      var order = Array(0..<object.tensor.rank)
      order.swapAt(i, j)
      return try call.push(from: [object]) { try $0[0].permuted(order) }
    },
    Function(
      "permute", "t:permute(i, j, ...)",
      "The dimensions in the order given, all of them: size k of the result is that of the k-th dimension named.",
      results: "a tensor", example: "local heads_first = tensor.zeros(5, 4, 8):permute(2, 1, 3)", retries: true
    ) { call in
      let object = try call.tensorObject, tensor = object.tensor
      if call.isTable(1), call.argumentCount > 1 { throw call.argument(2).error("the order is one list or arguments") }
      let order =
        call.isTable(1)
        ? try call.argument(1).list { try $0.dimension(of: tensor) }
        : try (0..<call.argumentCount).map { try call.dimension($0 + 1, of: tensor) }
      guard order.count == tensor.rank, Set(order).count == tensor.rank else {
        throw call.error(
          "\(shapeText(order.map { $0 + 1 })) is not an order of the \(tensor.rank) dimensions of "
            + "\(shapeText(tensor.shape)); name each once", kind: .shape)
      }
      return try call.push(from: [object]) { try $0[0].permuted(order) }
    },
    Function(
      "reshape", "t:reshape(n, ...)", "The same values in other sizes; one may be -1, the rest. Shares memory.",
      results: "a tensor", example: "local t = tensor.zeros(6):reshape(2, -1)"
    ) { call in
      let sizes = try call.sizes(allowFree: true)
      return try call.push(from: [call.tensorObject]) { try $0[0].reshaped(sizes) }
    },
  ]

  /// Parts: entries, rows, slices.
  static let partRows: [Function] = [
    Function(
      "rows", "t:rows([from] [, to])",
      "Rows from .. to of the first dimension, inclusive, memory shared; or, for a list (or tensor) of places, those "
        + "rows in that order, copied, repeats allowed.",
      results: "a tensor",
      example: "local middle = tensor.randn(5, 2):rows(2, -2)\nlocal two = tensor.randn(5, 2):rows{ 3, 1 }"
    ) { call in
      let object = try call.tensorObject, tensor = object.tensor
      guard let size = tensor.shape.first else { throw call.error("a tensor of shape [] has no rows", kind: .shape) }
      if call.isTable(1) || call.argument(1).isTensor {
        try call.limitArguments(1)
        let places = try call.argument(1).places(among: size)
        return try call.push(from: [object]) { try $0[0].gathered(dimension: 0, places) }
      }
      let range = try call.range(from: 1, to: 2, size: size, of: tensor)
      return try call.push(from: [object]) { try $0[0].rows(range) }
    },
    Function(
      "select", "t:select(dim, i)", "Entry i of a dimension, which disappears.", results: "a tensor",
      example: "local first_head = tensor.zeros(5, 4, 8):select(2, 1)", retries: true
    ) { call in
      let object = try call.tensorObject, dimension = try call.dimension(1, of: object.tensor)
      let place = try call.argument(2).place(among: object.tensor.shape[dimension])
      return try call.push(from: [object]) { variables in
        let part = try variables[0].sliced(dimension: dimension, place..<place + 1)
        var shape = part.shape
        shape.remove(at: dimension)
        return try part.reshaped(shape)
      }
    },
    Function(
      "slice", "t:slice(dim, from [, to])",
      "Entries from .. to of a dimension, inclusive, to the end unless given.", results: "a tensor",
      example: "local columns = tensor.zeros(3, 6):slice(2, 2, -2)", retries: true
    ) { call in
      let object = try call.tensorObject, dimension = try call.dimension(1, of: object.tensor)
      let range = try call.range(from: 2, to: 3, size: object.tensor.shape[dimension], of: object.tensor)
      return try call.push(from: [object]) { try $0[0].sliced(dimension: dimension, range) }
    },
    Function(
      "pick", "t:pick(places [, { ids = }])",
      "One value of each row of the last dimension: places is a list or tensor of as many places as there are rows. "
        + "Places count from 1; ids = true says that they are token ids, which count from 0.",
      options: [Option("ids", "boolean", .boolean(false), "the places are token ids, from 0")],
      results: "a tensor, the last dimension gone",
      example: "local logp = tensor.randn(3, 10):log_softmax(2):pick{ 4, 1, 10 }", retries: true
    ) { call in
      let object = try call.tensorObject, tensor = object.tensor, reader = call.argument(1)
      guard tensor.rank > 0 else { throw call.error("a tensor of shape [] has no rows", kind: .shape) }
      let places: [Int]
      if try call.options(2).boolean("ids") {
        let ids = reader.isTensor ? try reader.tensor().values.map(Double.init) : try reader.list { try $0.number() }
        places = try ids.map { value in
          guard let id = Int(exactly: value), (0..<tensor.lastDimension).contains(id) else {
            throw reader.error("id \(shortNumber(value)) is not from 0 to \(tensor.lastDimension - 1)", kind: .token)
          }
          return id
        }
      } else if reader.isNumber {
        places = [try reader.place(among: tensor.lastDimension)]
      } else {
        places = try reader.places(among: tensor.lastDimension)
      }
      return try call.push(from: [object]) { try $0[0].picked(places) }
    },
    Function(
      "diagonal", "t:diagonal([offset])",
      "Entries (i, i + offset) of the last two dimensions, as a new last one; offset 0 unless given, negative below the "
        + "diagonal.", results: "a tensor",
      example: "local trace = tensor.ones(3, 3):diagonal():sum()", retries: true
    ) { call in
      let offset = try call.optionalArgument(1)?.integer() ?? 0
      return try call.push(from: [call.tensorObject]) { try $0[0].diagonal(offset: offset) }
    },
    Function(
      "keep_topk", "t:keep_topk(k)",
      "The k largest values of each row of the last dimension where they stand, 0 elsewhere: the activation of a top-k "
        + "autoencoder.", results: "a tensor",
      example: "local sparse = tensor.randn(4, 100):relu():keep_topk(8)", retries: true
    ) { call in
      let k = try call.argument(1).integer(in: 1...max(1, call.tensor.lastDimension))
      return try call.push(from: [call.tensorObject]) { try $0[0].keepingLargest(k) }
    },
  ]
}

extension Call {
  /// 1-based, inclusive ends in arguments `first` and `last`, negative from the end, as a 0-based range; the whole
  /// where they are absent, empty where `to` is `from - 1`.
  fileprivate func range(from first: Int, to last: Int, size: Int, of tensor: Tensor) throws -> Range<Int> {
    func place(_ index: Int, _ fallback: Int) throws -> Int {
      guard let value = try optionalArgument(index)?.integer() else { return fallback }
      return value < 0 ? size &+ value &+ 1 : value
    }
    let from = try place(first, 1), to = try place(last, size)
    guard from >= 1, to <= size, to >= 0, from <= to + 1 else {
      throw error("entries \(from) to \(to) are not in a tensor of shape \(shapeText(tensor.shape))", kind: .shape)
    }
    return (from - 1)..<to
  }
}
