/// Reverse-mode differentiation: operations on `Variable`s are noted as they run, and `backward` walks the notes from
/// the last to the first. A tape lives for many steps.
///
/// ```swift
/// let weight = try Parameter("weight", initial), tape = Tape()
/// for (x, y) in batches {
///   let loss = try tape.constant(x).linear(tape.parameter(weight)).meanSquaredError(tape.constant(y))
///   try tape.backward(from: loss)
///   try optimiser.step()
/// }
/// ```
public final class Tape {
  /// What `backward` runs for one operation: reads the gradient of its result, adds to those of its inputs.
  public typealias Pullback = (inout Gradients) throws -> Void

  private struct Node {
    let inputs: [Int]
    let parameter: Parameter?
    var pullback: Pullback?
  }

  private var nodes: [Node] = []
  /// Number of the recording under way; a variable of an earlier one is refused.
  private var recording = 0

  public init() {}

  /// A value that no gradient is wanted for.
  public func constant(_ value: Tensor) -> Variable {
    Variable(value: value, tape: self, recording: recording, node: nil)
  }

  /// The parameter's present value; `backward` adds to its gradient.
  public func parameter(_ parameter: Parameter) -> Variable {
    nodes.append(Node(inputs: [], parameter: parameter, pullback: nil))
    return Variable(value: parameter.value, tape: self, recording: recording, node: nodes.count - 1)
  }

  /// Notes an operation: `value` computed from `inputs`, and how gradients pass back through it. `pullback` should keep
  /// tensors only, not variables; inputs are named by their place in `inputs`.
  /// Nothing is noted where no input leads to a parameter. Throws `.argument` for variables of another tape or of a
  /// recording that `backward` has ended.
  public func record(_ value: Tensor, inputs: [Variable], pullback: @escaping Pullback) throws -> Variable {
    for input in inputs { try check(input) }
    guard inputs.contains(where: { $0.node != nil }) else { return constant(value) }
    nodes.append(Node(inputs: inputs.map { $0.node ?? -1 }, parameter: nil, pullback: pullback))
    return Variable(value: value, tape: self, recording: recording, node: nodes.count - 1)
  }

  /// Adds d loss / d parameter to the gradient of every parameter that `loss`, a tensor of one element, was computed
  /// from, and ends the recording. Throws `.shape` when `loss` is not one number.
  public func backward(from loss: Variable) throws {
    try check(loss)
    guard loss.value.count == 1 else {
      throw EngineError(
        .shape, "backward: starts from one number, not from shape \(shapeText(loss.value.shape)); take a mean or a sum")
    }
    defer { reset() }
    try pullBack(Tensor(repeating: 1, shape: loss.value.shape), from: loss, keeping: false)
  }

  /// Adds `upstream`, the gradient of `result` and of its shape, times d result / d parameter to the gradient of every
  /// parameter that `result` was computed from. What was recorded stays unless `keeping` is false.
  public func pullBack(_ upstream: Tensor, from result: Variable, keeping: Bool = true) throws {
    guard let last = result.node else { return }
    var gradients = try Gradients(count: last + 1)
    gradients.start(at: last, with: upstream)
    for place in stride(from: last, through: 0, by: -1) {
      guard let upstream = gradients.take(place) else { continue }
      if let parameter = nodes[place].parameter {
        try gradients.settle(upstream, in: parameter)
      } else if let pullback = nodes[place].pullback {
        gradients.enter(upstream: upstream, inputs: nodes[place].inputs)
        try pullback(&gradients)
        // What the operation kept for this moment is free for the next.
        if !keeping { nodes[place].pullback = nil }
      }
    }
  }

  /// Forgets what was recorded, without gradients.
  public func reset() {
    nodes.removeAll(keepingCapacity: true)
    recording += 1
  }

  private func check(_ variable: Variable) throws {
    guard variable.tape === self, variable.recording == recording else {
      throw EngineError(
        .argument,
        "gradients: a value of shape \(shapeText(variable.value.shape)) belongs to another tape, or to a "
          + "recording that backward has ended")
    }
  }
}

/// A value on a tape: a tensor, and the place of the operation that made it.
public struct Variable {
  public let value: Tensor
  public let tape: Tape
  let recording: Int
  /// nil where no parameter stands behind the value.
  let node: Int?

  public var shape: [Int] { value.shape }
  /// Whether a parameter stands behind the value.
  public var isTracked: Bool { node != nil }
}
