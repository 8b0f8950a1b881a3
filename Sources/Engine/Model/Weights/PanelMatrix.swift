import CKernels

/// A weight matrix as panels of 16 outputs (`ck_panel_multiply`), in float32 or bf16.
final class PanelMatrix: WeightMatrix {
  enum Element: Sendable {
    case f32, bf16

    var bytes: Int { self == .f32 ? 4 : 2 }
    var kernel: ck_panel_type { self == .f32 ? CK_PANEL_F32 : CK_PANEL_BF16 }
  }

  let outputs: Int
  let inputs: Int
  private let element: Element
  private let memory: WeightMemory

  /// Rows of x that one task takes at most: few enough to stay in the second cache.
  private static let rowBlock = 96
  /// Rows of x that are rounded to bf16 together.
  private static let roundedRows = 1024

  var byteCount: Int { memory.byteCount }

  init(_ element: Element, outputs: Int, inputs: Int, fill: WeightFill) throws {
    try checkShape(outputs: outputs, inputs: inputs)
    self.element = element
    self.outputs = outputs
    self.inputs = inputs
    let width = Int(CK_PANEL), panels = (outputs + width - 1) / width, panelBytes = width * inputs * element.bytes
    memory = try WeightMemory(panels * panelBytes)
    let failure = FirstError(), step = max(1, 8192 / inputs), base = memory.base
    parallel((panels + step - 1) / step) { part in
      let first = part * step * width, last = min(outputs, first + step * width)
      let rows = ck_scratch(CK_SCRATCH_WEIGHTS, (last - first) * inputs * 4).bindMemory(to: Float.self, capacity: 1)
      failure.catching {
        try fill(first..<last, rows)
        ck_pack_panels(element.kernel, last - first, inputs, rows, base + first / width * panelBytes)
      }
    }
    try failure.rethrow()
  }

  func multiply(_ x: UnsafePointer<Float>, rows: Int, ldx: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    guard element == .bf16 else { return product(x, rows, ldx, y, ldy) }
    let inputs = inputs
    for first in stride(from: 0, to: rows, by: PanelMatrix.roundedRows) {
      let count = min(PanelMatrix.roundedRows, rows - first)
      let rounded = ck_scratch(CK_SCRATCH_ROUNDED, count * inputs * 4).bindMemory(to: Float.self, capacity: 1)
      parallelRanges(count, minimum: 16) { range in
        for row in range { ck_round_bf16(inputs, x + (first + row) * ldx, rounded + row * inputs) }
      }
      product(rounded, count, inputs, y + first * ldy, ldy)
    }
  }

  private func product(
    _ x: UnsafePointer<Float>, _ rows: Int, _ ldx: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int
  ) {
    let width = Int(CK_PANEL), panels = (outputs + width - 1) / width
    let blocks = (rows + PanelMatrix.rowBlock - 1) / PanelMatrix.rowBlock
    // About eight tasks a thread, so that the last ones end together; neighbouring tasks share weights.
    let slices = min(panels, max(1, 8 * threadCount / blocks))
    let panelBytes = width * inputs * element.bytes, base = memory.base
    parallel(slices * blocks) { task in
      let slice = task / blocks, block = task % blocks
      let row = rows * block / blocks, end = rows * (block + 1) / blocks
      let first = panels * slice / slices, last = panels * (slice + 1) / slices
      let column = first * width, columns = min(self.outputs, last * width) - column
      ck_panel_multiply(
        self.element.kernel, end - row, columns, self.inputs, x + row * ldx, ldx, base + first * panelBytes,
        y + row * ldy + column, ldy)
    }
  }
}

func checkShape(outputs: Int, inputs: Int) throws {
  guard outputs > 0, inputs > 0 else {
    throw EngineError(.shape, "a weight matrix cannot have shape [\(outputs), \(inputs)]")
  }
}
