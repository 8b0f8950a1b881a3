import CKernels

/// A weight matrix in panels of 32 outputs (`weights.h`), in float32 or bf16.
final class PanelMatrix: WeightMatrix {
  enum Element: Sendable {
    case f32, bf16

    var type: ck_weight_type { self == .f32 ? CK_WEIGHT_F32 : CK_WEIGHT_BF16 }
  }

  let outputs: Int
  let inputs: Int
  fileprivate let type: ck_weight_type
  private let memory: WeightMemory

  fileprivate var base: UnsafePointer<Float> { UnsafePointer(memory.base.assumingMemoryBound(to: Float.self)) }

  var byteCount: Int { memory.byteCount }

  init(_ element: Element, outputs: Int, inputs: Int, fill: WeightFill) throws {
    try checkShape(outputs: outputs, inputs: inputs)
    let type = element.type, width = Int(CK_WIDTH), panels = (outputs + width - 1) / width
    (self.type, self.outputs, self.inputs) = (type, outputs, inputs)
    memory = try WeightMemory(ck_weight_bytes(type, outputs, inputs))
    let failure = FirstError(), base = memory.base, step = max(1, 8192 / inputs) * width
    parallel((panels * width + step - 1) / step) { part in
      let first = part * step, last = min(outputs, first + step)
      let rows = ck_scratch(CK_SCRATCH_WEIGHTS, (last - first) * inputs * 4).bindMemory(to: Float.self, capacity: 1)
      failure.catching {
        try fill(first..<last, rows)
        ck_pack_weights(type, last - first, inputs, rows, inputs, base + ck_weight_bytes(type, first, inputs))
      }
    }
    try failure.rethrow()
  }

  /// The transpose of a matrix `[inputs, outputs]` of a checkpoint, read a stretch of rows at a time.
  init(transposing source: MatrixRows, _ element: Element) throws {
    let type = element.type
    self.type = type
    outputs = source.inputs
    inputs = source.outputs
    memory = try WeightMemory(ck_weight_bytes(type, outputs, inputs))
    let total = inputs, columns = outputs, failure = FirstError(), base = memory.base
    let step = max(2, min(256, (1 << 18) / columns / 2 * 2))
    parallel((total + step - 1) / step) { part in
      let rows = part * step..<min(total, (part + 1) * step)
      let values = ck_scratch(CK_SCRATCH_WEIGHTS, rows.count * columns * 4).bindMemory(to: Float.self, capacity: 1)
      failure.catching {
        try source.read(rows, into: values)
        ck_pack_weight_columns(type, rows.lowerBound, rows.count, columns, values, columns, total, base)
      }
    }
    try failure.rethrow()
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    if rows == 1 && type == CK_WEIGHT_F32 { return product(x, RowBlocks(1), y, ldy) }
    let floats = ck_packed_row(type, inputs)
    for first in stride(from: 0, to: rows, by: RowBlocks.together) {
      let blocks = RowBlocks(min(RowBlocks.together, rows - first))
      let packed = ck_scratch(CK_SCRATCH_ROUNDED, blocks.rows * floats * 4).bindMemory(to: Float.self, capacity: 1)
      pack(x + first * ldx, ldx, blocks, into: packed)
      product(packed, blocks, y + first * ldy, ldy)
    }
  }

  private func pack(
    _ x: UnsafePointer<Float>, _ ldx: Int, _ blocks: RowBlocks, into packed: UnsafeMutablePointer<Float>
  ) {
    let floats = ck_packed_row(type, inputs)
    blocks.forEachStrip(of: { ck_strips(type, $0) }, isSmall: blocks.rows * inputs < 1 << 15) { rows, strips in
      ck_pack_rows(
        type, rows.count, inputs, x + rows.lowerBound * ldx, ldx, strips.lowerBound, strips.upperBound,
        packed + rows.lowerBound * floats)
    }
  }

  private func product(
    _ packed: UnsafePointer<Float>, _ blocks: RowBlocks, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
    let width = Int(CK_WIDTH), panels = (outputs + width - 1) / width, floats = ck_packed_row(type, inputs)
    blocks.forEachSlice(of: panels) { slice, rows in
      let column = slice.lowerBound * width, columns = min(self.outputs, slice.upperBound * width) - column
      ck_multiply_packed(
        self.type, rows.count, columns, self.inputs, packed + rows.lowerBound * floats,
        self.memory.base + ck_weight_bytes(self.type, column, self.inputs), y + rows.lowerBound * ldy + column, ldy, 0)
    }
  }
}

/// A float32 matrix with inputs and outputs exchanged, for gradients: `dx = dy w` from the panels of `y = x wᵀ`.
final class TransposedView: WeightMatrix {
  private let matrix: PanelMatrix

  var outputs: Int { matrix.inputs }
  var inputs: Int { matrix.outputs }
  var byteCount: Int { 0 }

  /// nil where a packed transpose is faster: bf16, and CPUs whose registers hold only half a tile.
  init?(_ matrix: any WeightMatrix) {
    guard let panels = matrix as? PanelMatrix, panels.type == CK_WEIGHT_F32, ck_has_avx512() else { return nil }
    self.matrix = panels
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    let width = Int(CK_WIDTH), inputs = inputs, outputs = outputs, most = RowBlocks.together / width * width
    for first in stride(from: 0, to: rows, by: most) {
      let count = min(most, rows - first), panels = (count + width - 1) / width, x = x + first * ldx,
        y = y + first * ldy
      let packed = ck_scratch(CK_SCRATCH_ROUNDED, panels * width * inputs * 4).bindMemory(to: Float.self, capacity: 1)
      parallelRanges(panels, minimum: max(1, (1 << 15) / (width * inputs))) { range in
        let row = range.lowerBound * width, last = min(count, range.upperBound * width)
        ck_pack_weights(CK_WEIGHT_F32, last - row, inputs, x + row * ldx, ldx, packed + row * inputs)
      }
      // Blocks of whole panels, 192 rows at most; slices of inputs in whole tiles, of 14 or of 6.
      RowBlocks(panels, most: 6).forEachSlice(of: (outputs + 41) / 42) { slice, block in
        let row = block.lowerBound * width, rows = min(count, block.upperBound * width) - row
        let low = slice.lowerBound * 42, high = min(outputs, slice.upperBound * 42)
        let sums = ck_scratch(CK_SCRATCH_SUMS, ck_back_scratch(rows, high - low) * 4)
          .bindMemory(to: Float.self, capacity: 1)
        ck_multiply_back(
          rows, inputs, outputs, packed + row * inputs, self.matrix.base, low, high, y + row * ldy, ldy, sums)
      }
    }
  }
}

func checkShape(outputs: Int, inputs: Int) throws {
  guard outputs > 0, inputs > 0 else {
    throw EngineError(.shape, "a weight matrix cannot have shape [\(outputs), \(inputs)]")
  }
}
