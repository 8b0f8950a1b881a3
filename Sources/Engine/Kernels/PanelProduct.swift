import CKernels

/// Products with panels of 16 columns (`panels.h`), for what changes from run to run, split over the engine's threads.
enum PanelProduct {
  /// Rows of x that one task takes at most: few enough to stay in the second cache.
  private static let rowBlock = 96

  /// Floats of float32 panels for `columns` outputs and `inputs` inputs.
  static func panelFloats(inputs: Int, columns: Int) -> Int {
    let width = Int(CK_PANEL)
    return (columns + width - 1) / width * width * inputs
  }

  /// `y [rows, outputs] = x [rows, inputs] wᵀ`, w `[outputs, inputs]` in panels; added to y with `adding`.
  static func multiply(
    _ x: UnsafePointer<Float>, rows: Int, ldx: Int, panels: UnsafePointer<Float>, outputs: Int, inputs: Int,
    into y: UnsafeMutablePointer<Float>, ldy: Int, adding: Bool = false
  ) {
    let width = Int(CK_PANEL), product = adding ? ck_panel_multiply_add : ck_panel_multiply
    RowBlocks(rows, most: rowBlock).forEachSlice(of: (outputs + width - 1) / width) { slice, block in
      let column = slice.lowerBound * width, columns = min(outputs, slice.upperBound * width) - column
      product(
        block.count, columns, inputs, x + block.lowerBound * ldx, ldx, panels + column * inputs,
        y + block.lowerBound * ldy + column, ldy)
    }
  }

  /// Packs x `[rows, columns]` so that products sum over its rows; `target` takes `panelFloats(rows, columns)`.
  static func packColumns(
    _ x: UnsafePointer<Float>, rows: Int, columns: Int, ldx: Int, into target: UnsafeMutablePointer<Float>
  ) {
    parallelRanges(rows, minimum: max(1, (1 << 15) / max(1, columns))) { range in
      ck_pack_columns(
        range.lowerBound, range.count, columns, x + range.lowerBound * ldx, ldx, rows, target)
    }
  }

  /// `y [m, columns] = xᵀ b` for x `[rows, m]` and b `[rows, columns]` packed by `packColumns`; added with `adding`.
  static func multiplyTransposed(
    _ x: UnsafePointer<Float>, rows: Int, m: Int, ldx: Int, panels: UnsafePointer<Float>, columns: Int,
    into y: UnsafeMutablePointer<Float>, ldy: Int, adding: Bool
  ) {
    // Tasks of whole tiles of 6 columns of x, at most 96, so that their part of x stays in the second cache.
    let tiles = (m + 5) / 6, parts = max(1, min(tiles, max((tiles + 15) / 16, min(4 * threadCount, tiles / 4))))
    parallel(parts) { part in
      let low = tiles * part / parts * 6, high = min(m, tiles * (part + 1) / parts * 6)
      ck_panel_multiply_transposed(
        high - low, columns, rows, x + low, ldx, panels, y + low * ldy, ldy, adding ? 1 : 0)
    }
  }
}
