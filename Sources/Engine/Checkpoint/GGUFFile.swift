/// A GGUF model file, version 2 or 3, memory-mapped: metadata and the places of its tensors.
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
///
/// ```swift
/// let file = try GGUFFile(path: "model.gguf")
/// let layers = try file.int("llama.block_count")
/// let embedding = try file.tensor("token_embd.weight")      // [vocabulary, dModel], float32
/// ```
/// Opening checks every count, length, type, alignment and offset, so that later reads stay inside the file.
public final class GGUFFile: Sendable {
  public let file: MappedFile
  public let version: Int
  public let metadata: [String: GGUFValue]
  public let tensors: [String: GGUFTensor]
  /// Tensor names in the file's order.
  public let names: [String]
  /// Bytes; tensors start at multiples of it.
  public let alignment: Int

  public var path: String { file.path }

  /// Throws `.missing` or `.file`; the message names the file and the damaged part.
  public init(path: String) throws {
    file = try MappedFile(path: path)
    var reader = ByteReader(file)
    guard file.bytes.count >= 4, file.bytes.prefix(4).elementsEqual("GGUF".utf8) else {
      throw EngineError(.file, "\(path) is not a GGUF file: it does not start with the letters GGUF")
    }
    _ = try reader.skip(4, "the magic number")
    let version = try reader.read(UInt32.self, "the version")
    guard version == 2 || version == 3 else {
      let reason = (1...3).contains(version.byteSwapped) ? "is a big-endian GGUF file" : "is GGUF version \(version)"
      throw EngineError(.file, "\(path) \(reason); versions 2 and 3, little-endian, can be read")
    }
    self.version = Int(version)
    let tensorCount = try reader.readCount(itemSize: 32, "the tensor count")
    let metadataCount = try reader.readCount(itemSize: 13, "the metadata count")
    metadata = try GGUFFile.readMetadata(&reader, count: metadataCount)
    alignment = try GGUFFile.checkedAlignment(metadata["general.alignment"], path)
    (names, tensors) = try GGUFFile.readTensors(&reader, count: tensorCount, alignment: alignment)
  }

  private static func readMetadata(_ reader: inout ByteReader, count: Int) throws -> [String: GGUFValue] {
    var metadata: [String: GGUFValue] = [:]
    for index in 0..<count {
      let key = try reader.readName("metadata key \(index + 1) of \(count)")
      let type = try reader.read(UInt32.self, "the type of \(key)")
      let value = try GGUFValue(&reader, type: type, key: key, depth: 0)
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw EngineError(.file, "\(reader.file.path) is damaged: metadata key \(key) appears twice")
      }
    }
    return metadata
  }

  private static func checkedAlignment(_ value: GGUFValue?, _ path: String) throws -> Int {
    guard let value else { return 32 }
    guard case .integer(let alignment) = value, alignment > 0, alignment & (alignment - 1) == 0, alignment <= 1 << 20
    else {
      throw EngineError(.file, "\(path) is damaged: general.alignment must be a power of two up to 1048576")
    }
    return alignment
  }
}

/// Where a tensor of a GGUF file stands.
public struct GGUFTensor: Sendable {
  public let name: String
  /// Row-major, slowest dimension first: the reverse of the file's order.
  public let shape: [Int]
  public let type: GGMLType
  /// Bytes within the file.
  public let range: Range<Int>
}

extension GGUFFile {
  fileprivate static func readTensors(
    _ reader: inout ByteReader, count: Int, alignment: Int
  ) throws -> (names: [String], tensors: [String: GGUFTensor]) {
    let path = reader.file.path
    var listed: [(name: String, shape: [Int], type: GGMLType, offset: UInt64)] = []
    listed.reserveCapacity(count)
    for index in 0..<count {
      let name = try reader.readName("the name of tensor \(index + 1) of \(count)")
      let rank = try reader.read(UInt32.self, "the rank of \(name)")
      guard (1...4).contains(rank) else {
        throw EngineError(.file, "\(path) is damaged: tensor \(name) has \(rank) dimensions (1 to 4 are possible)")
      }
      var shape: [Int] = []
      for _ in 0..<rank {
        let size = try reader.read(UInt64.self, "a dimension of \(name)")
        guard (1...(1 << 40)).contains(size) else {
          throw EngineError(.file, "\(path) is damaged: tensor \(name) has a dimension of \(size)")
        }
        shape.insert(Int(size), at: 0)
      }
      let number = try reader.read(UInt32.self, "the type of \(name)")
      guard let type = GGMLType(rawValue: number) else {
        throw EngineError(.file, "\(path): tensor \(name) has type \(number), which this version does not know")
      }
      listed.append((name, shape, type, try reader.read(UInt64.self, "the offset of \(name)")))
    }
    let dataStart = (reader.offset + alignment - 1) & ~(alignment - 1)
    let dataBytes = max(0, reader.file.bytes.count - dataStart)
    var tensors: [String: GGUFTensor] = [:]
    tensors.reserveCapacity(count)
    for (name, shape, type, offset) in listed {
      let size = try byteCount(shape, type, name, path)
      guard offset % UInt64(alignment) == 0 else {
        throw EngineError(.file, "\(path) is damaged: tensor \(name) starts at \(offset), no multiple of \(alignment)")
      }
      guard offset <= UInt64(dataBytes), size <= dataBytes - Int(offset) else {
        throw EngineError(
          .file,
          "\(path) is damaged or cut short: tensor \(name) \(shapeText(shape)) \(type.name) needs \(size) bytes at "
            + "offset \(offset) of \(dataBytes) bytes of data")
      }
      let start = dataStart + Int(offset)
      let tensor = GGUFTensor(name: name, shape: shape, type: type, range: start..<start + size)
      guard tensors.updateValue(tensor, forKey: name) == nil else {
        throw EngineError(.file, "\(path) is damaged: tensor \(name) appears twice")
      }
    }
    let placed = tensors.values.sorted { $0.range.lowerBound < $1.range.lowerBound }
    for (first, second) in zip(placed, placed.dropFirst()) where second.range.lowerBound < first.range.upperBound {
      throw EngineError(.file, "\(path) is damaged: tensors \(first.name) and \(second.name) overlap")
    }
    return (listed.map(\.name), tensors)
  }

  /// Bytes of a tensor; throws where rows are no whole number of blocks or the product overflows.
  private static func byteCount(_ shape: [Int], _ type: GGMLType, _ name: String, _ path: String) throws -> Int {
    let block = type.block, width = shape[shape.count - 1]
    guard width % block.values == 0 else {
      throw EngineError(
        .file,
        "\(path) is damaged: rows of \(name) have \(width) values, \(type.name) needs multiples of \(block.values)")
    }
    var count = 1, overflow = false
    for size in shape.dropLast() + [width / block.values, block.bytes] where !overflow {
      (count, overflow) = count.multipliedReportingOverflow(by: size)
    }
    guard !overflow, count < 1 << 50 else {
      throw EngineError(.file, "\(path) is damaged: tensor \(name) cannot have shape \(shapeText(shape))")
    }
    return count
  }
}
