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

  public func clearGradient() { gradient = nil }
}
