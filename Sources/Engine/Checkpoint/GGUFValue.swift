/// One metadata value of a GGUF file. Long arrays stay in the mapped file until they are asked for.
public enum GGUFValue: Sendable {
  case integer(Int)
  /// Only values beyond `Int.max`.
  case unsigned(UInt64)
  case float(Double)
  case bool(Bool)
  /// UTF-8 by the specification, kept as bytes because tokens need not be.
  case string([UInt8])
  case strings(GGUFStrings)
  case numbers(GGUFNumbers)
  /// An array of arrays.
  case arrays([GGUFValue])

  /// The kind as an error message names it.
  var kind: String {
    switch self {
    case .integer, .unsigned: "an integer"
    case .float: "a float"
    case .bool: "a boolean"
    case .string: "a string"
    case .strings(let list): "an array of \(list.count) strings"
    case .numbers(let list): "an array of \(list.count) \(list.type.rawValue) values"
    case .arrays(let list): "an array of \(list.count) arrays"
    }
  }
}

/// An array of byte strings inside a GGUF file: a vocabulary, its merges.
public struct GGUFStrings: RandomAccessCollection, Sendable {
  let file: MappedFile
  /// Where each string's 64-bit length stands.
  let places: [Int]

  public var startIndex: Int { 0 }
  public var endIndex: Int { places.count }

  public subscript(position: Int) -> [UInt8] { [UInt8](bytes(at: position)) }

  /// String `position` without a copy; valid while the file lives.
  public func bytes(at position: Int) -> UnsafeRawBufferPointer {
    let place = places[position]
    let length = Int(UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)))
    return UnsafeRawBufferPointer(rebasing: file.bytes[place + 8..<place + 8 + length])
  }
}

/// An array of numbers or booleans inside a GGUF file.
public struct GGUFNumbers: Sendable {
  enum Element: String, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64, bool

    var size: Int {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64: 8
      }
    }
  }

  let file: MappedFile
  let type: Element
  public let count: Int
  let offset: Int

  /// The values as integers; nil where they are floats, or an unsigned one is beyond `Int.max`.
  public var integers: [Int]? {
    switch type {
    case .uint8, .bool: map(UInt8.self) { Int($0) }
    case .int8: map(Int8.self) { Int($0) }
    case .uint16: map(UInt16.self) { Int($0) }
    case .int16: map(Int16.self) { Int($0) }
    case .uint32: map(UInt32.self) { Int($0) }
    case .int32: map(Int32.self) { Int($0) }
    case .int64: map(Int64.self) { Int($0) }
    case .uint64:
      map(UInt64.self) { $0 }.allSatisfy { $0 <= UInt64(Int.max) } ? map(UInt64.self) { Int($0) } : nil
    case .float32, .float64: nil
    }
  }

  /// The values rounded to float32.
  public var floats: [Float] {
    switch type {
    case .float32: map(UInt32.self) { Float(bitPattern: $0) }
    case .float64: map(UInt64.self) { Float(Double(bitPattern: $0)) }
    case .uint64: map(UInt64.self) { Float($0) }
    default: (integers ?? []).map { Float($0) }
    }
  }

  private func map<Stored: FixedWidthInteger, Value>(_ stored: Stored.Type, _ convert: (Stored) -> Value) -> [Value] {
    (0..<count).map { index in
      let place = offset + index * MemoryLayout<Stored>.size
      return convert(Stored(littleEndian: file.bytes.loadUnaligned(fromByteOffset: place, as: Stored.self)))
    }
  }
}
