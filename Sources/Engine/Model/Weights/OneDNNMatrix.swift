import CKernels
import COneDNN

/// A weight matrix packed by oneDNN, in float32 or bf16.
///
/// Rows of the weight are cut into slices that are packed and multiplied independently: the unit of work of the thread
/// pool. oneDNN runs single-threaded inside the engine's own pool.
final class OneDNNMatrix: WeightMatrix {
  let outputs: Int
  let inputs: Int
  private let type: odn_type
  private let sliceWidth: Int
  private let sliceCount: Int
  private let sliceBytes: Int
  private let memory: WeightMemory

  /// Rows of x that one product takes at most: enough to run at full speed, few enough to stay in the second cache.
  private static let rowBlock = 128
  /// Rows of x that are rounded to bf16 together.
  private static let roundedRows = 1024

  var byteCount: Int { memory.byteCount }

  init(_ element: PanelMatrix.Element, outputs: Int, inputs: Int, fill: WeightFill) throws {
    try checkShape(outputs: outputs, inputs: inputs)
    let type = element == .bf16 ? ODN_BF16 : ODN_F32
    let width = outputs >= 2048 ? 256 : min(outputs, 128)
    let slices = (outputs + width - 1) / width
    let sizes = [odn_packed_size(type, width, inputs), odn_packed_size(type, outputs - (slices - 1) * width, inputs)]
    guard sizes.allSatisfy({ $0 > 0 }) else {
      throw EngineError(.shape, "oneDNN refuses a weight matrix of shape [\(outputs), \(inputs)]")
    }
    let bytes = (sizes.max()! + 63) & ~63
    memory = try WeightMemory(bytes * slices)
    self.outputs = outputs
    self.inputs = inputs
    self.type = type
    (sliceWidth, sliceCount, sliceBytes) = (width, slices, bytes)
    let failure = FirstError(), base = memory.base
    parallel(slices) { slice in
      let low = slice * width, high = min(outputs, low + width)
      let rows = ck_scratch(CK_SCRATCH_WEIGHTS, (high - low) * inputs * 4).bindMemory(to: Float.self, capacity: 1)
      failure.catching {
        try fill(low..<high, rows)
        if odn_pack(type, high - low, inputs, rows, base + slice * bytes) != 0 {
          throw EngineError(.numeric, "oneDNN could not pack a weight matrix of shape [\(outputs), \(inputs)]")
        }
      }
    }
    try failure.rethrow()
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    guard type == ODN_BF16 else { return product(x, 4, rows, ldx, y, ldy) }
    let inputs = inputs
    for first in stride(from: 0, to: rows, by: OneDNNMatrix.roundedRows) {
      let count = min(OneDNNMatrix.roundedRows, rows - first)
      let rounded = ck_scratch(CK_SCRATCH_ROUNDED, count * inputs * 2).bindMemory(to: UInt16.self, capacity: 1)
      parallelRanges(count, minimum: 16) { range in
        for row in range { ck_encode_bf16(x + (first + row) * ldx, inputs, rounded + row * inputs) }
      }
      product(rounded, 2, count, inputs, y + first * ldy, ldy)
    }
  }

  /// `ldx` counts elements of `elementBytes`.
  private func product(
    _ x: UnsafeRawPointer, _ elementBytes: Int, _ rows: Int, _ ldx: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
    let blocks = (rows + OneDNNMatrix.rowBlock - 1) / OneDNNMatrix.rowBlock
    // Neighbouring tasks share a slice of the weights, so that it is read from memory once.
    parallel(sliceCount * blocks) { task in
      let slice = task / blocks, block = task % blocks
      let row = rows * block / blocks, end = rows * (block + 1) / blocks
      let column = slice * self.sliceWidth, width = min(self.sliceWidth, self.outputs - column)
      let status = odn_multiply(
        self.type, end - row, width, self.inputs, x + row * ldx * elementBytes, ldx,
        self.memory.base + slice * self.sliceBytes, y + row * ldy + column, ldy)
      precondition(status == 0, "oneDNN failed on a product it had accepted")
    }
  }
}
