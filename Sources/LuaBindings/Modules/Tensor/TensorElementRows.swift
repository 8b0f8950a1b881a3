import Engine

private func element(
  _ name: String, _ summary: String, _ function: ElementFunction, sample: String = "tensor.randn(3)"
) -> Function {
  Function(
    name, "t:\(name)()", summary, results: "a tensor", example: "local y = \(sample):\(name)()", retries: true
  ) { call in try call.push(from: [call.tensorObject]) { try $0[0].applying(function) } }
}

private func comparison(_ name: String, _ words: String, _ function: PairFunction) -> Function {
  Function(
    name, "t:\(name)(u)",
    "1 where t is \(words) u, a tensor or a number, else 0; shapes broadcast. With NaN only ne holds. No gradient passes.",
    results: "a tensor of ones and zeros", example: "local mask = tensor.randn(2, 3):\(name)(0)", retries: true
  ) { call in call.push(try .pairs(function, call.tensor, call.argument(1).tensorOrNumber().tensor)) }
}

/// `x ^ p` where either side may be a number.
func power(_ call: Call, _ base: ArgumentReader, _ exponent: ArgumentReader) throws -> Int {
  if exponent.isNumber {
    let p = Float(try exponent.number(finite: false))
    return try call.push(from: [base.object(TensorObject.self)]) { try $0[0].applying(.power(p)) }
  }
  if base.isNumber {
    let a = Float(try base.number(finite: false))
    return try call.push(from: [exponent.object(TensorObject.self)]) { try $0[0].applying(.exponent(base: a)) }
  }
  return try call.push(from: [base.tensorOrNumber(), exponent.tensorOrNumber()]) { try $0[0].power($0[1]) }
}

extension TensorObject {
  /// Functions of each element, with gradients.
  static let elementRows: [Function] = [
    element("relu", "max(x, 0); its slope at 0 is 0.", .relu),
    Function(
      "gelu", "t:gelu([{ approximate = }])",
      "x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016). approximate = \"tanh\" is the form that GPT-2 "
        + "and Gemma use.",
      options: [
        Option(
          "approximate", "string", .string("none"), "exact, or by a formula with tanh", choices: ["none", "tanh"])
      ],
      results: "a tensor", example: "local y = tensor.randn(3):gelu()", retries: true
    ) { call in
      let isExact = try call.options(1).choice("approximate") == "none"
      return try call.push(from: [call.tensorObject]) { try $0[0].applying(isExact ? .gelu : .geluTanh) }
    },
    element("exp", "e^x.", .exp),
    element("log", "The natural logarithm; NaN below 0, -inf at 0.", .log, sample: "tensor.rand(3)"),
    element("sqrt", "The square root; NaN below 0.", .sqrt, sample: "tensor.rand(3)"),
    element("abs", "|x|; its slope at 0 is 0.", .abs),
    element("sigmoid", "1 / (1 + e^-x).", .sigmoid),
    element("tanh", "The hyperbolic tangent.", .tanh),
    Function(
      "clamp", "t:clamp{ min =, max = }",
      "Values kept between bounds, of which one may be absent. The gradient passes between them and at them.",
      options: [
        Option("min", "number", .none, "smallest value"), Option("max", "number", .none, "largest value"),
      ],
      results: "a tensor", example: "local y = tensor.randn(3):clamp{ min = -1, max = 1 }", retries: true
    ) { call in
      let options = try call.options()
      let low = try options.optional("min")?.number(in: -Double.infinity...Double.infinity, finite: false)
      let high = try options.optional("max")?.number(in: -Double.infinity...Double.infinity, finite: false)
      guard low != nil || high != nil else { throw call.error("one of the options 'min', 'max' is needed") }
      if let low, let high, low > high {
        throw call.error("min = \(shortNumber(low)) is above max = \(shortNumber(high))")
      }
      let bounds = (Float(low ?? -.infinity), Float(high ?? .infinity))
      return try call.push(from: [call.tensorObject]) { try $0[0].applying(.clamp(bounds.0, bounds.1)) }
    },
    Function(
      "pow", "t:pow(p)", "Each element to the power p, a number or a tensor that broadcasts; also written t ^ p.",
      results: "a tensor", example: "local squares = tensor.randn(3):pow(2)", retries: true
    ) { call in try power(call, ArgumentReader(stack: call.stack, index: 1) { call.name }, call.argument(1)) },
  ]

  /// Comparisons.
  static let comparisonRows: [Function] = [
    comparison("gt", "greater than", .greater),
    comparison("lt", "less than", .less),
    comparison("ge", "at least", .greaterOrEqual),
    comparison("le", "at most", .lessOrEqual),
    comparison("eq", "equal to", .equal),
    comparison("ne", "other than", .notEqual),
    Function(
      "allclose", "t:allclose(u [, { atol =, rtol = }])", "Whether |t - u| <= atol + rtol |u| everywhere.",
      options: [
        Option("atol", "number", .number(1e-8), "Absolute tolerance."),
        Option("rtol", "number", .number(1e-5), "Relative tolerance."),
      ], results: "a boolean", example: "assert(tensor.ones(3):allclose(tensor.ones(3) * 1.000001, { rtol = 1e-4 }))"
    ) { call in
      let options = try call.options(2)
      let atol = try options.number("atol", in: 0...Double.infinity)
      let rtol = try options.number("rtol", in: 0...Double.infinity)
      return call.push(try call.tensor.allClose(call.argument(1).tensor(), atol: atol, rtol: rtol))
    },
  ]
}
