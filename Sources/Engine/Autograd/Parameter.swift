/// A tensor that is learnt: what gradients are kept for and what an optimiser changes in place.
public final class Parameter {
  public let name: String
  /// Storage of its own; an optimiser writes to it, so a copy that must last is `value.cloned()`.
  public let value: Tensor
  /// Sum over all backward passes since it was last cleared, of the shape of `value`.
  public internal(set) var gradient: Tensor?

  /// Copies `value`.
  public init(_ name: String, _ value: Tensor) throws {
    self.name = name
    self.value = try value.cloned()
  }

  /// Takes `value` as it is: nobody else may hold it.
  init(_ name: String, owning value: Tensor) {
    self.name = name
    self.value = value
  }

  /// Stands for a value that others hold too: gradients are kept for it. An optimiser changes it for all of them.
  public init(borrowing value: Tensor) {
    name = ""
    self.value = value
  }

  public func clearGradient() { gradient = nil }

  /// Sets the gradient, of the shape of the value.
  public func setGradient(_ gradient: Tensor?) { self.gradient = gradient }

  /// The gradient, which is then cleared.
  public func takeGradient() -> Tensor? {
    defer { gradient = nil }
    return gradient
  }
}
