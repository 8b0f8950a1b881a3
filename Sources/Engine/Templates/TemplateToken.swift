/// A token of template source, with its line from 1.
struct TemplateToken: Sendable {
  enum Kind: Sendable, Equatable {
    /// Text outside tags.
    case data([UInt8])
    case variableBegin, variableEnd, blockBegin, blockEnd
    case name(String)
    case string([UInt8])
    case integer(Int)
    case float(Double)
    case symbol(String)
    case end

    /// As messages name it.
    var text: String {
      switch self {
      case .data: "template text"
      case .variableBegin: "'{{'"
      case .variableEnd: "'}}'"
      case .blockBegin: "'{%'"
      case .blockEnd: "'%}'"
      case .name(let name): "'\(name)'"
      case .string: "a string"
      case .integer(let value): "\(value)"
      case .float(let value): "\(value)"
      case .symbol(let symbol): "'\(symbol)'"
      case .end: "the end of the template"
      }
    }
  }

  let kind: Kind
  let line: Int
}

/// A template that cannot be read, with the line.
func templateSyntaxError(_ message: String, line: Int) -> EngineError {
  EngineError(.template, "chat template, line \(line): \(message)")
}
