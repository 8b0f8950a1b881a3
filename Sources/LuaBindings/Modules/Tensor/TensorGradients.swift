import Engine

/// How a tensor came from others, for `t:backward()`: the operation as it was noted on a tape of its own.
final class TensorRecipe {
  fileprivate var inputs: [TensorObject]
  private let tape: Tape
  private let result: Variable
  /// One for each input; nil where no gradient is wanted.
  private let leaves: [Parameter?]
  /// How often the memory of inputs and result had been changed in place.
  private let versions: [Int]

  fileprivate init(
    _ inputs: [TensorObject], tape: Tape, leaves: [Parameter?], result: Variable
  ) {
    (self.inputs, self.tape, self.leaves, self.result) = (inputs, tape, leaves, result)
    versions = TensorRecipe.versions(inputs, result)
  }

  private static func versions(_ inputs: [TensorObject], _ result: Variable) -> [Int] {
    inputs.map(\.tensor.storage.version) + [result.value.storage.version]
  }

  /// The gradients of the inputs that want one, given that of the result.
  fileprivate func gradients(_ upstream: Tensor) throws -> [(TensorObject, Tensor)] {
    guard TensorRecipe.versions(inputs, result) == versions else {
      let shapes = inputs.map { shapeText($0.tensor.shape) }.joined(separator: ", ")
      throw EngineError(
        .argument,
        "backward: a tensor that was used (\(shapes)) was changed in place afterwards, by an assignment or a step of an "
          + "optimiser, so that its gradient would be wrong; compute the loss again")
    }
    try tape.pullBack(upstream, from: result)
    return zip(inputs, leaves).compactMap { input, leaf in
      guard let leaf, let gradient = leaf.takeGradient() else { return nil }
      return (input, gradient)
    }
  }
}

extension TensorObject {
  /// The result of an operation; it keeps how it was made where a gradient may be asked for.
  static func computed(
    from inputs: [TensorObject], _ operation: ([Variable]) throws -> Variable
  ) throws -> TensorObject {
    let tape = Tape()
    let leaves = inputs.map { $0.tracksGradient ? Parameter(borrowing: $0.tensor) : nil }
    let result = try operation(zip(inputs, leaves).map { $1.map(tape.parameter) ?? tape.constant($0.tensor) })
    let object = TensorObject(result.value)
    if result.isTracked {
      object.recipe = TensorRecipe(inputs, tape: tape, leaves: leaves, result: result)
    }
    return object
  }

  /// Adds d self / d t to the gradient of every tensor t of the computation that requires one.
  func backward() throws {
    guard tracksGradient else {
      throw EngineError(
        .argument, "backward: this tensor does not come from one that requires a gradient (t.requires_grad = true)")
    }
    guard tensor.count == 1 else {
      throw EngineError(
        .shape, "backward: starts from one number, not from shape \(shapeText(tensor.shape)); take a mean or a sum")
    }
    // Inputs before results; iterative, since loops at the prompt make long chains.
    var order: [TensorObject] = [], seen: Set<ObjectIdentifier> = [], stack: [(TensorObject, Bool)] = [(self, false)]
    while let (object, isReady) = stack.popLast() {
      if isReady {
        order.append(object)
      } else if seen.insert(ObjectIdentifier(object)).inserted {
        stack.append((object, true))
        for input in object.recipe?.inputs ?? [] where input.tracksGradient { stack.append((input, false)) }
      }
    }
    var gradients = [ObjectIdentifier(self): try Tensor(repeating: 1, shape: tensor.shape)]
    var finished: [(TensorObject, Tensor)] = []
    while let object = order.popLast() {
      try Interrupt.check()
      guard let gradient = gradients.removeValue(forKey: ObjectIdentifier(object)) else { continue }
      if object.requiresGradient { finished.append((object, gradient)) }
      for (input, part) in try object.recipe?.gradients(gradient) ?? [] {
        let key = ObjectIdentifier(input)
        gradients[key] = try gradients[key].map { try $0 + part } ?? part
      }
    }
    // Only when all of it has worked: an error leaves every gradient as it was.
    let sums = try finished.map { object, gradient in
      try object.gradient.map { try $0 + gradient } ?? gradient.cloned()
    }
    for ((object, _), sum) in zip(finished, sums) { object.gradient = sum }
  }

  var tracksGradient: Bool { requiresGradient || recipe != nil }

  /// Lets go of how this was computed, one step after another: released by themselves the recipes of a long chain would
  /// nest as deep as the chain is long.
  func releaseRecipe() {
    var pending: [TensorRecipe] = []
    if let own = recipe { pending.append(own) }
    recipe = nil
    while let next = pending.popLast() {
      var inputs = next.inputs
      next.inputs = []
      while var input = inputs.popLast() {
        guard isKnownUniquelyReferenced(&input), let recipe = input.recipe else { continue }
        input.recipe = nil
        pending.append(recipe)
      }
    }
  }
}

extension Call {
  /// Pushes the result of an operation on tensors; it keeps how it was made where a gradient may be asked for.
  @discardableResult
  func push(from inputs: [TensorObject], _ operation: ([Variable]) throws -> Variable) throws -> Int {
    push(try TensorObject.computed(from: inputs, operation))
  }

  /// The tensor of an operation that gradients do not pass through: an error where one would be lost without a word.
  func detachedTensor(_ name: String) throws -> Tensor {
    try this(TensorObject.self).detached(for: error)
  }

  /// The object a method of tensors belongs to.
  var tensorObject: TensorObject {
    get throws { try this(TensorObject.self) }
  }
}

extension TensorObject {
  /// The tensor where no gradient is kept, else an error of the caller's.
  fileprivate func detached(for error: (String, EngineError.Kind) -> LuaError) throws -> Tensor {
    guard !tracksGradient else {
      throw error("gradients do not pass through here; take t:detach() first where none is wanted", .argument)
    }
    return tensor
  }
}

extension ArgumentReader {
  /// A tensor argument of something that gradients do not pass through: an error where one would be lost.
  func detachedTensor() throws -> Tensor { try object(TensorObject.self).detached { error($0, kind: $1) } }

  /// A tensor that is kept: a copy, since a script may change its own in place afterwards.
  func keptTensor() throws -> Tensor { try tensor().cloned() }

  /// A tensor, or a number as a tensor of shape [].
  func tensorOrNumber() throws -> TensorObject {
    if isNumber { return TensorObject(try Tensor([Float(try number(finite: false))], shape: [])) }
    guard isTensor else { throw mismatch("a tensor or a number") }
    return try object(TensorObject.self)
  }
}

extension TensorObject {
  static let gradientRows: [Function] = [
    Function(
      "backward", "t:backward()",
      "Adds the gradient of this tensor of one element to .grad of every tensor it was computed from that has "
        + "requires_grad = true. Operations that have no gradient refuse tensors that want one; comparisons and places "
        + "(argmax, the second result of sort and topk) count as constants.",
      results: "nothing",
      example: """
        local w = tensor.from({ 1, 2 })
        w.requires_grad = true
        local loss = (w * w):sum()
        loss:backward()
        print(w.grad[2])  -- 4
        """
    ) { call in
      try call.tensorObject.backward()
      return 0
    },
    Function(
      "detach", "t:detach()", "The same values, without where they came from. Shares memory.", results: "a tensor",
      example: "local t = tensor.ones(3):detach()"
    ) { call in call.push(try call.tensor) },
  ]
}
