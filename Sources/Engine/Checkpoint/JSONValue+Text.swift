import Foundation

extension JSONValue {
  /// The value as one line of JSON. NaN and infinities, which JSON lacks, are written as Python writes and reads them:
  /// `NaN`, `Infinity`, `-Infinity`.
  public var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .number(let value):
      value.isFinite ? "\(value)" : value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity"
    case .string(let value): jsonQuoted(value)
    case .array(let list): "[" + list.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      "{" + members.map { jsonQuoted($0.key) + ": " + $0.value.text }.joined(separator: ", ") + "}"
    }
  }

  /// The value as people read it: a member or entry a line, two spaces a level. NaN and infinities as in `text`.
  public var indentedText: String { indented("\n") }

  /// A file that holds the value alone, for people to read.
  var fileContents: [UInt8] { Array((indentedText + "\n").utf8) }

  private func indented(_ line: String) -> String {
    let inner = line + "  "
    switch self {
    case .array(let list) where !list.isEmpty:
      return "[" + list.map { inner + $0.indented(inner) }.joined(separator: ",") + line + "]"
    case .object(let members) where !members.isEmpty:
      return "{" + members.map { inner + jsonQuoted($0.key) + ": " + $0.value.indented(inner) }.joined(separator: ",")
        + line + "}"
    default: return text
    }
  }
}
