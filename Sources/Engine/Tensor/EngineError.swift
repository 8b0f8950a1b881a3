/// An error the engine throws on bad input: a file, a shape, a name. It says what was asked, what was found and what to
/// do.
///
/// ```swift
/// throw EngineError(.shape, "matmul: columns of the left operand (576) differ from rows of the right one (640)")
/// ```
public struct EngineError: Error, CustomStringConvertible, Sendable {
  public enum Kind: String, Sendable {
    case argument, shape, site, layer, position, token, file, template, memory, numeric, interrupted, missing
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message.printable  // it may repeat what a file, a template or a model says
  }

  public var description: String { message }
}
