/// Which tokens of a sequence an intervention or capture concerns. Absolute positions over prompt and generated tokens,
/// 1-based as in Lua; negative integers count from the end of the prompt (-1 is its last token).
public enum PositionSelector: Equatable, Sendable {
  case all
  case prompt
  case generated
  case last
  case index(Int)
  /// In this order, repeats included.
  case list([Int])
  /// Inclusive, either end open.
  case range(from: Int?, to: Int?)
  /// Every token that covers any part of an occurrence of this text, in the prompt or in what is generated.
  case match(String)
  /// What a function of the prompt's tokens says, sequence by sequence.
  case computed(PositionFunction)
}

/// Positions that follow from a prompt's tokens.
public final class PositionFunction: Equatable, @unchecked Sendable {
  let positions: (_ tokens: [Int]) throws -> PositionSelector

  public init(_ positions: @escaping (_ tokens: [Int]) throws -> PositionSelector) { self.positions = positions }

  public static func == (left: PositionFunction, right: PositionFunction) -> Bool { left === right }
}
