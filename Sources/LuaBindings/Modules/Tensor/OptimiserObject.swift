import Engine

/// `tensor.adam{ ... }`: changes tensors by their gradients.
public final class OptimiserObject: LuaObject {
  private let optimiser: Adam
  private let parameters: [TensorObject]

  init(_ parameters: [TensorObject], _ make: ([Parameter]) throws -> Adam) throws {
    self.parameters = parameters
    optimiser = try make(parameters.map { Parameter(borrowing: $0.tensor) })
  }

  public var summary: String {
    "adam of \(parameters.count) tensors, lr \(shortNumber(optimiser.learningRate)), after \(optimiser.steps) steps"
  }

  /// One update; gradients stay until `zero`. Throws where no parameter has a gradient: nothing would be learnt.
  func step() throws {
    guard parameters.contains(where: { $0.gradient != nil }) else {
      throw EngineError(.argument, "optimiser:step: no parameter has a gradient; call loss:backward() first")
    }
    for (parameter, object) in zip(optimiser.parameters, parameters) { parameter.setGradient(object.gradient) }
    optimiser.step()
  }

  func zero() { for object in parameters { object.gradient = nil } }

  public static let luaType = ObjectType(
    "optimiser", "Changes tensors by their gradients; o:step() after loss:backward(), then o:zero().",
    fields: [
      Field(
        "lr", "number", "The learning rate; may be set, for a schedule.",
        assign: { call in
          let object = try call.argument(1).object(OptimiserObject.self)
          object.optimiser.learningRate = try call.argument(3).number(in: 0...Double.infinity)
          return 0
        }
      ) { call in call.push(try call.this(OptimiserObject.self).optimiser.learningRate) },
      Field("steps", "integer", "Steps done.") { call in call.push(try call.this(OptimiserObject.self).optimiser.steps)
      },
    ],
    methods: [
      Function(
        "step", "o:step()",
        "One update of every parameter that has a gradient, in place. Gradients stay: o:zero() clears them.",
        results: "nothing", example: sample
      ) { call in
        try call.this(OptimiserObject.self).step()
        return 0
      },
      Function("zero", "o:zero()", "Clears the gradients of all parameters.", results: "nothing", example: sample) {
        call in
        try call.this(OptimiserObject.self).zero()
        return 0
      },
    ])

  fileprivate static let sample = """
    local w = tensor.randn(3, { requires_grad = true })
    local o = tensor.adam{ parameters = { w }, lr = 0.1 }
    for i = 1, 20 do
      local loss = ((w - 1) ^ 2):mean()
      loss:backward()
      o:step()
      o:zero()
    end
    """
}

extension Module {
  /// Learning and components.
  static let learningRows: [Function] = [
    Function(
      "adam", "tensor.adam{ parameters =, lr =, betas =, eps =, weight_decay = }",
      "Adam (Kingma and Ba 2015), with weight_decay AdamW (Loshchilov and Hutter 2019), for tensors that have "
        + "requires_grad = true.",
      options: [
        Option("parameters", "tensor, list or table of tensors", .required, "what is learnt"),
        Option("lr", "number", .number(1e-3), "learning rate"),
        Option(
          "betas", "list of two numbers", .computed("{ 0.9, 0.999 }"), "decay of the moments, each from 0 to below 1"),
        Option("eps", "number", .number(1e-8), "added to the root of the second moment"),
        Option("weight_decay", "number", .number(0), "how much of a parameter lr takes off at each step"),
      ],
      results: "optimiser", example: OptimiserObject.sample
    ) { call in
      let options = try call.options(), reader = try options.required("parameters")
      func parameter(_ reader: ArgumentReader) throws -> TensorObject {
        guard reader.isTensor else { throw reader.mismatch("a tensor") }
        let object = try reader.object(TensorObject.self)
        guard object.requiresGradient else {
          throw reader.error("a tensor that is learnt needs requires_grad = true")
        }
        guard object.recipe == nil else { throw reader.error("a tensor computed from others cannot be learnt itself") }
        return object
      }
      var parameters: [TensorObject]
      if reader.isTensor {
        parameters = [try parameter(reader)]
      } else {
        parameters = try reader.list(parameter)
        for name in try reader.fieldNames(allowList: true) {
          guard let entry = reader.field(name) else { continue }
          defer { reader.stack.pop() }
          parameters.append(try parameter(entry))
        }
      }
      guard !parameters.isEmpty else { throw reader.error("there is nothing to learn") }
      guard Set(parameters.map(ObjectIdentifier.init)).count == parameters.count else {
        throw reader.error("a tensor stands twice")
      }
      let betas = try options.optional("betas")?.list { try $0.number(in: 0...1) } ?? [0.9, 0.999]
      guard betas.count == 2, betas.allSatisfy({ $0 < 1 }) else {
        throw try options.required("betas").error("expected two numbers from 0 to below 1")
      }
      let rate = try options.number("lr", in: 0...Double.infinity)
      let epsilon = try options.number("eps", in: 0...Double.infinity)
      let decay = try options.number("weight_decay", in: 0...Double.infinity)
      return call.push(
        try OptimiserObject(parameters) {
          try Adam(
            $0, learningRate: rate, beta1: betas[0], beta2: betas[1], epsilon: epsilon, weightDecay: decay)
        })
    },
    Function(
      "pca", "tensor.pca(x, k)",
      "The first k principal components of rows [n, d], by a singular value decomposition of the centred rows; the largest "
        + "entry of each component is positive.",
      results: "{ components [k, d], mean [d], explained [k] (share of the variance), variance [k] }",
      example:
        "local p = tensor.pca(tensor.randn(50, 8), 2)\nlocal projected = (tensor.randn(5, 8) - p.mean):matmul(p.components:transpose())",
      retries: true
    ) { call in
      let x = try call.argument(1).detachedTensor()
      let found = try x.principalComponents(call.argument(2).integer(in: 1...Int.max))
      return call.push(
        [
          "components": found.components.asLua, "mean": found.mean.asLua, "explained": found.explained.asLua,
          "variance": found.variance.asLua,
        ] as LuaTable)
    },
  ]
}
