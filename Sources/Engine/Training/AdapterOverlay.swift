/// What an adapter changes besides low-rank updates that run beside a block's maps: the weights themselves. While it is
/// attached the model's weights are read with it (`AdaptedWeights`).
final class AdapterOverlay: Sendable {
  /// A product `scale * B A` added to a weight; DoRA (Liu et al. 2024, section 4) then gives each output a magnitude.
  struct Product: Sendable {
    enum Target: Sendable, Equatable {
      case block(LinearModule)
      /// `A` is `[r, vocabulary]`, `B` `[dModel, r]`: the change of the table is turned.
      case embedding
      case unembedding
    }

    let target: Target
    let scale: Float
    /// A `[rank, inputs]`, and B `[outputs, rank]` in the matrix's order of rows.
    let down: Tensor
    let up: Tensor
    /// One for each output; nil without DoRA.
    let magnitude: [Float]?
  }

  /// Rows of the embedding or the unembedding.
  struct Rows: Sendable {
    let tokens: [Int]
    /// `[tokens, dModel]`.
    let values: Tensor
  }

  /// Tensors in place of the model's, by the checkpoint's names.
  let replaced: [(name: String, values: Tensor)]
  /// The embedding, and the unembedding, in place of the model's; in a tied model one stands for both where the other
  /// is nil and `keepsTied`.
  let embedding: Tensor?
  let unembedding: Tensor?
  let embeddingRows: Rows?
  let unembeddingRows: Rows?
  let products: [Product]
  /// A replaced embedding is the unembedding of a tied model too.
  let keepsTied: Bool

  init(
    replaced: [(name: String, values: Tensor)], embedding: Tensor?, unembedding: Tensor?, embeddingRows: Rows?,
    unembeddingRows: Rows?, products: [Product], keepsTied: Bool
  ) {
    (self.replaced, self.embedding, self.unembedding) = (replaced, embedding, unembedding)
    (self.embeddingRows, self.unembeddingRows, self.products) = (embeddingRows, unembeddingRows, products)
    self.keepsTied = keepsTied
  }

  /// Whether a tied model has two tables with it.
  var partsEnds: Bool {
    products.contains { if case .block = $0.target { false } else { true } } || unembedding != nil
      || unembeddingRows != nil || (embedding != nil && !keepsTied)
  }

  /// Every tensor, in order.
  var tensors: [Tensor] {
    replaced.map(\.values) + [embedding, unembedding, embeddingRows?.values, unembeddingRows?.values].compactMap { $0 }
      + products.flatMap { [$0.down, $0.up] }
  }

  /// Values, magnitudes included.
  var count: Int { tensors.reduce(0) { $0 + $1.count } + products.reduce(0) { $0 + ($1.magnitude?.count ?? 0) } }

  func add(to hash: inout SHA256) {
    for tensor in tensors { hash.add(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4)) }
    for product in products {
      withUnsafeBytes(of: product.scale) { hash.add($0) }
      product.magnitude?.withUnsafeBytes { hash.add($0) }
    }
    for rows in [embeddingRows, unembeddingRows] { rows?.tokens.withUnsafeBytes { hash.add($0) } }
    hash.add(Array(replaced.map(\.name).joined(separator: " ").utf8))
  }

  /// Blocks whose weights it changes, of a model with `count`.
  func layers(of source: ModelSource) throws -> Set<Int> {
    var layers: Set<Int> = []
    for product in products { if case .block(let module) = product.target { layers.insert(module.layer) } }
    let names = Set(replaced.map(\.name))
    guard !names.isEmpty else { return layers }
    let stem = try source.checkpointPlace(.attentionNorm).name.prefix { $0 != "%" }
    for name in names where name.hasPrefix(stem) {
      if let layer = Int(name.dropFirst(stem.count).prefix { $0 != "." }) { layers.insert(layer) }
    }
    return layers
  }
}
