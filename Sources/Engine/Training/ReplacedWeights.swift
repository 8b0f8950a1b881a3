/// A model's weights with some tensors, or some rows of them, replaced, and tensors under further names.
final class ReplacedWeights: WeightSource {
  private let base: any WeightSource
  /// By the container's names, in its arrangement.
  private let whole: [String: Tensor]
  private let rows: [String: [Int: (values: Tensor, row: Int)]]
  /// Names that the container lacks, and the tensors that they stand for.
  private let aliases: [String: String]
  let names: [String]

  init(
    _ base: any WeightSource, whole: [String: Tensor], rows: [String: [Int: (values: Tensor, row: Int)]],
    aliases: [String: String]
  ) {
    (self.base, self.whole, self.rows, self.aliases) = (base, whole, rows, aliases)
    names = base.names + aliases.keys.filter { base.shape(of: $0) == nil }.sorted()
  }

  var path: String { base.path }
  private func original(_ name: String) -> String { aliases[name] ?? name }
  func shape(of name: String) -> [Int]? { whole[name]?.shape ?? base.shape(of: original(name)) }

  func storage(of name: String) -> StoredForm? {
    whole[name].map { StoredForm(type: "F32", bytes: $0.count * 4) } ?? base.storage(of: original(name))
  }

  func storedRows(of name: String) -> StoredRows? {
    whole[name] == nil && rows[name] == nil ? base.storedRows(of: original(name)) : nil
  }

  func read(_ name: String, rows range: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    if let tensor = whole[name] {
      try check(range, of: name, tensor.shape)
      let width = tensor.shape.last ?? 1
      destination.update(from: tensor.pointer + range.lowerBound * width, count: range.count * width)
    } else {
      try base.read(original(name), rows: range, into: destination)
    }
    guard let own = rows[name] else { return }
    for row in range {
      guard let (values, place) = own[row] else { continue }
      let width = values.shape[1]
      (destination + (row - range.lowerBound) * width).update(from: values.pointer + place * width, count: width)
    }
  }
}

extension ModelSource {
  /// The same model with the tensors of adapters in place of its own. Where one changes one end of a tied model, that
  /// has an unembedding of its own. Throws `.memory`, and as reading does.
  func replacing(by overlays: [AdapterOverlay]) throws -> ModelSource {
    let table = try place(.embedding).name, head = (try? place(.unembedding).name) ?? "lm_head.weight"
    let isParted = configuration.tiedEmbedding && overlays.contains { $0.partsEnds }
    let isTied = configuration.tiedEmbedding && !isParted
    var whole: [String: Tensor] = [:], rows: [String: [Int: (values: Tensor, row: Int)]] = [:]
    let layout = try CheckpointLayout(self)
    for overlay in overlays {
      for (name, values) in overlay.replaced { try layout.put(values, as: name, into: &whole) }
      if let values = overlay.embedding {
        whole[table] = values
        if isParted, overlay.keepsTied { whole[head] = values }
      }
      if let values = overlay.unembedding { whole[isTied ? table : head] = values }
      for (own, isEmbedding) in [(overlay.embeddingRows, true), (overlay.unembeddingRows, false)] {
        guard let own else { continue }
        // Rows of the embedding alone stay those of a tied unembedding too.
        let isBoth = isEmbedding && configuration.tiedEmbedding && overlay.unembeddingRows == nil
        for name in isBoth && isParted ? [table, head] : [isEmbedding || isTied ? table : head] {
          for (place, token) in own.tokens.enumerated() { rows[name, default: [:]][token] = (own.values, place) }
        }
      }
    }
    let copy = isParted ? edited(weights, isTied: false) : self
    let aliases = isParted && weights.shape(of: head) == nil ? [head: table] : [:]
    return copy.wrapping(ReplacedWeights(weights, whole: whole, rows: rows, aliases: aliases))
  }

  /// The same model as adapters change its weights.
  func adapted(by overlays: [AdapterOverlay]) throws -> ModelSource {
    guard !overlays.isEmpty else { return self }
    let replaced = try replacing(by: overlays)
    return replaced.wrapping(try MergedWeights(replaced, products: overlays.flatMap(\.products), updates: []))
  }
}
