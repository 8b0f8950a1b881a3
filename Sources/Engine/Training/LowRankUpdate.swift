import CKernels

/// A linear map of a block that an adapter may change: a checkpoint's module, and where its outputs stand in the
/// block's matrix.
struct LinearModule: Sendable, Equatable {
  /// As in the checkpoint, without `.weight`: `model.layers.0.self_attn.q_proj`.
  let name: String
  let layer: Int
  let matrix: BlockMatrix
  /// Its rows of the matrix: `first ..< first + outputs`.
  let first: Int
  let outputs: Int
  let inputs: Int
  /// For each of these rows the module's own; nil where the order is the same.
  let order: [Int]?

  /// What PEFT calls a target module: `q_proj`.
  var target: String { String(name[name.index(after: name.lastIndex(of: ".") ?? name.startIndex)...]) }

  /// All linear maps of a model's blocks.
  static func all(_ source: ModelSource) throws -> [LinearModule] {
    let c = source.configuration
    var modules: [LinearModule] = []
    for layer in 0..<c.layerCount {
      for matrix in BlockMatrix.allCases {
        var first = 0
        var parts = matrix.parts(c)[...]
        while let head = parts.first {
          let name = try source.checkpointPlace(head.role, layer: layer).name
          let together = try parts.prefix { try source.checkpointPlace($0.role, layer: layer).name == name }
          var order: [Int] = []
          for part in together {
            let piece = MatrixRows.Piece(
              place: try source.checkpointPlace(part.role, layer: layer), start: 0, rows: part.rows,
              headSize: part.headSize, isInterleaved: false)
            order += (0..<part.rows).map(piece.stored)
          }
          modules.append(
            LinearModule(
              name: name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name, layer: layer,
              matrix: matrix, first: first, outputs: order.count, inputs: matrix.inputs(c),
              order: order == Array(0..<order.count) ? nil : order))
          first += order.count
          parts = parts.dropFirst(together.count)
        }
      }
    }
    return modules
  }
}

/// A low-rank change of one linear map (LoRA, Hu et al. 2022, section 4.1): `y += scale * (x Aᵀ) Bᵀ`.
final class LowRankUpdate: @unchecked Sendable {
  let module: LinearModule
  let rank: Int
  /// alpha / rank.
  let scale: Float
  /// A `[rank, inputs]`.
  let down: Parameter
  /// B `[outputs, rank]`, in the matrix's order of rows.
  let up: Parameter
  /// Added to each output besides (PEFT's `lora_bias`), scaled already.
  let offset: [Float]?
  /// Whether a training under way changes it: then it drops inputs, and gradients are kept.
  var isLearning = false
  private let downPanels: Tensor
  private let upPanels: Tensor

  init(_ module: LinearModule, rank: Int, scale: Float, down: Tensor, up: Tensor, offset: [Float]? = nil) throws {
    precondition(down.shape == [rank, module.inputs] && up.shape == [module.outputs, rank])
    (self.module, self.rank, self.scale, self.offset) = (module, rank, scale, offset)
    self.down = try Parameter(module.name + ".lora_A.weight", down)
    self.up = try Parameter(module.name + ".lora_B.weight", up)
    downPanels = try Tensor(uninitialized: [PanelProduct.panelFloats(inputs: module.inputs, columns: rank)])
    upPanels = try Tensor(uninitialized: [PanelProduct.panelFloats(inputs: rank, columns: module.outputs)])
    refresh()
  }

  /// Packs A and B again after they changed.
  func refresh() {
    ck_pack_panels(rank, module.inputs, down.value.pointer, downPanels.mutablePointer)
    ck_pack_panels(module.outputs, rank, up.value.pointer, upPanels.mutablePointer)
  }

  /// `scale * x Aᵀ`, `[rows, rank]`.
  func project(_ x: UnsafePointer<Float>, rows: Int, into u: UnsafeMutablePointer<Float>) {
    PanelProduct.multiply(
      x, rows: rows, ldx: module.inputs, panels: downPanels.pointer, outputs: rank, inputs: module.inputs, into: u,
      ldy: rank)
    for i in 0..<rows * rank { u[i] *= scale }
  }

  /// Adds the update to y, rows of the block's matrix at distance `ldy`.
  func apply(_ x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>, ldy: Int) {
    let u = ck_scratch(CK_SCRATCH_PRODUCT, rows * rank * 4).bindMemory(to: Float.self, capacity: rows * rank)
    project(x, rows: rows, into: u)
    PanelProduct.multiply(
      u, rows: rows, ldx: rank, panels: upPanels.pointer, outputs: module.outputs, inputs: rank,
      into: y + module.first, ldy: ldy, adding: true)
    offset?.withUnsafeBufferPointer { offset in
      let base = offset.baseAddress!
      parallelRanges(rows, minimum: 16) { range in
        ck_add(range.count, module.outputs, y + module.first + range.lowerBound * ldy, ldy, base, 0)
      }
    }
  }

  /// Adds the gradient of x to `dx`, from the gradient `dy` of the matrix's result, `[rows, ldy]`; where it is
  /// learning, also the gradients of A and B to theirs.
  func backward(
    _ x: UnsafePointer<Float>, rows: Int, dy: UnsafePointer<Float>, ldy: Int, dx: UnsafeMutablePointer<Float>,
    workspace: Workspace
  ) throws {
    let own = dy + module.first, inputs = module.inputs, outputs = module.outputs
    // du = scale * dy B.
    let du = try workspace.tensor([rows, rank])
    let upColumns = try workspace.tensor([PanelProduct.panelFloats(inputs: outputs, columns: rank)])
    PanelProduct.packColumns(up.value.pointer, rows: outputs, columns: rank, ldx: rank, into: upColumns.mutablePointer)
    PanelProduct.multiply(
      own, rows: rows, ldx: ldy, panels: upColumns.pointer, outputs: rank, inputs: outputs, into: du.mutablePointer,
      ldy: rank)
    for i in 0..<rows * rank { du.mutablePointer[i] *= scale }
    // dx += du A.
    let downColumns = try workspace.tensor([PanelProduct.panelFloats(inputs: rank, columns: inputs)])
    PanelProduct.packColumns(
      down.value.pointer, rows: rank, columns: inputs, ldx: inputs, into: downColumns.mutablePointer)
    PanelProduct.multiply(
      du.pointer, rows: rows, ldx: rank, panels: downColumns.pointer, outputs: inputs, inputs: rank, into: dx,
      ldy: inputs, adding: true)
    if isLearning { try learn(x, rows: rows, dy: own, ldy: ldy, du: du, workspace: workspace) }
  }

  /// `dB += dyᵀ u` and `dA += duᵀ x`.
  private func learn(
    _ x: UnsafePointer<Float>, rows: Int, dy: UnsafePointer<Float>, ldy: Int, du: Tensor, workspace: Workspace
  ) throws {
    let inputs = module.inputs
    let u = try workspace.tensor([rows, rank])
    project(x, rows: rows, into: u.mutablePointer)
    let panels = try workspace.tensor([PanelProduct.panelFloats(inputs: rows, columns: rank)])
    PanelProduct.packColumns(u.pointer, rows: rows, columns: rank, ldx: rank, into: panels.mutablePointer)
    let dUp = try accumulated(up), dDown = try accumulated(down)
    PanelProduct.multiplyTransposed(
      dy, rows: rows, m: module.outputs, ldx: ldy, panels: panels.pointer, columns: rank, into: dUp.mutablePointer,
      ldy: rank, adding: true)
    // duᵀ x as (xᵀ du)ᵀ, since x is the long side.
    PanelProduct.packColumns(du.pointer, rows: rows, columns: rank, ldx: rank, into: panels.mutablePointer)
    let turned = try workspace.tensor([inputs, rank])
    PanelProduct.multiplyTransposed(
      x, rows: rows, m: inputs, ldx: inputs, panels: panels.pointer, columns: rank, into: turned.mutablePointer,
      ldy: rank, adding: false)
    for i in 0..<inputs {
      for r in 0..<rank { dDown.mutablePointer[r * inputs + i] += turned.pointer[i * rank + r] }
    }
  }

  private func accumulated(_ parameter: Parameter) throws -> Tensor {
    if let known = parameter.gradient { return known }
    let fresh = try Tensor.zeros(parameter.value.shape)
    parameter.gradient = fresh
    return fresh
  }
}
