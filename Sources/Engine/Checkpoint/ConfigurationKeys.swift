/// Named settings with checked look-up: the metadata of a GGUF file, or a `config.json`.
///
/// ```swift
/// let width = try keys.int("hidden_size")                                  // missing or not an integer: throws
/// let headWidth = try keys.int(ifPresent: "head_dim") ?? width / heads     // nil where missing; wrong kind throws
/// ```
/// Errors are `.file` and name the key, the file and what stands there.
public protocol ConfigurationKeys: Sendable {
  /// The file, for messages.
  var source: String { get }
  var keyNames: [String] { get }
  func int(ifPresent key: String) throws -> Int?
  /// Integers are read as doubles too.
  func double(ifPresent key: String) throws -> Double?
  func bool(ifPresent key: String) throws -> Bool?
  /// Throws where the bytes are not UTF-8.
  func string(ifPresent key: String) throws -> String?
  func ints(ifPresent key: String) throws -> [Int]?
  func floats(ifPresent key: String) throws -> [Float]?
  /// A short list of names, such as `layer_types`.
  func names(ifPresent key: String) throws -> [String]?
}

extension ConfigurationKeys {
  public func int(_ key: String) throws -> Int { try required(int(ifPresent: key), key) }
  public func double(_ key: String) throws -> Double { try required(double(ifPresent: key), key) }
  public func bool(_ key: String) throws -> Bool { try required(bool(ifPresent: key), key) }
  public func string(_ key: String) throws -> String { try required(string(ifPresent: key), key) }
  public func ints(_ key: String) throws -> [Int] { try required(ints(ifPresent: key), key) }
  public func floats(_ key: String) throws -> [Float] { try required(floats(ifPresent: key), key) }
  public func names(_ key: String) throws -> [String] { try required(names(ifPresent: key), key) }

  /// `value`, or an error that says which key is missing and which are near.
  func required<Value>(_ value: Value?, _ key: String) throws -> Value {
    if let value { return value }
    throw EngineError(.file, "\(source) has no key \(key)\(suggestion(for: key, in: keyNames))")
  }

  /// "config.json: key is X, expected an integer".
  func wrongKind(_ key: String, expected: String, found: String) -> EngineError {
    EngineError(.file, "\(source): \(key) is \(found), expected \(expected)")
  }
}
