import Foundation

/// A block of float32 that tensors share. Its bytes are counted, so that a host can bound what scripts hold, and its
/// memory goes to the next tensor of its size.
public final class TensorStorage: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  private let size: Int
  /// How often its values were changed in place after others may have seen them. Gradients that were noted before such
  /// a change no longer hold.
  public private(set) var version = 0

  /// Uninitialised memory for `count` values, 64-byte aligned. Throws `.memory` where the system has none.
  init(count: Int) throws {
    size = BufferPool.blockSize(count * MemoryLayout<Float>.stride)
    guard let raw = TensorMemory.take(size) else {
      throw EngineError(.memory, "the system has no \(byteText(size)) for a tensor")
    }
    pointer = raw.bindMemory(to: Float.self, capacity: size / MemoryLayout<Float>.stride)
    self.count = count
  }

  /// Notes a change in place.
  public func markChanged() { version += 1 }

  deinit { TensorMemory.give(pointer, size: size) }
}

/// A dense, row-major float32 tensor. A value: operations return new tensors, `row(_:)` and `rows(_:)` share storage.
///
/// ```swift
/// let x = try Tensor([1, 2, 3, 4], shape: [2, 2])
/// let y = try x.matmul(x)
/// ```
public struct Tensor: Sendable {
  public let storage: TensorStorage
  /// First element's place in the storage.
  public let offset: Int
  public let shape: [Int]

  public var count: Int { shape.reduce(1, *) }
  public var rank: Int { shape.count }

  init(storage: TensorStorage, offset: Int, shape: [Int]) {
    self.storage = storage
    self.offset = offset
    self.shape = shape
  }

  /// Uninitialised values. Throws `.memory` beyond the budget and `.shape` on negative or overflowing sizes.
  public init(uninitialized shape: [Int]) throws {
    let count = try Tensor.checkedCount(shape)
    try TensorMemory.reserve(BufferPool.blockSize(count * MemoryLayout<Float>.stride), for: shape)
    self.init(storage: try TensorStorage(count: count), offset: 0, shape: shape)
  }

  public init(repeating value: Float, shape: [Int]) throws {
    try self.init(uninitialized: shape)
    mutablePointer.update(repeating: value, count: count)
  }

  public static func zeros(_ shape: [Int]) throws -> Tensor { try Tensor(repeating: 0, shape: shape) }

  /// Copies `values`, whose number must be the product of `shape`.
  public init(_ values: [Float], shape: [Int]) throws {
    try self.init(uninitialized: shape)
    guard values.count == count else {
      throw EngineError(.shape, "\(values.count) values do not fill a tensor of shape \(shapeText(shape))")
    }
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { mutablePointer.update(from: base, count: values.count) }
    }
  }

  public init(_ values: [Float]) throws { try self.init(values, shape: [values.count]) }

  /// Copies `count` values from `source`.
  public init(copying source: UnsafePointer<Float>, shape: [Int]) throws {
    try self.init(uninitialized: shape)
    mutablePointer.update(from: source, count: count)
  }

  public var pointer: UnsafePointer<Float> { UnsafePointer(storage.pointer + offset) }

  /// For code that fills a tensor it has just made, before anyone else sees it.
  public var mutablePointer: UnsafeMutablePointer<Float> { storage.pointer + offset }

  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// Width of the last dimension; 1 for a scalar.
  public var lastDimension: Int { shape.last ?? 1 }

  /// The product of the sizes. A size of 0 hides the others from the product, not from loops over them: beside it they
  /// must stay below 2^31.
  static func checkedCount(_ shape: [Int]) throws -> Int {
    var extent = 1
    let limit = shape.contains(0) ? 1 << 31 : 1 << 40
    for size in shape {
      let (product, overflow) = extent.multipliedReportingOverflow(by: max(1, size))
      guard size >= 0, !overflow, product < limit else {
        throw EngineError(.shape, "a tensor cannot have shape \(shapeText(shape))")
      }
      extent = product
    }
    return shape.contains(0) ? 0 : extent
  }
}

/// `[2, 3]` as people write it.
public func shapeText(_ shape: [Int]) -> String { "[" + shape.map(String.init).joined(separator: ", ") + "]" }
