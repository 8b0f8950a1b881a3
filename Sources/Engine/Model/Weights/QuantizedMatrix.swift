import CKernels
import Foundation

/// A weight matrix in the block formats of its GGUF file: as they are stored (`ck_quantized_multiply`), or packed into
/// panels where the CPU has integer dot products for them (`blocks.h`).
///
/// Every row goes the same way, in integers straight from the blocks: turning weights to float32 for many rows at once
/// would round sums differently, and 8-bit activations amplify the last place of a sum to a step of 1/127.
final class QuantizedMatrix: WeightMatrix {
  /// Neighbouring rows of one format.
  private struct Segment: Sendable {
    let type: UInt32
    let rows: Range<Int>
    /// Of a row as stored, or of a panel of 32.
    let bytes: Int
    /// Of the first row or panel, in bytes.
    let offset: Int
    /// The segment's panels among all of the matrix, where it is packed.
    let panels: Range<Int>
  }

  let outputs: Int
  let inputs: Int
  private let isPacked: Bool
  private let segments: [Segment]
  private let memory: WeightMemory

  /// Rows of x that are rounded together, where weights stay as they are stored.
  private static let roundedRows = 1024
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
    let isPacked = sources.allSatisfy { ck_packs_blocks($0.type) }, width = QuantizedMatrix.panelWidth
    var segments: [Segment] = [], offset = 0, panel = 0
    for (piece, stored) in zip(rows.pieces, sources) {
      let panels = (piece.rows + width - 1) / width
      let bytes = isPacked ? ck_block_bytes(stored.type, width, rows.inputs) : stored.rowBytes
      segments.append(
        Segment(
          type: stored.type, rows: piece.start..<piece.start + piece.rows, bytes: bytes, offset: offset,
          panels: panel..<panel + panels))
      offset += ((isPacked ? panels : piece.rows) * bytes + 63) & ~63
      panel += panels
    }
    outputs = rows.outputs
    inputs = rows.inputs
    self.isPacked = isPacked
    self.segments = segments
    memory = try WeightMemory(offset)
    for (i, piece) in rows.pieces.enumerated() {
      let isFinite = isPacked ? pack(piece, sources[i], segments[i]) : copy(piece, sources[i], segments[i])
      if !isFinite { try rows.weights.refuseNonfiniteBlocks(piece.place.name) }
    }
  }

  /// Copies a weight's rows; whether all of their scales are numbers.
  private func copy(_ piece: MatrixRows.Piece, _ source: StoredRows, _ segment: Segment) -> Bool {
    let damaged = Damaged()
    parallelRanges(piece.rows, minimum: max(1, (1 << 18) / segment.bytes)) { range in
      for row in range {
        let start = source.base + piece.stored(row) * segment.bytes
        (self.memory.base + segment.offset + row * segment.bytes).copyMemory(from: start, byteCount: segment.bytes)
        if ck_count_nonfinite_blocks(segment.type, start, self.inputs) > 0 { damaged.set() }
      }
    }
    return !damaged.isSet
  }

  /// The same into panels.
  private func pack(_ piece: MatrixRows.Piece, _ source: StoredRows, _ segment: Segment) -> Bool {
    let width = QuantizedMatrix.panelWidth, damaged = Damaged()
    parallelRanges(segment.panels.count, minimum: max(1, (1 << 17) / segment.bytes)) { range in
      for panel in range {
        let target = self.memory.base + segment.offset + panel * segment.bytes
        let first = panel * width, last = min(piece.rows, first + width)
        if last - first < width { target.initializeMemory(as: UInt8.self, repeating: 0, count: segment.bytes) }
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
    isPacked ? multiplyPacked(x, rows, ldx, y, ldy) : multiplyStored(x, rows, ldx, y, ldy)
  }

  private func multiplyPacked(
    _ x: UnsafePointer<Float>, _ rows: Int, _ ldx: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
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
            self.memory.base + segment.offset + before * segment.bytes, y + rows.lowerBound * ldy + column, ldy)
        }
      }
    }
  }

  private func multiplyStored(
    _ x: UnsafePointer<Float>, _ rows: Int, _ ldx: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
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
        let range = (low..<high).clamped(to: segment.rows)
        guard !range.isEmpty else { continue }
        ck_quantized_multiply(
          segment.type, rows, range.count, self.inputs, q, pairs,
          self.memory.base + segment.offset + (range.lowerBound - segment.rows.lowerBound) * segment.bytes,
          segment.bytes, y + range.lowerBound, ldy)
      }
    }
  }
}
