/// A safetensors file, memory-mapped. Format: https://github.com/huggingface/safetensors#format
///
/// ```swift
/// let file = try SafetensorsFile(path: "model.safetensors")
/// let weight = try file.tensor("model.norm.weight")        // float32, whatever is stored
/// ```
/// Opening checks the header's length, every type, shape and offset, and that the tensors fill the data without gap or
/// overlap.
public final class SafetensorsFile: WeightSource {
  /// One entry of the header.
  public struct Entry: Sendable {
    public let type: ScalarType
    /// Row-major; empty for a single value.
    public let shape: [Int]
    /// Bytes within the file.
    public let range: Range<Int>
  }

  public let file: MappedFile
  public let names: [String]
  public let entries: [String: Entry]
  /// The `__metadata__` strings.
  public let metadata: [String: String]

  public var path: String { file.path }

  /// Throws `.missing` or `.file`; the message names the file and the damaged part.
  public init(path: String) throws {
    file = try MappedFile(path: path)
    let size = file.bytes.count
    guard size >= 8 else { throw EngineError(.file, "\(path) is not a safetensors file: it has only \(size) bytes") }
    let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
    guard length <= 100_000_000, length <= UInt64(size - 8) else {
      throw EngineError(
        .file,
        "\(path) is no safetensors file, or damaged or cut short: its header would take \(length) of \(size) bytes")
    }
    let dataStart = 8 + Int(length)
    let header = UnsafeRawBufferPointer(rebasing: file.bytes[8..<dataStart])
    guard case .object(let members) = try JSONValue(parsing: header, source: "\(path) (header)") else {
      throw EngineError(.file, "\(path) is damaged: its header is not a JSON object")
    }
    var metadata: [String: String] = [:], names: [String] = [], entries: [String: Entry] = [:]
    for (name, value) in members {
      if name == "__metadata__" {
        for (key, value) in value.object ?? [:] { metadata[key] = value.string }
      } else {
        guard isPrintableName(name) else {
          throw EngineError(.file, "\(path) is damaged: the name of tensor \(names.count + 1) cannot be printed")
        }
        entries[name] = try SafetensorsFile.entry(name, value, dataStart: dataStart, size: size, path: path)
        names.append(name)
      }
    }
    var end = dataStart
    for (name, entry) in entries.sorted(by: { $0.value.order < $1.value.order }) {
      guard entry.range.lowerBound == end else {
        throw EngineError(.file, "\(path) is damaged: the data of \(name) overlaps another tensor's or leaves a gap")
      }
      end = entry.range.upperBound
    }
    guard end == size else {
      throw EngineError(.file, "\(path) is damaged: \(size - end) bytes after the last tensor belong to none")
    }
    (self.metadata, self.entries, self.names) = (metadata, entries, names)
  }

  private static func entry(
    _ name: String, _ value: JSONValue, dataStart: Int, size: Int, path: String
  ) throws -> Entry {
    let fault = { (what: String) in EngineError(.file, "\(path) is damaged: tensor \(name) \(what)") }
    guard let typeName = value["dtype"]?.string else { throw fault("has no dtype") }
    guard let type = ScalarType(rawValue: typeName) else {
      let known = ScalarType.allCases.map(\.rawValue).joined(separator: " ")
      if typeName.hasPrefix("F8") || typeName.hasPrefix("F4") || typeName.hasPrefix("F6") {
        throw EngineError(
          .file,
          "\(path): tensor \(name) has dtype \(typeName): weights quantised to \(typeName.hasPrefix("F8") ? "FP8" : typeName), "
            + "which are not read (\(known) are); load the model it was made from, or a .gguf file of it")
      }
      throw EngineError(.file, "\(path): tensor \(name) has dtype \(typeName); \(known) can be read")
    }
    guard let dimensions = value["shape"]?.array, dimensions.count <= 16 else { throw fault("has no usable shape") }
    var shape: [Int] = [], bytes = type.size
    for dimension in dimensions {
      guard case .integer(let count) = dimension, count >= 0, count < 1 << 40 else {
        throw fault("has a dimension of \(dimension.kind)")
      }
      let (product, overflow) = bytes.multipliedReportingOverflow(by: count)
      guard !overflow, product < 1 << 50 else { throw fault("has an impossible shape") }
      bytes = product
      shape.append(count)
    }
    guard let offsets = value["data_offsets"]?.array, offsets.count == 2, case .integer(let begin) = offsets[0],
      case .integer(let end) = offsets[1], begin >= 0, begin <= end, end <= size - dataStart
    else { throw fault("has offsets outside the file; it may be cut short") }
    guard end - begin == bytes else {
      throw fault("of \(typeName) \(shapeText(shape)) needs \(bytes) bytes, its offsets span \(end - begin)")
    }
    return Entry(type: type, shape: shape, range: dataStart + begin..<dataStart + end)
  }

  public func shape(of name: String) -> [Int]? { entries[name]?.shape }

  public func verify() throws { try file.verify() }

  public func storage(of name: String) -> StoredForm? {
    entries[name].map { StoredForm(type: $0.type.rawValue, bytes: $0.range.count) }
  }

  public func releasePages() { file.releasePages() }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let entry = entries[name] else { throw missing(name) }
    try check(rows, of: name, entry.shape)
    guard !rows.isEmpty, let base = file.bytes.baseAddress else { return }
    let width = entry.shape.last ?? 1
    let start = base + entry.range.lowerBound + rows.lowerBound * width * entry.type.size
    entry.type.floats(start, count: rows.count * width, into: destination)
  }

  /// All values of an integer or boolean tensor, exactly. Throws `.missing`, or `.argument` for a float tensor.
  public func integers(_ name: String) throws -> [Int] {
    guard let entry = entries[name] else { throw missing(name) }
    guard let base = file.bytes.baseAddress else { return [] }
    let count = entry.range.count / entry.type.size
    guard let values = entry.type.integers(base + entry.range.lowerBound, count: count) else {
      throw EngineError(.argument, "\(path): \(name) is stored as \(entry.type.rawValue), not as integers that fit")
    }
    return values
  }
}

extension SafetensorsFile.Entry {
  /// By place; an empty tensor stands before one that starts at the same byte.
  fileprivate var order: (Int, Int) { (range.lowerBound, range.upperBound) }
}
