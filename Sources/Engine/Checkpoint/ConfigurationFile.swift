/// A JSON object of settings, such as `config.json`, or an object inside one.
///
/// ```swift
/// let keys = try ConfigurationFile(path: "model/config.json")
/// let scaling = try keys.object(ifPresent: "rope_scaling")?.double("factor")
/// ```
/// A key whose value is `null` counts as missing.
public struct ConfigurationFile: ConfigurationKeys {
  public let source: String
  public let value: JSONValue
  private let members: [String: JSONValue]

  /// Reads a file of at most 16 MB. Throws `.missing`, or `.file` where it is no JSON object.
  public init(path: String) throws { try self.init(JSONValue(path: path, limit: 16 << 20), source: path) }

  public init(_ value: JSONValue, source: String) throws {
    guard case .object(let object) = value else {
      throw EngineError(.file, "\(source) is \(value.kind), expected a JSON object")
    }
    (self.source, self.value) = (source, value)
    members = Dictionary(uniqueKeysWithValues: object.filter { $0.value != .null }.map { ($0.key, $0.value) })
  }

  public var keyNames: [String] { members.keys.sorted() }

  public func int(ifPresent key: String) throws -> Int? { try look(key, "an integer", \.int) }
  public func double(ifPresent key: String) throws -> Double? { try look(key, "a number", \.double) }
  public func bool(ifPresent key: String) throws -> Bool? { try look(key, "true or false", \.bool) }
  public func string(ifPresent key: String) throws -> String? { try look(key, "text", \.string) }

  public func ints(ifPresent key: String) throws -> [Int]? { try list(key, "an array of integers", \.int) }

  public func floats(ifPresent key: String) throws -> [Float]? {
    try list(key, "an array of numbers", \.double)?.map { Float($0) }
  }

  public func names(ifPresent key: String) throws -> [String]? { try list(key, "an array of text", \.string) }

  /// An object inside this one; its errors name both.
  public func object(ifPresent key: String) throws -> ConfigurationFile? {
    guard let member = members[key] else { return nil }
    guard case .object = member else { throw wrongKind(key, expected: "an object", found: member.kind) }
    return try ConfigurationFile(member, source: "\(source): \(key)")
  }

  /// Any value, for keys that take several kinds.
  public subscript(key: String) -> JSONValue? { members[key] }

  private func look<Value>(_ key: String, _ expected: String, _ read: (JSONValue) -> Value?) throws -> Value? {
    guard let member = members[key] else { return nil }
    guard let result = read(member) else { throw wrongKind(key, expected: expected, found: member.kind) }
    return result
  }

  private func list<Value>(_ key: String, _ expected: String, _ read: (JSONValue) -> Value?) throws -> [Value]? {
    try look(key, expected) { member in
      guard let items = member.array else { return nil }
      let values = items.compactMap(read)
      return values.count == items.count ? values : nil
    }
  }
}
