/// A model's weights with some tensors replaced by others in memory, under the container's names and in its arrangement;
/// the others are read where they lie.
final class EditedWeights: WeightSource {
  private let base: any WeightSource
  private let edits: [String: Tensor]
  let names: [String]

  /// `edits` may name tensors that `base` does not have.
  init(_ base: any WeightSource, _ edits: [String: Tensor]) {
    self.base = base
    self.edits = edits
    let known = Set(base.names)
    names = base.names + edits.keys.filter { !known.contains($0) }.sorted()
  }

  var path: String { base.path }
  func verify() throws { try base.verify() }
  func shape(of name: String) -> [Int]? { edits[name]?.shape ?? base.shape(of: name) }
  func storage(of name: String) -> StoredForm? {
    edits[name].map { StoredForm(type: "F32", bytes: $0.count * 4) } ?? base.storage(of: name)
  }
  func storedRows(of name: String) -> StoredRows? { edits[name] == nil ? base.storedRows(of: name) : nil }

  func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let tensor = edits[name] else { return try base.read(name, rows: rows, into: destination) }
    try check(rows, of: name, tensor.shape)
    let width = tensor.shape.last ?? 1
    destination.update(from: tensor.pointer + rows.lowerBound * width, count: rows.count * width)
  }
}

extension CheckpointLayout {
  /// What tensors of the container become where `edits` replace tensors of the checkpoint: by the container's names,
  /// whole, in its arrangement.
  func containerTensors(_ edits: [String: Tensor]) throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    func container(_ name: String) throws -> Tensor {
      if let known = result[name] { return known }
      let tensor = try source.weights.tensor(name)
      result[name] = tensor
      return tensor
    }
    for (name, edit) in edits {
      let values = edit.pointer
      for part in contents[name] ?? [] {
        switch part {
        case .norm(let role, let layer, let width):
          // A GGUF file holds the weight as it is multiplied, a checkpoint may leave out an offset.
          let offset = source.isGGUF ? source.family.checkpointNormOffset : 0
          let target = try container(source.place(role, layer: layer).name).mutablePointer
          for i in 0..<width { target[i] = values[i] + offset }
        case .normBias(let role, let layer, let width):
          let target = try container(source.place(role, layer: layer).name.biasName).mutablePointer
          target.update(from: values, count: width)
        case .positions:
          let target = try container(source.place(.positionEmbedding).name)
          target.mutablePointer.update(from: values, count: min(target.count, edit.count))
        case .bias(let part, let layer):
          let piece = try containerPiece(part, layer), own = try checkpointPiece(part, layer)
          let target = try container(piece.place.name.biasName).mutablePointer
          for i in 0..<part.rows { target[piece.stored(i)] = values[own.stored(i)] }
        case .matrix(let part, let layer, let inputs):
          let piece = try containerPiece(part, layer), own = try checkpointPiece(part, layer)
          let target = try container(piece.place.name), width = target.lastDimension, ownWidth = edit.lastDimension
          for row in 0..<part.rows {
            let to = piece.stored(row), from = own.stored(row)
            for input in 0..<inputs {
              let value = own.place.isTransposed ? values[input * ownWidth + from] : values[from * ownWidth + input]
              target.mutablePointer[piece.place.isTransposed ? input * width + to : to * width + input] = value
            }
          }
        }
      }
    }
    return result
  }

  private func containerPiece(_ part: MatrixPart, _ layer: Int?) throws -> MatrixRows.Piece {
    let inputs = layer == nil ? source.configuration.dModel : try inputs(of: part)
    return try source.rows([part], layer: layer, inputs: inputs).pieces[0]
  }

  private func inputs(of part: MatrixPart) throws -> Int {
    let c = source.configuration
    let matrix = BlockMatrix.allCases.first { $0.parts(c).contains { $0.role == part.role } }
    return matrix?.inputs(c) ?? c.dModel
  }

  /// How the container keeps a tensor, or the first part of it: `BF16`, `Q4_K`.
  func storedType(_ name: String) -> String? {
    guard let part = contents[name]?.first else { return nil }
    let place: String?
    switch part {
    case .norm(let role, let layer, _): place = try? source.place(role, layer: layer).name
    case .normBias(let role, let layer, _): place = try? source.place(role, layer: layer).name.biasName
    case .positions: place = try? source.place(.positionEmbedding).name
    case .bias(let part, let layer): place = try? source.place(part.role, layer: layer).name.biasName
    case .matrix(let part, let layer, _): place = try? source.place(part.role, layer: layer).name
    }
    return place.flatMap { source.weights.storage(of: $0)?.type }
  }
}
