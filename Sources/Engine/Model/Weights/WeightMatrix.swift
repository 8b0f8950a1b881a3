import CKernels
import Foundation

/// How a model keeps its weights for products.
public enum WeightPrecision: String, Sendable, CaseIterable {
  /// float32, whatever the file has.
  case f32
  /// Weights and the activations they meet rounded to bf16, sums in float32.
  case bf16
  /// Quantised weights as a GGUF file stores them, with 8-bit activations; float32 for what is not quantised.
  case native
}

/// A weight matrix `[outputs, inputs]` made ready for `y = x wᵀ`.
protocol WeightMatrix: Sendable {
  var outputs: Int { get }
  var inputs: Int { get }
  /// Bytes of the packed form.
  var byteCount: Int { get }
  /// `y [rows, outputs] = x [rows, inputs] wᵀ`, on all threads. `ldx` and `ldy` are distances between rows. A row's
  /// result does not depend on how many rows there are, beyond rounding.
  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int)
}

/// Writes rows of a weight matrix: `fill(rows, target)` puts `[rows.count, inputs]` at `target`. Several threads call
/// it.
typealias WeightFill = (_ rows: Range<Int>, _ target: UnsafeMutablePointer<Float>) throws -> Void

extension WeightPrecision {
  /// The type of panels.
  var element: PanelMatrix.Element { self == .bf16 ? .bf16 : .f32 }

  /// Packs weights of a checkpoint, read slice by slice.
  func pack(_ rows: MatrixRows) throws -> any WeightMatrix {
    if self == .native, let matrix = try QuantizedMatrix(rows) { return matrix }
    return try pack(outputs: rows.outputs, inputs: rows.inputs) { try rows.read($0, into: $1) }
  }

  /// Packs weights that `fill` writes.
  func pack(outputs: Int, inputs: Int, fill: WeightFill) throws -> any WeightMatrix {
    try PanelMatrix(element, outputs: outputs, inputs: inputs, fill: fill)
  }
}

/// Memory of packed weights, on huge pages where the system grants them: a matrix is read from end to end for every
/// token, and small pages would cost a table walk every 4 KB.
final class WeightMemory: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  init(_ bytes: Int) throws {
    let huge = 2 << 20, alignment = bytes >= huge ? huge : 64
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, bytes) == 0, let memory else {
      throw EngineError(.memory, "out of memory: \(byteText(bytes)) for packed weights")
    }
    if bytes >= huge { madvise(memory, bytes, Int32(14)) }  // MADV_HUGEPAGE; refused is fine
    base = memory
    byteCount = bytes
  }

  deinit { free(base) }
}
