extension GGUFFile: ConfigurationKeys {
  public var source: String { path }
  public var keyNames: [String] { metadata.keys.sorted() }

  public func int(ifPresent key: String) throws -> Int? {
    try look(key, "an integer") { if case .integer(let value) = $0 { value } else { nil } }
  }

  public func double(ifPresent key: String) throws -> Double? {
    try look(key, "a number") {
      switch $0 {
      case .float(let value): value
      case .integer(let value): Double(value)
      case .unsigned(let value): Double(value)
      default: nil
      }
    }
  }

  public func bool(ifPresent key: String) throws -> Bool? {
    try look(key, "a boolean") { if case .bool(let value) = $0 { value } else { nil } }
  }

  /// A string's bytes, UTF-8 or not.
  public func bytes(ifPresent key: String) throws -> [UInt8]? {
    try look(key, "a string") { if case .string(let value) = $0 { value } else { nil } }
  }

  public func string(ifPresent key: String) throws -> String? {
    guard let bytes = try bytes(ifPresent: key) else { return nil }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw wrongKind(key, expected: "UTF-8 text", found: "not UTF-8")
    }
    return text
  }

  public func ints(ifPresent key: String) throws -> [Int]? {
    try look(key, "an array of integers") { if case .numbers(let list) = $0 { list.integers } else { nil } }
  }

  public func floats(ifPresent key: String) throws -> [Float]? {
    try look(key, "an array of numbers") { if case .numbers(let list) = $0 { list.floats } else { nil } }
  }

  /// An array of strings in place: no copy, random access. What a tokenizer reads.
  public func stringTable(ifPresent key: String) throws -> GGUFStrings? {
    try look(key, "an array of strings") { if case .strings(let list) = $0 { list } else { nil } }
  }

  public func stringTable(_ key: String) throws -> GGUFStrings { try required(stringTable(ifPresent: key), key) }

  /// An array of strings, each copied as bytes.
  public func strings(ifPresent key: String) throws -> [[UInt8]]? { try stringTable(ifPresent: key).map { Array($0) } }

  public func strings(_ key: String) throws -> [[UInt8]] { try required(strings(ifPresent: key), key) }

  public func names(ifPresent key: String) throws -> [String]? {
    try stringTable(ifPresent: key)?.map { String(decoding: $0, as: UTF8.self) }
  }

  private func look<Value>(_ key: String, _ expected: String, _ read: (GGUFValue) -> Value?) throws -> Value? {
    guard let value = metadata[key] else { return nil }
    guard let result = read(value) else { throw wrongKind(key, expected: expected, found: value.kind) }
    return result
  }
}
