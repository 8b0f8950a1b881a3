import Foundation

extension JSONValue {
  /// The value as one line of JSON. NaN and infinities, which JSON lacks, become strings.
  public var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .number(let value):
      value.isFinite ? "\(value)" : "\"\(value.isNaN ? "nan" : value > 0 ? "inf" : "-inf")\""
    case .string(let value): jsonQuoted(value)
    case .array(let list): "[" + list.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      "{" + members.map { jsonQuoted($0.key) + ": " + $0.value.text }.joined(separator: ", ") + "}"
    }
  }
}
