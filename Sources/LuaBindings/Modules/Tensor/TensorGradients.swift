import Engine

/// How a tensor came from others, for `t:backward()`: the operation is run again on a tape, so that nothing is kept for
/// gradients that nobody asks for.
final class TensorRecipe {
  let inputs: [TensorObject]
  let apply: ([Variable]) throws -> Variable

  init(_ inputs: [TensorObject], _ apply: @escaping ([Variable]) throws -> Variable) {
    (self.inputs, self.apply) = (inputs, apply)
  }
}

extension TensorObject {
  /// Adds d self / d t to the gradient of every tensor t of the computation that requires one.
  func backward() throws {
    guard tracksGradient else {
      throw EngineError(
        .argument, "backward: this tensor does not come from one that requires a gradient (t.requires_grad = true)")
    }
    // Inputs before results; iterative, since loops at the prompt make long chains.
    var order: [TensorObject] = [], seen: Set<ObjectIdentifier> = [], stack: [(TensorObject, Bool)] = [(self, false)]
    while let (object, isReady) = stack.popLast() {
      if isReady {
        order.append(object)
      } else if seen.insert(ObjectIdentifier(object)).inserted {
        stack.append((object, true))
        for input in object.recipe?.inputs ?? [] { stack.append((input, false)) }
      }
    }
    let tape = Tape()
    var variables: [ObjectIdentifier: Variable] = [:], leaves: [(TensorObject, Parameter)] = []
    for object in order {
      if let recipe = object.recipe, object.tracksGradient {
        variables[ObjectIdentifier(object)] = try recipe.apply(
          recipe.inputs.compactMap { variables[ObjectIdentifier($0)] })
      } else if object.requiresGradient {
        let parameter = try Parameter("leaf", object.tensor)
        leaves.append((object, parameter))
        variables[ObjectIdentifier(object)] = tape.parameter(parameter)
      } else {
        variables[ObjectIdentifier(object)] = tape.constant(object.tensor)
      }
    }
    guard let loss = variables[ObjectIdentifier(self)] else { return }
    try tape.backward(from: loss)
    for (object, parameter) in leaves {
      guard let gradient = parameter.gradient else { continue }
      object.gradient = try object.gradient.map { try $0 + gradient } ?? gradient.cloned()
    }
  }

  var tracksGradient: Bool { requiresGradient || recipe != nil }
}

extension Call {
  /// Pushes the result of an operation on tensors; it keeps how it was made where a gradient may be asked for.
  @discardableResult
  func push(
    _ tensor: Tensor, from inputs: [TensorObject], _ apply: @escaping ([Variable]) throws -> Variable
  ) -> Int {
    let object = TensorObject(tensor)
    if inputs.contains(where: \.tracksGradient) { object.recipe = TensorRecipe(inputs, apply) }
    return push(object)
  }

  /// The tensor of an operation that gradients do not pass through: an error where one would be lost without a word.
  func detachedTensor(_ name: String) throws -> Tensor {
    let object = try this(TensorObject.self)
    guard !object.tracksGradient else {
      throw error("gradients do not pass through \(name); take t:detach() first where none is wanted")
    }
    return object.tensor
  }
}

extension TensorObject {
  static let gradientRows: [Function] = [
    Function(
      "backward", "t:backward()",
      "Adds the gradient of this tensor of one element to .grad of every tensor it was computed from that has "
        + "requires_grad = true. Through + - * /, matmul, transpose, reshape, sum, mean and softmax; others refuse.",
      results: "nothing",
      example: """
        local w = tensor.from({ 1, 2 })
        w.requires_grad = true
        local loss = (w * w):sum()
        loss:backward()
        print(w.grad[2])  -- 4
        """
    ) { call in
      try call.this(TensorObject.self).backward()
      return 0
    },
    Function(
      "detach", "t:detach()", "The same values, without where they came from. Shares memory.", results: "a tensor",
      example: "local t = tensor.ones(3):detach()"
    ) { call in call.push(try call.tensor) },
  ]
}
