import Foundation

/// One block's weights: norms `[width]`, and matrices packed for products.
struct BlockWeights: Sendable {
  let attentionNorm: [Float]
  let mlpNorm: [Float]
  let postAttentionNorm: [Float]?
  let postMLPNorm: [Float]?
  let queryNorm: [Float]?
  let keyNorm: [Float]?
  /// `[(heads + 2 kvHeads) * dHead, dModel]`: queries, keys, values.
  let queryKeyValue: PackedMatrix
  /// `[dModel, heads * dHead]`.
  let output: PackedMatrix
  /// `[2 dMLP, dModel]`: gate, up.
  let gateUp: PackedMatrix
  /// `[dModel, dMLP]`.
  let down: PackedMatrix
}

/// All weights of a decoder. The unembedding is packed when first used: runs without logits never pay for it.
final class DecoderWeights: @unchecked Sendable {
  let source: ModelSource
  let blocks: [BlockWeights]
  let finalNorm: [Float]
  private let embeddingName: String
  private let lock = NSLock()
  private var packedUnembedding: PackedMatrix?

  init(_ source: ModelSource) throws {
    self.source = source
    let c = source.configuration
    let interleaved = source.gguf != nil && source.family.ggufInterleavesRotary ? c.dHead : nil
    embeddingName = try source.checked(.embedding, shape: [c.vocabularySize, c.dModel])
    if !c.tiedEmbedding { _ = try source.checked(.unembedding, shape: [c.vocabularySize, c.dModel]) }
    finalNorm = try source.norm(.finalNorm, width: c.dModel)
    blocks = try (0..<c.layerCount).map { layer in
      try Interrupt.check()
      func norm(_ role: WeightRole, _ width: Int, if present: Bool = true) throws -> [Float]? {
        present ? try source.norm(role, layer: layer, width: width) : nil
      }
      return BlockWeights(
        attentionNorm: try source.norm(.attentionNorm, layer: layer, width: c.dModel),
        mlpNorm: try source.norm(.mlpNorm, layer: layer, width: c.dModel),
        postAttentionNorm: try norm(.postAttentionNorm, c.dModel, if: c.postNorms),
        postMLPNorm: try norm(.postMLPNorm, c.dModel, if: c.postNorms),
        queryNorm: try norm(.queryNorm, c.dHead, if: c.queryKeyNorm),
        keyNorm: try norm(.keyNorm, c.dHead, if: c.queryKeyNorm),
        queryKeyValue: try source.packed(
          [
            MatrixPart(role: .query, rows: c.headCount * c.dHead, interleavedHeadSize: interleaved),
            MatrixPart(role: .key, rows: c.kvHeadCount * c.dHead, interleavedHeadSize: interleaved),
            MatrixPart(role: .value, rows: c.kvHeadCount * c.dHead),
          ], layer: layer, inputs: c.dModel),
        output: try source.packed(
          [MatrixPart(role: .output, rows: c.dModel)], layer: layer, inputs: c.headCount * c.dHead),
        gateUp: try source.packed(
          [MatrixPart(role: .gate, rows: c.dMLP), MatrixPart(role: .up, rows: c.dMLP)], layer: layer,
          inputs: c.dModel),
        down: try source.packed([MatrixPart(role: .down, rows: c.dModel)], layer: layer, inputs: c.dMLP))
    }
  }

  /// `[vocabulary, dModel]`.
  func unembedding() throws -> PackedMatrix {
    try lock.withLock {
      if let packedUnembedding { return packedUnembedding }
      let c = source.configuration
      let role: WeightRole = c.tiedEmbedding ? .embedding : .unembedding
      let made = try source.packed([MatrixPart(role: role, rows: c.vocabularySize)], layer: nil, inputs: c.dModel)
      packedUnembedding = made
      return made
    }
  }

  /// Writes the scaled embedding of one token, `[dModel]`, straight from the file.
  func embed(_ token: Int, into target: UnsafeMutablePointer<Float>) throws {
    try source.weights.read(embeddingName, rows: token..<token + 1, into: target)
    let scale = Float(source.configuration.embeddingScale)
    if scale != 1 { for i in 0..<source.configuration.dModel { target[i] *= scale } }
  }

  /// Bytes of packed matrices so far.
  var packedBytes: Int {
    let blocks = blocks.reduce(0) {
      $0 + $1.queryKeyValue.byteCount + $1.output.byteCount + $1.gateUp.byteCount + $1.down.byteCount
    }
    return blocks + lock.withLock { packedUnembedding?.byteCount ?? 0 }
  }
}
