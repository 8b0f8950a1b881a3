import CKernels
import Foundation

/// A weight matrix in the block formats of its GGUF file, packed into panels for integer products (`blocks.h`).
///
/// Every row goes the same way, in integers straight from the blocks: turning weights to float32 for many rows at once
/// would round sums differently, and 8-bit activations amplify the last place of a sum to a step of 1/127.
final class QuantizedMatrix: WeightMatrix {
  /// Neighbouring rows of one format.
  private struct Segment: Sendable {
    let type: UInt32
    let rows: Range<Int>
    /// The segment's panels among all of the matrix, each of `panelBytes`, the first at `offset`.
    let panels: Range<Int>
    let panelBytes: Int
    let offset: Int
  }

  let outputs: Int
  let inputs: Int
  private let segments: [Segment]
  private let memory: WeightMemory

  private static let panelWidth = 32

  var byteCount: Int { memory.byteCount }

  /// nil where some of the weights are stored in a way that has no integer product. Throws `.numeric` for scales that are
  /// no numbers.
  init?(_ rows: MatrixRows) throws {
    var sources: [StoredRows] = []
    for piece in rows.pieces {
      guard !piece.place.isTransposed, let stored = rows.weights.storedRows(of: piece.place.name),
        ck_can_multiply(stored.type)
      else { return nil }
      sources.append(stored)
    }
    var segments: [Segment] = [], offset = 0, panel = 0
    let width = QuantizedMatrix.panelWidth
    for (piece, stored) in zip(rows.pieces, sources) {
      let panels = (piece.rows + width - 1) / width, bytes = ck_block_bytes(stored.type, width, rows.inputs)
      segments.append(
        Segment(
          type: stored.type, rows: piece.start..<piece.start + piece.rows, panels: panel..<panel + panels,
          panelBytes: bytes, offset: offset))
      offset += panels * bytes
      panel += panels
    }
    outputs = rows.outputs
    inputs = rows.inputs
    self.segments = segments
    memory = try WeightMemory(offset)
    for (i, piece) in rows.pieces.enumerated() where !pack(piece, sources[i], segments[i]) {
      try rows.weights.refuseNonfiniteBlocks(piece.place.name)
    }
  }

  /// Packs a weight's rows into panels; whether all of their scales are numbers.
  private func pack(_ piece: MatrixRows.Piece, _ source: StoredRows, _ segment: Segment) -> Bool {
    let width = QuantizedMatrix.panelWidth, damaged = Damaged()
    parallelRanges(segment.panels.count, minimum: max(1, (1 << 17) / segment.panelBytes)) { range in
      for panel in range {
        let target = self.memory.base + segment.offset + panel * segment.panelBytes
        let first = panel * width, last = min(piece.rows, first + width)
        if last - first < width { target.initializeMemory(as: UInt8.self, repeating: 0, count: segment.panelBytes) }
        for row in first..<last {
          let start = source.base + piece.stored(row) * source.rowBytes
          ck_pack_block_row(segment.type, self.inputs, start, target, row - first)
          if ck_count_nonfinite_blocks(segment.type, start, self.inputs) > 0 { damaged.set() }
        }
      }
    }
    return !damaged.isSet
  }

  /// Set by any thread.
  private final class Damaged: @unchecked Sendable {
    private let lock = NSLock()
    private(set) var isSet = false

    func set() { lock.withLock { isSet = true } }
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    let inputs = inputs, rowBytes = inputs / Int(CK_GROUP) * Int(CK_ROUNDED_GROUP)
    for first in stride(from: 0, to: rows, by: RowBlocks.together) {
      let blocks = RowBlocks(min(RowBlocks.together, rows - first)), x = x + first * ldx, y = y + first * ldy
      let packed = ck_scratch(CK_SCRATCH_ROUNDED, blocks.rows * rowBytes).bindMemory(to: CChar.self, capacity: 1)
      blocks.forEachStrip(of: ck_rounded_strips, isSmall: blocks.rows * inputs < 1 << 15) { rows, strips in
        ck_round_rows(
          rows.count, inputs, x + rows.lowerBound * ldx, ldx, strips.lowerBound, strips.upperBound,
          packed + rows.lowerBound * rowBytes)
      }
      blocks.forEachSlice(of: segments.last!.panels.upperBound) { slice, rows in
        for segment in self.segments {
          let panels = slice.clamped(to: segment.panels), before = panels.lowerBound - segment.panels.lowerBound
          guard !panels.isEmpty else { continue }
          let column = segment.rows.lowerBound + before * QuantizedMatrix.panelWidth
          let columns = min(segment.rows.upperBound - column, panels.count * QuantizedMatrix.panelWidth)
          ck_multiply_blocks(
            segment.type, rows.count, columns, inputs, packed + rows.lowerBound * rowBytes,
            self.memory.base + segment.offset + before * segment.panelBytes, y + rows.lowerBound * ldy + column, ldy)
        }
      }
    }
  }
}
