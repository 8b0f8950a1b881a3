import CKernels

/// A weight matrix in the block formats of its GGUF file (`ck_quantized_multiply`).
///
/// Every row goes the same way, in integers straight from the blocks: turning weights to float32 for many rows at once
/// would round sums differently, and 8-bit activations amplify the last place of a sum to a step of 1/127.
final class QuantizedMatrix: WeightMatrix {
  /// Neighbouring rows of one format.
  private struct Segment: Sendable {
    let type: UInt32
    let rows: Range<Int>
    let rowBytes: Int
    /// Of the first row, in bytes.
    let offset: Int
  }

  let outputs: Int
  let inputs: Int
  private let segments: [Segment]
  private let memory: WeightMemory

  /// Rows of x that are rounded together.
  private static let roundedRows = 1024

  var byteCount: Int { memory.byteCount }

  /// nil where some of the weights are stored in a way that has no integer product. Throws `.numeric` for scales that are
  /// no numbers.
  init?(_ rows: MatrixRows) throws {
    var segments: [Segment] = [], sources: [StoredRows] = [], offset = 0
    for piece in rows.pieces {
      guard !piece.place.isTransposed, let stored = rows.weights.storedRows(of: piece.place.name),
        ck_can_multiply(stored.type)
      else { return nil }
      segments.append(
        Segment(
          type: stored.type, rows: piece.start..<piece.start + piece.rows, rowBytes: stored.rowBytes, offset: offset))
      sources.append(stored)
      offset += (piece.rows * stored.rowBytes + 63) & ~63
    }
    outputs = rows.outputs
    inputs = rows.inputs
    self.segments = segments
    memory = try WeightMemory(offset)
    let base = memory.base, fixed = segments, inputs = inputs
    for (i, piece) in rows.pieces.enumerated() {
      let source = sources[i], segment = fixed[i], failure = FirstError()
      parallelRanges(piece.rows, minimum: max(1, (1 << 18) / segment.rowBytes)) { range in
        for row in range {
          (base + segment.offset + row * segment.rowBytes).copyMemory(
            from: source.base + piece.stored(row) * segment.rowBytes, byteCount: segment.rowBytes)
        }
        let start = base + segment.offset
        let found = ck_count_nonfinite_blocks(
          segment.type, start + range.lowerBound * segment.rowBytes, range.count * inputs)
        guard found > 0 else { return }
        failure.catching { try rows.weights.refuseNonfiniteBlocks(piece.place.name) }
      }
      try failure.rethrow()
    }
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    let inputs = inputs, groups = inputs / Int(CK_GROUP)
    for first in stride(from: 0, to: rows, by: QuantizedMatrix.roundedRows) {
      let count = min(QuantizedMatrix.roundedRows, rows - first)
      let pairs = ck_scratch(CK_SCRATCH_ROUNDED, 2 * count * groups * 4 + count * inputs)
        .bindMemory(to: Float.self, capacity: 1)
      let bytes = UnsafeMutableRawPointer(pairs + 2 * count * groups).bindMemory(to: Int8.self, capacity: 1)
      parallelRanges(count, minimum: 4) { range in
        for row in range {
          ck_quantize_row(inputs, x + (first + row) * ldx, bytes + row * inputs, pairs + 2 * row * groups)
        }
      }
      product(bytes, pairs, count, y + first * ldy, ldy)
    }
  }

  private func product(
    _ q: UnsafePointer<Int8>, _ pairs: UnsafePointer<Float>, _ rows: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
    let parts = max(1, min(outputs, max(outputs / 64, 4 * threadCount)))
    parallel(parts) { part in
      let low = self.outputs * part / parts, high = self.outputs * (part + 1) / parts
      for segment in self.segments {
        let first = max(low, segment.rows.lowerBound), last = min(high, segment.rows.upperBound)
        guard first < last else { continue }
        ck_quantized_multiply(
          segment.type, rows, last - first, self.inputs, q, pairs,
          self.memory.base + segment.offset + (first - segment.rows.lowerBound) * segment.rowBytes, segment.rowBytes,
          y + first, ldy)
      }
    }
  }
}
