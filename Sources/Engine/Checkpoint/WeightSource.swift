import CKernels
import Foundation

/// Named tensors of a checkpoint, whatever the container and the stored type; values come out as float32.
///
/// A tensor of shape `[a, b, c]` is read as a matrix of `a * b` rows of `c` values; one of shape `[c]` is one row.
public protocol WeightSource: Sendable {
  /// The file or folder, for messages.
  var path: String { get }
  /// In the file's order.
  var names: [String] { get }
  /// Row-major, nil for an unknown name.
  func shape(of name: String) -> [Int]?
  /// How a tensor is kept, nil for an unknown name.
  func storage(of name: String) -> StoredForm?
  /// Writes rows `rows` of a tensor, `rows.count * width` float32 values, to `into`. Several threads may call it at
  /// once. Throws `.missing` for an unknown name, `.shape` for rows out of range, `.file` for an unreadable type.
  func read(_ name: String, rows: Range<Int>, into: UnsafeMutablePointer<Float>) throws
  /// A tensor's rows as the file stores them; nil where the container has no block formats, or for an unknown name.
  func storedRows(of name: String) -> StoredRows?
  /// Throws `.file` where a file of it changed since it was opened (`MappedFile.verify`).
  func verify() throws
  /// Says that what was read is not needed again soon: the file's pages need not stay in this process.
  func releasePages()
}

/// Rows of a tensor in a block format, in the mapped file.
public struct StoredRows: @unchecked Sendable {
  /// The number of its `ggml_type`.
  public let type: UInt32
  public let base: UnsafeRawPointer
  public let rowBytes: Int
}

extension WeightSource {
  public func storedRows(of name: String) -> StoredRows? { nil }
  public func verify() throws {}
  public func releasePages() {}
}

/// The form of a tensor in its file.
public struct StoredForm: Sendable, Equatable {
  /// `BF16`, `Q4_K`: the container's name of the type.
  public let type: String
  public let bytes: Int
}

extension WeightSource {
  /// A whole tensor in float32, read by all threads. Throws as `read(_:rows:into:)`, and `.memory`.
  public func tensor(_ name: String) throws -> Tensor {
    guard let shape = shape(of: name) else { throw missing(name) }
    let tensor = try Tensor(uninitialized: shape)
    try read(name, into: tensor.mutablePointer)
    return tensor
  }

  /// The same, refused where values are NaN or infinite: what is read once and then computed with. Throws `.numeric`.
  public func finiteTensor(_ name: String) throws -> Tensor {
    let tensor = try tensor(name)
    let count = ck_count_nonfinite(tensor.pointer, tensor.count)
    if count > 0 { throw nonfinite(name, count: count, of: tensor.count) }
    return tensor
  }

  /// "PATH: 3 of 4096 values of tensor NAME are NaN or infinite".
  func nonfinite(_ name: String, count: Int, of total: Int) -> EngineError {
    EngineError(
      .numeric,
      "\(path): \(count) of \(total) values of tensor \(name) are NaN or infinite; the file is damaged, or what wrote it "
        + "diverged")
  }

  /// Throws what is said of a tensor in a block format of whose scales some are no numbers.
  func refuseNonfiniteBlocks(_ name: String) throws {
    guard let stored = storedRows(of: name), let shape = shape(of: name) else { return }
    let total = shape.reduce(1, *)
    let count = ck_count_nonfinite_blocks(stored.type, stored.base, total)
    if count > 0 { throw nonfinite(name, count: count, of: total) }
  }

  /// Refuses a stretch of a tensor that holds values which are no numbers; counts them in the whole tensor.
  func requireFinite(_ name: String, _ values: UnsafePointer<Float>, count: Int) throws {
    guard ck_count_nonfinite(values, count) > 0 else { return }
    let width = shape(of: name)?.last ?? count, rows = (shape(of: name) ?? []).dropLast().reduce(1, *)
    var found = 0, row = [Float](repeating: 0, count: width)
    for index in 0..<rows {
      try row.withUnsafeMutableBufferPointer {
        try read(name, rows: index..<index + 1, into: $0.baseAddress!)
        found += ck_count_nonfinite($0.baseAddress!, width)
      }
    }
    throw nonfinite(name, count: found, of: rows * width)
  }

  /// A whole tensor into memory for all its values, read by all threads.
  public func read(_ name: String, into destination: UnsafeMutablePointer<Float>) throws {
    guard let shape = shape(of: name) else { throw missing(name) }
    let width = shape.last ?? 1, rows = shape.dropLast().reduce(1, *)
    guard width > 0, rows > 0 else { return }
    let failure = FirstError()
    nonisolated(unsafe) let destination = destination
    parallelRanges(rows, minimum: max(1, (1 << 16) / width)) { part in
      failure.catching { try read(name, rows: part, into: destination + part.lowerBound * width) }
    }
    try failure.rethrow()
  }

  func missing(_ name: String) -> EngineError {
    EngineError(.missing, "\(path) has no tensor \(name)\(suggestion(for: name, in: names))")
  }

  /// Refuses rows outside a tensor of `shape`.
  func check(_ rows: Range<Int>, of name: String, _ shape: [Int]) throws {
    let count = shape.dropLast().reduce(1, *)
    guard rows.lowerBound >= 0, rows.upperBound <= count else {
      throw EngineError(
        .shape, "rows \(rows.lowerBound) ..< \(rows.upperBound) of \(name) asked for; \(path) has \(shapeText(shape))")
    }
  }
}
