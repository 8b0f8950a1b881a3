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

  /// The transpose of a matrix `[inputs, outputs]` of a checkpoint, read a stretch of rows at a time.
  init(transposing source: MatrixRows, _ element: Element) throws {
    self.element = element
    outputs = source.inputs
    inputs = source.outputs
    let width = Int(CK_PANEL), panels = (outputs + width - 1) / width, total = inputs, columns = outputs
    memory = try WeightMemory(panels * width * inputs * element.bytes)
    let failure = FirstError(), base = memory.base, step = max(1, min(256, (1 << 18) / columns))
    parallel((inputs + step - 1) / step) { part in
      let rows = part * step..<min(total, (part + 1) * step)
      let values = ck_scratch(CK_SCRATCH_WEIGHTS, rows.count * columns * 4).bindMemory(to: Float.self, capacity: 1)
      failure.catching {
        try source.read(rows, into: values)
        ck_pack_columns(element.kernel, rows.lowerBound, rows.count, columns, values, columns, total, base)
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
    PanelProduct.multiply(
      x, rows: rows, ldx: ldx, panels: memory.base, outputs: outputs, inputs: inputs, element: element, into: y,
      ldy: ldy)
  }
}

func checkShape(outputs: Int, inputs: Int) throws {
  guard outputs > 0, inputs > 0 else {
    throw EngineError(.shape, "a weight matrix cannot have shape [\(outputs), \(inputs)]")
  }
}
