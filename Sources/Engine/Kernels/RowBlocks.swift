import CKernels

/// Rows of a product cut into blocks whose packed form stays in the second cache, and panels cut into slices: the
/// tasks of the engine's threads.
struct RowBlocks {
  /// Rows that are packed at a time.
  static let together = 1120
  private static let most = 140

  let rows: Int
  let count: Int

  init(_ rows: Int, most: Int = RowBlocks.most) {
    self.rows = rows
    count = (rows + most - 1) / most
  }

  subscript(block: Int) -> Range<Int> { rows * block / count..<rows * (block + 1) / count }

  /// Calls `body` with a block's rows and a range of its strips, for all of them; `strips` gives how many a number of
  /// rows has. Small work stays on the caller's thread, since handing it out would take longer.
  func forEachStrip(of strips: (Int) -> Int, isSmall: Bool, _ body: (_ rows: Range<Int>, _ strips: Range<Int>) -> Void)
  {
    guard !isSmall else {
      for block in 0..<count { body(self[block], 0..<strips(self[block].count)) }
      return
    }
    let most = strips((rows + count - 1) / count)
    parallel(count * most) { task in
      let rows = self[task / most], strip = task % most
      if strip < strips(rows.count) { body(rows, strip..<strip + 1) }
    }
  }

  /// Calls `body` for every block with slices of `panels`, on all threads: about eight tasks a thread, so that the last
  /// ones end together. Neighbouring tasks share weights.
  func forEachSlice(of panels: Int, _ body: (_ slice: Range<Int>, _ rows: Range<Int>) -> Void) {
    guard count > 0 else { return }
    let slices = min(panels, max(1, 8 * threadCount / count))
    parallel(slices * count) { task in
      let slice = task / count
      body(panels * slice / slices..<panels * (slice + 1) / slices, self[task % count])
    }
  }
}
