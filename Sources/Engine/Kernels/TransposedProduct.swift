import CKernels

/// Products `y [m, columns] = dyᵀ x` that sum over rows: gradients of weights. x is packed as weights are, dy as rows.
struct TransposedProduct {
  let rows: Int
  let columns: Int
  private let panels: Tensor

  /// Packs x `[rows, columns]` at distance `ldx`, in memory of the workspace.
  init(_ x: UnsafePointer<Float>, rows: Int, columns: Int, ldx: Int, workspace: Workspace) throws {
    (self.rows, self.columns) = (rows, columns)
    panels = try workspace.tensor([ck_weight_bytes(CK_WEIGHT_F32, columns, rows) / 4])
    let target = panels.mutablePointer
    parallelRanges(rows, minimum: max(1, (1 << 15) / max(1, columns))) { range in
      ck_pack_weight_columns(
        CK_WEIGHT_F32, range.lowerBound, range.count, columns, x + range.lowerBound * ldx, ldx, rows, target)
    }
  }

  /// dy `[rows, m]` at distance `lddy`; added to y with `adding`.
  func multiply(
    _ dy: UnsafePointer<Float>, m: Int, lddy: Int, into y: UnsafeMutablePointer<Float>, ldy: Int, adding: Bool
  ) {
    let width = Int(CK_WIDTH), rows = rows, columns = columns, base = panels.pointer
    for first in stride(from: 0, to: m, by: RowBlocks.together) {
      let blocks = RowBlocks(min(RowBlocks.together, m - first)), dy = dy + first, y = y + first * ldy
      let packed = ck_scratch(CK_SCRATCH_ROUNDED, blocks.rows * rows * 4).bindMemory(to: Float.self, capacity: 1)
      blocks.forEachStrip(of: { ck_strips(CK_WEIGHT_F32, $0) }, isSmall: blocks.rows * rows < 1 << 15) { part, strips in
        ck_pack_columns_as_rows(
          part.count, rows, dy + part.lowerBound, lddy, strips.lowerBound, strips.upperBound,
          packed + part.lowerBound * rows)
      }
      blocks.forEachSlice(of: (columns + width - 1) / width) { slice, part in
        let column = slice.lowerBound * width
        ck_multiply_packed(
          CK_WEIGHT_F32, part.count, min(columns, slice.upperBound * width) - column, rows,
          packed + part.lowerBound * rows, base + column * rows, y + part.lowerBound * ldy + column, ldy, adding ? 1 : 0
        )
      }
    }
  }
}
