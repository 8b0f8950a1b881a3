import CKernels

/// Gradients of a checkpoint's tensors, of their names and shapes, added up over passes.
final class ParameterGradients {
  private let source: ModelSource
  private(set) var tensors: [String: Tensor] = [:]
  private let workspace: Workspace

  /// Throws `.missing` for a name that the checkpoint does not have.
  init(_ source: ModelSource, names: [String], workspace: Workspace) throws {
    self.source = source
    self.workspace = workspace
    let shapes = try CheckpointLayout(source).shapes
    for name in names {
      guard let shape = shapes[name] else {
        throw EngineError(
          .missing, "\(source.path) has no parameter \(name)\(suggestion(for: name, in: Array(shapes.keys)))")
      }
      tensors[name] = try Tensor.zeros(shape)
    }
  }

  /// Sets all to zero.
  func clear() { for tensor in tensors.values { tensor.mutablePointer.update(repeating: 0, count: tensor.count) } }

  subscript(_ role: WeightRole, layer layer: Int? = nil) -> Tensor? {
    (try? source.checkpointPlace(role, layer: layer)).flatMap { tensors[$0.name] }
  }

  func bias(of role: WeightRole, layer: Int? = nil) -> Tensor? {
    (try? source.checkpointPlace(role, layer: layer)).flatMap { tensors[$0.name.biasName] }
  }

  /// Whether products of a block's matrix need their input.
  func wants(_ matrix: BlockMatrix, layer: Int) -> Bool {
    matrix.parts(source.configuration).contains {
      self[$0.role, layer: layer] != nil || bias(of: $0.role, layer: layer) != nil
    }
  }

  /// Adds `dyᵀ x` to the weights of a block's matrix, and column sums of dy to their biases; x `[rows, inputs]`,
  /// dy `[rows, outputs]`.
  func add(
    _ matrix: BlockMatrix, layer: Int, dy: UnsafePointer<Float>, x: UnsafePointer<Float>, rows: Int
  ) throws {
    guard wants(matrix, layer: layer) else { return }
    let c = source.configuration, parts = matrix.parts(c), inputs = matrix.inputs(c), outputs = matrix.outputs(c)
    let product = try TransposedProduct(x, rows: rows, columns: inputs, ldx: inputs, workspace: workspace)
    var first = 0
    for part in parts {
      let place = try source.checkpointPlace(part.role, layer: layer), own = dy + first
      first += part.rows
      let piece = MatrixRows.Piece(
        place: place, start: 0, rows: part.rows, headSize: part.headSize, isInterleaved: false)
      if let target = tensors[place.name] {
        if piece.isContiguous && !place.isTransposed {
          product.multiply(
            own, m: part.rows, lddy: outputs, into: target.mutablePointer + place.part * part.rows * inputs,
            ldy: inputs, adding: true)
        } else {
          let gradient = try workspace.tensor([part.rows, inputs])
          product.multiply(
            own, m: part.rows, lddy: outputs, into: gradient.mutablePointer, ldy: inputs, adding: false)
          scatter(gradient, piece, into: target)
        }
      }
      if let target = tensors[place.name.biasName] {
        let sums = try Tensor.zeros([part.rows])
        ck_column_sums(rows, part.rows, own, outputs, sums.mutablePointer)
        for row in 0..<part.rows { target.mutablePointer[piece.stored(row)] += sums.pointer[row] }
      }
    }
  }

  /// Adds rows of a weight to where the checkpoint has them.
  private func scatter(_ product: Tensor, _ piece: MatrixRows.Piece, into target: Tensor) {
    let inputs = product.shape[1], width = target.shape[1]
    parallelRanges(product.shape[0], minimum: 16) { range in
      for row in range {
        let source = product.pointer + row * inputs, stored = piece.stored(row)
        if piece.place.isTransposed {
          for i in 0..<inputs { target.mutablePointer[i * width + stored] += source[i] }
        } else {
          for i in 0..<inputs { target.mutablePointer[stored * inputs + i] += source[i] }
        }
      }
    }
  }
}
