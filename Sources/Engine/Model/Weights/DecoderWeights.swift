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
  /// `[(heads + 2 kvHeads) * dHead, dModel]`: queries, keys, values.
  let queryKeyValue: Projection
  /// `[dModel, heads * dHead]`.
  let output: Projection
  /// `[2 dMLP, dModel]`: gate, up; or `[dMLP, dModel]`: up alone.
  let gateUp: Projection
  /// `[dModel, dMLP]`.
  let down: Projection

  var byteCount: Int {
    [queryKeyValue, output, gateUp, down].reduce(0) { $0 + $1.matrix.byteCount }
  }
}

/// All weights of a decoder. The unembedding is packed when first used: runs without logits never pay for it.
final class DecoderWeights: @unchecked Sendable {
  let source: ModelSource
  let precision: WeightPrecision
  let blocks: [BlockWeights]
  let finalNorm: NormWeights
  /// `[contextLength, dModel]` where positions are learned.
  let positions: Tensor?
  private let embeddingName: String
  private let lock = NSLock()
  private var packedUnembedding: (any WeightMatrix)?

  init(_ source: ModelSource, precision: WeightPrecision) throws {
    self.source = source
    self.precision = precision
    let c = source.configuration
    embeddingName = try source.place(.embedding).name
    try source.check(embeddingName, shape: [c.vocabularySize, c.dModel])
    if !c.tiedEmbedding { try source.check(source.place(.unembedding).name, shape: [c.vocabularySize, c.dModel]) }
    try source.refuseUnknownTensors()
    if c.learnedPositions {
      let name = try source.place(.positionEmbedding).name
      try source.check(name, shape: [c.contextLength, c.dModel])
      positions = try source.weights.tensor(name)
    } else {
      positions = nil
    }
    finalNorm = try source.norm(.finalNorm, width: c.dModel)
    blocks = try (0..<c.layerCount).map { layer in
      try Interrupt.check()
      func norm(_ role: WeightRole, _ width: Int, if present: Bool) throws -> NormWeights? {
        present ? try source.norm(role, layer: layer, width: width) : nil
      }
      func projection(_ parts: [MatrixPart], inputs: Int) throws -> Projection {
        Projection(
          matrix: try precision.pack(try source.rows(parts, layer: layer, inputs: inputs)),
          bias: try source.biases(parts, layer: layer))
      }
      let up = MatrixPart(role: .up, rows: c.dMLP)
      return BlockWeights(
        attentionNorm: try source.norm(.attentionNorm, layer: layer, width: c.dModel),
        mlpNorm: try source.norm(.mlpNorm, layer: layer, width: c.dModel),
        postAttentionNorm: try norm(.postAttentionNorm, c.dModel, if: c.postNorms),
        postMLPNorm: try norm(.postMLPNorm, c.dModel, if: c.postNorms),
        queryNorm: try norm(.queryNorm, c.dHead, if: c.queryKeyNorm),
        keyNorm: try norm(.keyNorm, c.dHead, if: c.queryKeyNorm),
        queryKeyValue: try projection(
          [
            MatrixPart(role: .query, rows: c.headCount * c.dHead, headSize: c.dHead),
            MatrixPart(role: .key, rows: c.kvHeadCount * c.dHead, headSize: c.dHead),
            MatrixPart(role: .value, rows: c.kvHeadCount * c.dHead, headSize: c.dHead),
          ], inputs: c.dModel),
        output: try projection([MatrixPart(role: .output, rows: c.dModel)], inputs: c.headCount * c.dHead),
        gateUp: try projection(c.isGated ? [MatrixPart(role: .gate, rows: c.dMLP), up] : [up], inputs: c.dModel),
        down: try projection([MatrixPart(role: .down, rows: c.dModel)], inputs: c.dMLP))
    }
  }

  /// `[vocabulary, dModel]`.
  func unembedding() throws -> any WeightMatrix {
    try lock.withLock {
      if let packedUnembedding { return packedUnembedding }
      let c = source.configuration
      let role: WeightRole = c.tiedEmbedding ? .embedding : .unembedding
      let rows = try source.rows([MatrixPart(role: role, rows: c.vocabularySize)], layer: nil, inputs: c.dModel)
      let made = try precision.pack(rows)
      packedUnembedding = made
      return made
    }
  }

  /// Writes the embedding of one token, `[dModel]`, scaled, with its position's where positions are learned.
  func embed(_ token: Int, position: Int, into target: UnsafeMutablePointer<Float>) throws {
    let width = source.configuration.dModel, scale = Float(source.configuration.embeddingScale)
    try source.weights.read(embeddingName, rows: token..<token + 1, into: target)
    if scale != 1 { for i in 0..<width { target[i] *= scale } }
    if let positions {
      let row = positions.pointer + position * width
      for i in 0..<width { target[i] += row[i] }
    }
  }

  /// Bytes of packed matrices so far.
  var packedBytes: Int {
    blocks.reduce(0) { $0 + $1.byteCount } + lock.withLock { packedUnembedding?.byteCount ?? 0 }
  }
}
