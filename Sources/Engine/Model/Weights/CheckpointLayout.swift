/// A model's tensors as its family's Hugging Face checkpoint names and shapes them, whatever container they came from.
struct CheckpointLayout {
  let source: ModelSource
  /// In the order of the blocks.
  let names: [String]
  let shapes: [String: [Int]]
  let contents: [String: [Content]]

  /// What a tensor, or a part of it, is made of.
  enum Content {
    case matrix(MatrixPart, layer: Int?, inputs: Int)
    case bias(MatrixPart, layer: Int)
    case norm(WeightRole, layer: Int?, width: Int)
    case normBias(WeightRole, layer: Int?, width: Int)
    case positions
  }

  init(_ source: ModelSource) throws {
    let c = source.configuration
    var names: [String] = [], shapes: [String: [Int]] = [:], contents: [String: [Content]] = [:]
    func put(_ name: String, _ shape: [Int], _ content: Content) {
      if shapes[name] == nil { names.append(name) }
      shapes[name] = shape
      contents[name, default: []].append(content)
    }
    func putNorm(_ role: WeightRole, layer: Int?, width: Int) throws {
      let name = try source.checkpointPlace(role, layer: layer).name
      put(name, [width], .norm(role, layer: layer, width: width))
      if c.norm == .layer { put(name.biasName, [width], .normBias(role, layer: layer, width: width)) }
    }
    let vocabulary = { MatrixPart(role: $0, rows: c.vocabularySize) }
    put(
      try source.checkpointPlace(.embedding).name, [c.vocabularySize, c.dModel],
      .matrix(vocabulary(.embedding), layer: nil, inputs: c.dModel))
    if c.learnedPositions {
      put(try source.checkpointPlace(.positionEmbedding).name, [c.contextLength, c.dModel], .positions)
    }
    for layer in 0..<c.layerCount {
      try putNorm(.attentionNorm, layer: layer, width: c.dModel)
      try putNorm(.mlpNorm, layer: layer, width: c.dModel)
      if c.postNorms {
        try putNorm(.postAttentionNorm, layer: layer, width: c.dModel)
        try putNorm(.postMLPNorm, layer: layer, width: c.dModel)
      }
      if c.queryKeyNorm {
        try putNorm(.queryNorm, layer: layer, width: c.dHead)
        try putNorm(.keyNorm, layer: layer, width: c.dHead)
      }
      for matrix in BlockMatrix.allCases {
        for part in matrix.parts(c) {
          let place = try source.checkpointPlace(part.role, layer: layer), inputs = matrix.inputs(c)
          let stored =
            part.role == .query || part.role == .key || part.role == .value
            ? matrix.parts(c).filter { place.parts > 1 || $0.role == part.role }.reduce(0) { $0 + $1.rows } : part.rows
          put(
            place.name, place.isTransposed ? [inputs, stored] : [stored, inputs],
            .matrix(part, layer: layer, inputs: inputs))
          if c.biases.contains(part.role) { put(place.name.biasName, [stored], .bias(part, layer: layer)) }
        }
      }
    }
    try putNorm(.finalNorm, layer: nil, width: c.dModel)
    if !c.tiedEmbedding {
      put(
        try source.checkpointPlace(.unembedding).name, [c.vocabularySize, c.dModel],
        .matrix(vocabulary(.unembedding), layer: nil, inputs: c.dModel))
    }
    (self.source, self.names, self.shapes, self.contents) = (source, names, shapes, contents)
  }

  /// A tensor in float32, converted from the container's arrangement. Throws `.missing` for an unknown name.
  func tensor(_ name: String) throws -> Tensor {
    guard let shape = shapes[name], let parts = contents[name] else { throw source.weights.missing(name) }
    let result = try Tensor(uninitialized: shape), target = result.mutablePointer
    for part in parts {
      switch part {
      case .norm(let role, let layer, let width):
        let values = try source.norm(role, layer: layer, width: width).weight
        let offset = source.family.checkpointNormOffset
        for (i, value) in values.enumerated() { target[i] = value - offset }
      case .normBias(let role, let layer, let width):
        for (i, value) in (try source.norm(role, layer: layer, width: width).bias ?? []).enumerated() {
          target[i] = value
        }
      case .positions: try source.weights.read(source.place(.positionEmbedding).name, into: target)
      case .bias(let part, let layer):
        let values = try source.biases([part], layer: layer) ?? [], piece = try checkpointPiece(part, layer)
        for (i, value) in values.enumerated() { target[piece.stored(i)] = value }
      case .matrix(let part, let layer, let inputs):
        try read(part, layer: layer, inputs: inputs, into: target, width: shape[1])
      }
    }
    return result
  }

  /// Puts other values for a checkpoint's tensor into tensors of the container, by its names and in its arrangement; what
  /// else a container's tensor holds stays. Throws `.missing` for an unknown name, `.shape`.
  func put(_ values: Tensor, as name: String, into container: inout [String: Tensor]) throws {
    guard let shape = shapes[name], let parts = contents[name] else { throw source.weights.missing(name) }
    guard values.shape == shape else {
      throw EngineError(.shape, "\(name) has shape \(shapeText(values.shape)), expected \(shapeText(shape))")
    }
    guard source.isGGUF else { return container[name] = values }
    func target(_ name: String) throws -> Tensor {
      if let known = container[name] { return known }
      let copy = try source.weights.tensor(name).cloned()
      container[name] = copy
      return copy
    }
    for part in parts {
      switch part {
      case .norm(let role, let layer, _):
        let offset = source.family.checkpointNormOffset
        container[try source.place(role, layer: layer).name] = offset == 0 ? values : try values + offset
      case .normBias(let role, let layer, _): container[try source.place(role, layer: layer).name.biasName] = values
      case .positions: container[try source.place(.positionEmbedding).name] = values
      case .bias(let part, let layer):
        let from = try checkpointPiece(part, layer),
          rows = try source.rows([part], layer: layer, inputs: inputs(of: part))
        let to = rows.pieces[0], whole = try target(to.place.name.biasName)
        for row in 0..<part.rows { whole.mutablePointer[to.stored(row)] = values.pointer[from.stored(row)] }
      case .matrix(let part, let layer, let inputs):
        let from = try checkpointPiece(part, layer),
          to = try source.rows([part], layer: layer, inputs: inputs).pieces[0]
        let whole = try target(to.place.name), width = shape[1], wide = whole.shape[1]
        for row in 0..<part.rows {
          let a = from.stored(row), b = to.stored(row)
          for input in 0..<inputs {
            let value = values.pointer[from.place.isTransposed ? input * width + a : a * width + input]
            whole.mutablePointer[to.place.isTransposed ? input * wide + b : b * wide + input] = value
          }
        }
      }
    }
  }

  /// Columns of the block's matrix that a weight is a part of.
  private func inputs(of part: MatrixPart) -> Int {
    let c = source.configuration
    return BlockMatrix.allCases.first { $0.parts(c).contains { $0.role == part.role } }?.inputs(c) ?? c.dModel
  }

  /// A tensor on its way to a file under a name of its own, converted while its rows are written.
  func streamed(_ name: String, as newName: String) throws -> StreamedTensor {
    guard let shape = shapes[name], let parts = contents[name] else { throw source.weights.missing(name) }
    if parts.count == 1, case .matrix(let part, let layer, let inputs) = parts[0] {
      let place = try source.checkpointPlace(part.role, layer: layer)
      if place.parts == 1, !place.isTransposed {
        let rows = try source.rows([part], layer: layer, inputs: inputs)
        return StreamedTensor(name: newName, shape: shape) { try rows.readOnAllThreads($0, into: $1) }
      }
    }
    // One of several parts, or turned, is made whole: it is one block's, never the embedding.
    var whole: Tensor?
    return StreamedTensor(name: newName, shape: shape) { rows, target in
      let tensor = try whole ?? self.tensor(name), width = shape.last ?? 1
      withExtendedLifetime(tensor) {
        target.update(from: tensor.pointer + rows.lowerBound * width, count: rows.count * width)
      }
      whole = rows.upperBound * width < tensor.count ? tensor : nil
    }
  }

  func checkpointPiece(_ part: MatrixPart, _ layer: Int?) throws -> MatrixRows.Piece {
    MatrixRows.Piece(
      place: try source.checkpointPlace(part.role, layer: layer), start: 0, rows: part.rows, headSize: part.headSize,
      isInterleaved: false)
  }

  private func read(
    _ part: MatrixPart, layer: Int?, inputs: Int, into target: UnsafeMutablePointer<Float>, width: Int
  ) throws {
    let rows = try source.rows([part], layer: layer, inputs: inputs), piece = try checkpointPiece(part, layer)
    let failure = FirstError()
    parallelRanges(part.rows, minimum: max(1, (1 << 16) / inputs)) { range in
      failure.catching {
        let block = try Tensor(uninitialized: [range.count, inputs])
        try rows.read(range, into: block.mutablePointer)
        for (i, row) in range.enumerated() {
          let values = block.pointer + i * inputs, stored = piece.stored(row)
          if piece.place.isTransposed {
            for input in 0..<inputs { target[input * width + stored] = values[input] }
          } else {
            (target + stored * inputs).update(from: values, count: inputs)
          }
        }
      }
    }
    try failure.rethrow()
  }
}
