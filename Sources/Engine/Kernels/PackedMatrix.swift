import COneDNN
import Foundation

/// A weight matrix `[outputs, inputs]`, packed once for `y = x wᵀ` and never kept in its plain form.
///
/// Rows of the weight are cut into slices that are packed and multiplied independently: the unit of work of the thread
/// pool. See `design` decision: oneDNN runs single-threaded inside the engine's own pool.
public final class PackedMatrix: @unchecked Sendable {
  public let outputs: Int
  public let inputs: Int
  /// Bytes of the packed form.
  public let byteCount: Int

  private let sliceWidth: Int
  private let sliceCount: Int
  private let sliceBytes: Int
  private let memory: UnsafeMutableRawPointer

  /// Rows of x that one product takes at most: enough to run at full speed, few enough to stay in the second cache.
  private static let rowBlock = 128

  /// Packs a matrix whose rows `fill` writes on demand: `fill(rows, target)` puts `[rows.count, inputs]` at `target`.
  /// It is called from several threads at once. Throws what `fill` throws first.
  public init(
    outputs: Int, inputs: Int, fill: @escaping (Range<Int>, UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    guard outputs > 0, inputs > 0 else {
      throw EngineError(.shape, "a weight matrix cannot have shape [\(outputs), \(inputs)]")
    }
    let width = outputs >= 2048 ? 256 : min(outputs, 128)
    let slices = (outputs + width - 1) / width
    let last = outputs - (slices - 1) * width
    let bytes = (max(odn_packed_size(width, inputs), odn_packed_size(last, inputs)) + 63) & ~63
    guard odn_packed_size(width, inputs) > 0, odn_packed_size(last, inputs) > 0 else {
      throw EngineError(.shape, "oneDNN refuses a weight matrix of shape [\(outputs), \(inputs)]")
    }
    let memory = try PackedMatrix.allocate(bytes * slices)
    let failure = FirstError()
    parallel(slices) { slice in
      let low = slice * width, high = min(outputs, low + width)
      let rows = UnsafeMutablePointer<Float>.allocate(capacity: (high - low) * inputs)
      defer { rows.deallocate() }
      failure.catching {
        try fill(low..<high, rows)
        if odn_pack(high - low, inputs, rows, memory + slice * bytes) != 0 {
          throw EngineError(.numeric, "oneDNN could not pack a weight matrix of shape [\(outputs), \(inputs)]")
        }
      }
    }
    self.outputs = outputs
    self.inputs = inputs
    self.memory = memory
    sliceWidth = width
    sliceCount = slices
    sliceBytes = bytes
    byteCount = bytes * slices
    try failure.rethrow()
  }

  /// Packs weights of a checkpoint, read slice by slice.
  convenience init(_ rows: MatrixRows) throws {
    try self.init(outputs: rows.outputs, inputs: rows.inputs) { try rows.read($0, into: $1) }
  }

  deinit { free(memory) }

  /// `y [rows, outputs] = x [rows, inputs] wᵀ`, on all threads. `ldx` and `ldy` are distances between rows.
  func multiply(
    _ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int
  ) {
    let blocks = (rows + PackedMatrix.rowBlock - 1) / PackedMatrix.rowBlock
    // Neighbouring tasks share a slice of the weights, so that it is read from memory once.
    parallel(sliceCount * blocks) { task in
      let slice = task / blocks, block = task % blocks
      let row = rows * block / blocks, end = rows * (block + 1) / blocks
      let column = slice * self.sliceWidth, width = min(self.sliceWidth, self.outputs - column)
      let status = odn_multiply(
        end - row, width, self.inputs, x + row * ldx, ldx, self.memory + slice * self.sliceBytes, y + row * ldy + column,
        ldy)
      precondition(status == 0, "oneDNN failed on a product it had accepted")
    }
  }

  /// Memory for packed weights, on huge pages where the system grants them: a matrix is read from end to end for every
  /// token, and small pages would cost a table walk every 4 KB.
  private static func allocate(_ bytes: Int) throws -> UnsafeMutableRawPointer {
    let huge = 2 << 20
    let alignment = bytes >= huge ? huge : 64
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, bytes) == 0, let memory else {
      throw EngineError(.memory, "out of memory: \(byteText(bytes)) for packed weights")
    }
    if bytes >= huge { madvise(memory, bytes, Int32(14)) }  // MADV_HUGEPAGE; refused is fine
    return memory
  }
}
