import Foundation

/// Writes small GGUF files for tests: metadata of every kind, float32 tensors.
struct GGUFBuilder {
  var version: UInt32 = 3
  private var metadata: [[UInt8]] = []
  private var infos: [[UInt8]] = []
  private var data: [UInt8] = []

  static func number<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  static func string(_ text: String) -> [UInt8] { number(UInt64(text.utf8.count)) + Array(text.utf8) }

  /// A value of metadata type `type` whose bytes are `payload`.
  mutating func add(_ key: String, type: UInt32, _ payload: [UInt8]) {
    metadata.append(Self.string(key) + Self.number(type) + payload)
  }

  mutating func add(_ key: String, _ values: [String]) {
    add(key, type: 9, Self.number(UInt32(8)) + Self.number(UInt64(values.count)) + values.flatMap(Self.string))
  }

  mutating func add(_ key: String, _ values: [Int32]) {
    add(key, type: 9, Self.number(UInt32(5)) + Self.number(UInt64(values.count)) + values.flatMap(Self.number))
  }

  mutating func add(_ key: String, _ value: UInt32) { add(key, type: 4, Self.number(value)) }
  mutating func add(_ key: String, _ value: String) { add(key, type: 8, Self.string(value)) }

  /// A tensor with explicit dimensions in the file's order, type and offset; `bytes` are appended to the data.
  mutating func tensor(
    _ name: String, dimensions: [UInt64], type: UInt32 = 0, offset: UInt64? = nil, _ bytes: [UInt8]
  ) {
    infos.append(
      Self.string(name) + Self.number(UInt32(dimensions.count)) + dimensions.flatMap(Self.number) + Self.number(type)
        + Self.number(offset ?? UInt64(data.count)))
    data += bytes
    data += Array(repeating: 0, count: (32 - data.count % 32) % 32)
  }

  var bytes: [UInt8] {
    let counts = Self.number(UInt64(infos.count)) + Self.number(UInt64(metadata.count))
    var result = Array("GGUF".utf8) + Self.number(version) + counts + metadata.flatMap { $0 } + infos.flatMap { $0 }
    result += Array(repeating: 0, count: (32 - result.count % 32) % 32)
    return result + data
  }

  /// Something of everything.
  static func sample() -> GGUFBuilder {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    builder.add("general.alignment", 32)
    for (type, payload) in [
      (0, [200]), (1, [200]), (2, number(UInt16(60000))), (3, number(Int16(-5))), (5, number(Int32(-7))),
      (6, number(Float(1.5).bitPattern)), (7, [1]), (10, number(UInt64.max)), (11, number(Int64(-9))),
      (12, number(2.25.bitPattern)),
    ] as [(UInt32, [UInt8])] {
      builder.add("scalar.\(type)", type: type, payload)
    }
    builder.add("tokens", (0..<40).map { "token\($0)" })
    builder.add("types", (0..<40).map { Int32($0 % 6) })
    let inner = number(UInt32(0)) + number(UInt64(2)) + [1, 2]
    builder.add("nested", type: 9, number(UInt32(9)) + number(UInt64(2)) + inner + inner)
    builder.tensor("one", dimensions: [4, 2], (0..<8).flatMap { number(Float($0).bitPattern) })
    builder.tensor("two", dimensions: [32], type: 8, [0, 0x3c] + (0..<32).map { $0 })
    return builder
  }
}
