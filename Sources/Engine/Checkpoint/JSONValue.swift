import OrderedCollections

/// A JSON document: keys keep their order, integers stay exact.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(OrderedDictionary<String, JSONValue>)

  /// The kind as an error message names it.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let text): "\"\(text.prefix(40))\""
    case .array(let list): "an array of \(list.count)"
    case .object: "an object"
    }
  }

  /// An integer, also one written `1e6` or `1024.0`; nil for anything else, however large.
  public var int: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): abs(value) <= 0x1p53 ? Int(exactly: value) : nil
    default: nil
    }
  }

  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var object: OrderedDictionary<String, JSONValue>? { if case .object(let value) = self { value } else { nil } }

  /// Member `key` of an object, else nil.
  public subscript(key: String) -> JSONValue? { object?[key] }
}

/// `text` as a JSON string with its quotes.
func jsonQuoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
