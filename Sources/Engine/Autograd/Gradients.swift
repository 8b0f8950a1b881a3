/// Gradients under way through a tape, as an operation's pullback sees them.
public struct Gradients {
  private struct Entry {
    var tensor: Tensor
    /// Whether the memory is this entry's alone, so that more can be added in place.
    var owned: Bool
  }

  private var entries: [Entry?]
  private var inputs: [Int] = []
  /// Gradient of the operation's result.
  public private(set) var upstream: Tensor

  init(count: Int) throws {
    entries = Array(repeating: nil, count: count)
    upstream = Tensor(storage: try TensorStorage(count: 0), offset: 0, shape: [0])
  }

  /// Whether input number `input` of the operation leads to a parameter; work for one that does not can be left out.
  public func isWanted(_ input: Int) -> Bool { inputs[input] >= 0 }

  /// Uninitialised memory for an intermediate result.
  public func buffer(_ shape: [Int]) throws -> Tensor { try Tensor(uninitialized: shape) }

  /// Adds `gradient`, of the input's shape, to that of input number `input`. The tensor is kept and never written to.
  public mutating func add(_ gradient: Tensor, to input: Int) throws {
    let place = inputs[input]
    guard place >= 0 else { return }
    if entries[place] == nil {
      entries[place] = Entry(tensor: gradient, owned: false)
    } else {
      try accumulate(into: input, shape: gradient.shape) { target, _ in
        let source = gradient.pointer
        parallelRanges(gradient.count, minimum: Broadcast.grain) { range in
          for i in range { target[i] += source[i] }
        }
      }
    }
  }

  /// Lets `body(target, beta)` write `beta * target + gradient` into the gradient of input number `input`, of `shape`:
  /// beta is 0 (the memory holds nothing) or 1, as BLAS takes it.
  public mutating func accumulate(
    into input: Int, shape: [Int], _ body: (UnsafeMutablePointer<Float>, Float) throws -> Void
  ) throws {
    let place = inputs[input]
    guard place >= 0 else { return }
    if let entry = entries[place] {
      precondition(entry.tensor.shape == shape, "gradients of one value differ in shape")
      if !entry.owned {
        let copy = try Tensor(uninitialized: shape)
        copy.mutablePointer.update(from: entry.tensor.pointer, count: copy.count)
        entries[place] = Entry(tensor: copy, owned: true)
      }
      try body(entries[place]!.tensor.mutablePointer, 1)
    } else {
      let fresh = try Tensor(uninitialized: shape)
      try body(fresh.mutablePointer, 0)
      entries[place] = Entry(tensor: fresh, owned: true)
    }
  }

  mutating func start(at place: Int, with gradient: Tensor) { entries[place] = Entry(tensor: gradient, owned: false) }

  mutating func take(_ place: Int) -> Tensor? {
    defer { entries[place] = nil }
    return entries[place]?.tensor
  }

  mutating func enter(upstream: Tensor, inputs: [Int]) {
    self.upstream = upstream
    self.inputs = inputs
  }

  /// Adds a finished gradient to the parameter's.
  func settle(_ gradient: Tensor, in parameter: Parameter) throws {
    guard let before = parameter.gradient else {
      parameter.gradient = gradient
      return
    }
    let sum = try Tensor(uninitialized: gradient.shape)
    let target = sum.mutablePointer, a = before.pointer, b = gradient.pointer
    parallelRanges(sum.count, minimum: Broadcast.grain) { range in
      for i in range { target[i] = a[i] + b[i] }
    }
    parameter.gradient = sum
  }
}
