/// Reverse-mode differentiation: operations on `Variable`s are noted as they run, and `backward` walks the notes from
/// the last to the first. A tape lives for many steps; its memory is used again after each `backward`.
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
  private let workspace = Workspace()

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

  /// Uninitialised memory for a result, taken again from steps before where it can be.
  public func buffer(_ shape: [Int]) throws -> Tensor { try workspace.tensor(shape) }

  /// Adds d loss / d parameter to the gradient of every parameter that `loss`, a tensor of one element, was computed
  /// from, and ends the recording. Throws `.shape` when `loss` is not one number.
  public func backward(from loss: Variable) throws {
    try check(loss)
    guard loss.value.count == 1 else {
      throw EngineError(
        .shape, "backward: starts from one number, not from shape \(shapeText(loss.value.shape)); take a mean or a sum")
    }
    guard let last = loss.node else { return reset() }
    defer { reset() }
    let one = try buffer(loss.value.shape)
    one.mutablePointer[0] = 1
    var gradients = try Gradients(count: nodes.count, workspace: workspace)
    gradients.start(at: last, with: one)
    for place in stride(from: last, through: 0, by: -1) {
      guard let upstream = gradients.take(place) else { continue }
      if let parameter = nodes[place].parameter {
        try gradients.settle(upstream, in: parameter)
      } else if let pullback = nodes[place].pullback {
        gradients.enter(upstream: upstream, inputs: nodes[place].inputs)
        try pullback(&gradients)
        // What the operation kept for this moment is free for the next.
        nodes[place].pullback = nil
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
}
