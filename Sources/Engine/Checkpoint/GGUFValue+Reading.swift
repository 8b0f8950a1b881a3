extension GGUFValue {
  /// Reads a value of GGUF metadata type `type`; arrays may nest `depth` up to 4.
  init(_ reader: inout ByteReader, type: UInt32, key: String, depth: Int) throws {
    switch type {
    case 0: self = .integer(Int(try reader.read(UInt8.self, key)))
    case 1: self = .integer(Int(try reader.read(Int8.self, key)))
    case 2: self = .integer(Int(try reader.read(UInt16.self, key)))
    case 3: self = .integer(Int(try reader.read(Int16.self, key)))
    case 4: self = .integer(Int(try reader.read(UInt32.self, key)))
    case 5: self = .integer(Int(try reader.read(Int32.self, key)))
    case 6: self = .float(Double(Float(bitPattern: try reader.read(UInt32.self, key))))
    case 7:
      let value = try reader.read(UInt8.self, key)
      guard value <= 1 else {
        throw EngineError(.file, "\(reader.file.path) is damaged: boolean \(key) has value \(value)")
      }
      self = .bool(value == 1)
    case 8: self = .string([UInt8](reader.file.bytes[try reader.readBytes(key)]))
    case 9: self = try GGUFValue.array(&reader, key: key, depth: depth)
    case 10:
      let value = try reader.read(UInt64.self, key)
      self = Int(exactly: value).map { .integer($0) } ?? .unsigned(value)
    case 11: self = .integer(Int(try reader.read(Int64.self, key)))
    case 12: self = .float(Double(bitPattern: try reader.read(UInt64.self, key)))
    default: throw GGUFValue.unknownType(type, key, reader)
    }
  }

  private static func array(_ reader: inout ByteReader, key: String, depth: Int) throws -> GGUFValue {
    let type = try reader.read(UInt32.self, "the element type of \(key)")
    switch type {
    case 8:
      let count = try reader.readCount(itemSize: 8, "the length of \(key)")
      let places = try [Int](unsafeUninitializedCapacity: count) { places, filled in
        for index in 0..<count {
          places[index] = reader.offset
          _ = try reader.readBytes(key)
          filled = index + 1
        }
      }
      return .strings(GGUFStrings(file: reader.file, places: places))
    case 9:
      guard depth < 4 else { throw EngineError(.file, "\(reader.file.path) is damaged: \(key) nests too deeply") }
      let count = try reader.readCount(itemSize: 12, "the length of \(key)")
      return .arrays(try (0..<count).map { _ in try array(&reader, key: key, depth: depth + 1) })
    default:
      guard let element = elements[type] else { throw unknownType(type, key, reader) }
      let count = try reader.readCount(itemSize: element.size, "the length of \(key)")
      let bytes = try reader.skip(count * element.size, key)
      return .numbers(GGUFNumbers(file: reader.file, type: element, count: count, offset: bytes.lowerBound))
    }
  }

  private static let elements: [UInt32: GGUFNumbers.Element] = [
    0: .uint8, 1: .int8, 2: .uint16, 3: .int16, 4: .uint32, 5: .int32, 6: .float32, 7: .bool, 10: .uint64, 11: .int64,
    12: .float64,
  ]

  private static func unknownType(_ type: UInt32, _ key: String, _ reader: ByteReader) -> EngineError {
    EngineError(.file, "\(reader.file.path) is damaged: metadata \(key) has unknown type \(type)")
  }
}
