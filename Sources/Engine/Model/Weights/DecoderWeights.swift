import Foundation

/// A norm's weight `[width]`, and its bias where the norm is a layer norm.
struct NormWeights: Sendable {
  let weight: [Float]
  let bias: [Float]?
}

/// A weight matrix with its bias `[outputs]`, where it has one.
struct Projection: Sendable {
  let matrix: any WeightMatrix
  let bias: [Float]?
}

/// One block's weights: norms `[width]`, and matrices packed for products.
struct BlockWeights: Sendable {
  let attentionNorm: NormWeights
  let mlpNorm: NormWeights
  let postAttentionNorm: NormWeights?
  let postMLPNorm: NormWeights?
  let queryNorm: NormWeights?
  let keyNorm: NormWeights?
  /// By `BlockMatrix.rawValue`.
  let matrices: [Projection]

  subscript(_ matrix: BlockMatrix) -> Projection { matrices[matrix.rawValue] }

  var byteCount: Int { matrices.reduce(0) { $0 + $1.matrix.byteCount } }
}

/// All weights of a decoder. The unembedding is packed when first used: runs without logits never pay for it.
final class DecoderWeights: @unchecked Sendable {
  /// The model's own weights, and those that are computed with: its own, or as attached adapters change them.
  let base: ModelSource
  private(set) var source: ModelSource
  let precision: WeightPrecision
  private(set) var blocks: [BlockWeights] = []
  private(set) var finalNorm: NormWeights
  /// `[contextLength, dModel]` where positions are learned.
  private(set) var positions: Tensor?
  private let embeddingName: String
  private let lock = NSLock()
  private var packedUnembedding: (any WeightMatrix)?
  /// For gradients, by layer and matrix, as far as they were asked for.
  private var transposed: [(any WeightMatrix)?]
  private var packedTransposedUnembedding: (any WeightMatrix)?

  init(_ source: ModelSource, precision: WeightPrecision) throws {
    (base, self.source) = (source, source)
    self.precision = precision
    let c = source.configuration
    embeddingName = try source.place(.embedding).name
    try source.refuseUnknownTensors()
    try source.check(embeddingName, shape: [c.vocabularySize, c.dModel])
    if !c.tiedEmbedding { try source.check(source.place(.unembedding).name, shape: [c.vocabularySize, c.dModel]) }
    transposed = Array(repeating: nil, count: c.layerCount * BlockMatrix.allCases.count)
    finalNorm = try source.norm(.finalNorm, width: c.dModel)
    try loadPositions()
    for layer in 0..<c.layerCount {
      try Interrupt.check()
      blocks.append(try block(layer))
    }
    source.weights.releasePages()
  }

  /// Reads and packs everything again from a source that changed, block by block.
  func refresh() throws {
    let c = source.configuration
    lock.withLock {
      transposed = Array(repeating: nil, count: transposed.count)
      (packedUnembedding, packedTransposedUnembedding) = (nil, nil)
    }
    finalNorm = try source.norm(.finalNorm, width: c.dModel)
    try loadPositions()
    for layer in 0..<c.layerCount { blocks[layer] = try block(layer) }
  }

  /// Computes with the weights as adapters change them from now on, and reads again what these and the last ones change:
  /// blocks `layers`, and the ends. Throws as reading does, and stays as it was.
  func use(_ adapted: ModelSource, layers: Set<Int>) throws {
    let known = source
    source = adapted
    do {
      let norm = try source.norm(.finalNorm, width: source.configuration.dModel)
      let changed = try layers.map { ($0, try block($0)) }
      try loadPositions()
      finalNorm = norm
      for (layer, weights) in changed { blocks[layer] = weights }
    } catch {
      source = known
      throw error
    }
    lock.withLock {
      for layer in layers {
        for matrix in BlockMatrix.allCases { transposed[layer * BlockMatrix.allCases.count + matrix.rawValue] = nil }
      }
      (packedUnembedding, packedTransposedUnembedding) = (nil, nil)
    }
  }

  private func loadPositions() throws {
    let c = source.configuration
    guard c.learnedPositions else { return }
    let name = try source.place(.positionEmbedding).name
    try source.check(name, shape: [c.contextLength, c.dModel])
    positions = try source.weights.finiteTensor(name)
  }

  private func block(_ layer: Int) throws -> BlockWeights {
    let c = source.configuration
    func norm(_ role: WeightRole, _ width: Int, if present: Bool) throws -> NormWeights? {
      present ? try source.norm(role, layer: layer, width: width) : nil
    }
    return BlockWeights(
      attentionNorm: try source.norm(.attentionNorm, layer: layer, width: c.dModel),
      mlpNorm: try source.norm(.mlpNorm, layer: layer, width: c.dModel),
      postAttentionNorm: try norm(.postAttentionNorm, c.dModel, if: c.postNorms),
      postMLPNorm: try norm(.postMLPNorm, c.dModel, if: c.postNorms),
      queryNorm: try norm(.queryNorm, c.dHead, if: c.queryKeyNorm),
      keyNorm: try norm(.keyNorm, c.dHead, if: c.queryKeyNorm),
      matrices: try BlockMatrix.allCases.map { matrix in
        let parts = matrix.parts(c)
        return Projection(
          matrix: try precision.pack(try source.rows(parts, layer: layer, inputs: matrix.inputs(c))),
          bias: try source.biases(parts, layer: layer))
      })
  }

  /// A block's matrix with inputs and outputs exchanged, for gradients: the same panels, or packed when first used and
  /// kept.
  func transposed(_ matrix: BlockMatrix, layer: Int) throws -> any WeightMatrix {
    if let view = TransposedView(blocks[layer][matrix].matrix) { return view }
    let place = layer * BlockMatrix.allCases.count + matrix.rawValue
    return try lock.withLock {
      if let known = transposed[place] { return known }
      let c = source.configuration
      let made = try PanelMatrix(
        transposing: try source.rows(matrix.parts(c), layer: layer, inputs: matrix.inputs(c)), precision.element)
      transposed[place] = made
      return made
    }
  }

  /// The unembedding as `[dModel, vocabulary]`.
  func transposedUnembedding() throws -> any WeightMatrix {
    if let view = TransposedView(try unembedding()) { return view }
    return try lock.withLock {
      if let known = packedTransposedUnembedding { return known }
      let made = try PanelMatrix(transposing: try unembeddingRows(), precision.element)
      packedTransposedUnembedding = made
      return made
    }
  }

  private func unembeddingRows() throws -> MatrixRows {
    let c = source.configuration
    let role: WeightRole = c.tiedEmbedding ? .embedding : .unembedding
    return try source.rows([MatrixPart(role: role, rows: c.vocabularySize)], layer: nil, inputs: c.dModel)
  }

  /// `[vocabulary, dModel]`.
  func unembedding() throws -> any WeightMatrix {
    try lock.withLock {
      if let packedUnembedding { return packedUnembedding }
      let made = try precision.pack(try unembeddingRows())
      source.weights.releasePages()
      packedUnembedding = made
      return made
    }
  }

  /// Writes the embedding of one token, `[dModel]`, scaled, with its position's where positions are learned.
  func embed(_ token: Int, position: Int, into target: UnsafeMutablePointer<Float>) throws {
    let width = source.configuration.dModel, scale = Float(source.configuration.embeddingScale)
    try source.weights.read(embeddingName, rows: token..<token + 1, into: target)
    try source.weights.requireFinite(embeddingName, target, count: width)
    if scale != 1 { for i in 0..<width { target[i] *= scale } }
    if let positions {
      let row = positions.pointer + position * width
      for i in 0..<width { target[i] += row[i] }
    }
  }

  /// Bytes of packed matrices so far.
  var packedBytes: Int {
    blocks.reduce(0) { $0 + $1.byteCount }
      + lock.withLock {
        (transposed + [packedUnembedding, packedTransposedUnembedding]).reduce(0) { $0 + ($1?.byteCount ?? 0) }
      }
  }
}
