import Engine

extension Module {
  private static let seed = Option(
    "seed", "integer", .computed("the stream"), "draws of their own; without it draws go on from tensor.seed's stream")
  private static let requiresGradient = Option(
    "requires_grad", "boolean", .boolean(false), "t:backward() keeps its gradient in .grad")

  /// Random tensors.
  static let randomRows: [Function] = [
    Function(
      "seed", "tensor.seed([n])",
      "Starts the stream again that random tensors without a seed of their own draw from, at n, 0 unless given: where a "
        + "program starts.", results: "nothing", example: "tensor.seed(7) print(tensor.randn(2))"
    ) { call in
      call.state.randomSeed = try call.optionalArgument(1)?.integer() ?? 0
      call.state.random = RandomGenerator(seed: call.state.randomSeed)
      return 0
    },
    Function(
      "randn", "tensor.randn(n, ..., { seed =, requires_grad = })",
      "Independent standard normal values. Two calls differ; the same seed gives the same values.",
      options: [seed, requiresGradient],
      results: "a tensor", example: "local noise = tensor.randn(4, 576, { seed = 7 })", retries: true
    ) { call in try call.pushRandom { Float($0.normal()) } },
    Function(
      "rand", "tensor.rand(n, ..., { seed =, requires_grad = })",
      "Independent values, uniform from 0 (included) to 1 (left out).", options: [seed, requiresGradient],
      results: "a tensor", example: "local mask = tensor.rand(4, 8):lt(0.1)", retries: true
    ) { call in
      // In steps of 2^-24: rounded to a float, a finer number could become 1.
      try call.pushRandom { Float($0.next() >> 40) * 0x1p-24 }
    },
    Function(
      "randint", "tensor.randint(low, high, n, ..., { seed = })",
      "Independent whole numbers from low (included) to high (left out, as in NumPy and PyTorch).", options: [seed],
      results: "a tensor", example: "local ids = tensor.randint(0, 49152, 16)", retries: true
    ) { call in
      let range = -(1 << 24)...1 << 24
      let low = try call.argument(1).integer(in: range), high = try call.argument(2).integer(in: range)
      guard low < high else { throw call.argument(2).error("expected more than low = \(low), found \(high)") }
      return try call.pushRandom(from: 3) { Float(low + $0.below(high - low)) }
    },
  ]
}

extension Call {
  /// A tensor of the sizes from argument `first` on, each value drawn by `draw`, from the option `seed` or the stream.
  fileprivate func pushRandom(from first: Int = 1, _ draw: (inout RandomGenerator) -> Float) throws -> Int {
    let (shape, options) = try sizesAndOptions(from: first)
    let tensor = try Tensor(uninitialized: shape), target = tensor.mutablePointer
    func fill(_ generator: inout RandomGenerator) {
      for i in 0..<tensor.count { target[i] = draw(&generator) }
    }
    if let seed = try options?.optional("seed")?.integer() {
      var own = RandomGenerator(seed: seed)
      fill(&own)
    } else {
      fill(&state.random)
    }
    let object = TensorObject(tensor)
    if function.row.options.contains(where: { $0.name == "requires_grad" }) {
      object.requiresGradient = try options?.boolean("requires_grad") ?? false
    }
    return push(object)
  }
}
