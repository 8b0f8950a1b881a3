/// A model's weights plus `scale * B A` of an adapter, summed as rows are read: a merged model holds no second set of
/// weights besides its packs.
///
/// Names, shapes and arrangement are the container's own. The adapter's values are copied: training it further changes
/// nothing here.
final class MergedWeights: WeightSource {
  /// What one update adds to one tensor: to row i, row `coefficients[i]` times `directions`.
  private struct Change {
    /// For each row of the tensor its row of `factors`, -1 where nothing is added.
    let coefficients: [Int32]
    /// `[changed rows, rank]`.
    let factors: Tensor
    /// `[rank, width]`.
    let directions: Tensor

    /// Adds the change of rows `rows` to them, `[rows.count, width]` at `target`.
    func add(_ rows: Range<Int>, to target: UnsafeMutablePointer<Float>) {
      let rank = directions.shape[0], width = directions.shape[1]
      // Summed apart from the weights, which are larger and would swallow the last places of each term.
      withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { sum in
        for (i, row) in rows.enumerated() where coefficients[row] >= 0 {
          let factors = factors.pointer + Int(coefficients[row]) * rank
          sum.update(repeating: 0)
          for r in 0..<rank {
            let factor = factors[r], direction = directions.pointer + r * width
            for column in 0..<width { sum[column] += factor * direction[column] }
          }
          let line = target + i * width
          for column in 0..<width { line[column] += sum[column] }
        }
      }
    }
  }

  private let base: any WeightSource
  private let changes: [String: [Change]]

  /// Throws `.memory`.
  init(_ source: ModelSource, _ adapter: Adapter) throws {
    base = source.weights
    var changes: [String: [Change]] = [:]
    for update in adapter.updates {
      for (name, change) in try MergedWeights.changes(of: update, in: source) {
        changes[name, default: []].append(change)
      }
    }
    self.changes = changes
  }

  var path: String { base.path }
  var names: [String] { base.names }
  func shape(of name: String) -> [Int]? { base.shape(of: name) }
  func storage(of name: String) -> StoredForm? { base.storage(of: name) }
  func storedRows(of name: String) -> StoredRows? { changes[name] == nil ? base.storedRows(of: name) : nil }

  func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    try base.read(name, rows: rows, into: destination)
    for change in changes[name] ?? [] { change.add(rows, to: destination) }
  }

  /// The tensors of the container that a module's rows lie in, and what each gets.
  private static func changes(of update: LowRankUpdate, in source: ModelSource) throws -> [(String, Change)] {
    let module = update.module, rank = update.rank, inputs = module.inputs
    let matrix = try source.rows(module.matrix.parts(source.configuration), layer: module.layer, inputs: inputs)
    // For each tensor, for each of its outputs: the row of B, or -1.
    var outputs: [String: [Int32]] = [:], transposed: Set<String> = []
    matrix.forEachRun(module.first..<module.first + module.outputs) { piece, stored, row in
      let place = piece.place
      if place.isTransposed { transposed.insert(place.name) }
      var rows = outputs.removeValue(forKey: place.name) ?? Array(repeating: -1, count: piece.rows * place.parts)
      for (i, output) in stored.enumerated() { rows[output] = Int32(row - module.first + i) }
      outputs[place.name] = rows
    }
    let down = update.down.value, up = try update.up.value * update.scale
    return try outputs.map { name, rows in
      guard transposed.contains(name) else {
        return (name, Change(coefficients: rows, factors: up, directions: try down.cloned()))
      }
      // Stored `[inputs, outputs]`, the tensor's change is Aᵀ Bᵀ.
      let directions = try Tensor.zeros([rank, rows.count])
      for (output, row) in rows.enumerated() where row >= 0 {
        for r in 0..<rank { directions.mutablePointer[r * rows.count + output] = up.pointer[Int(row) * rank + r] }
      }
      let all = (0..<inputs).map(Int32.init)
      return (name, Change(coefficients: all, factors: try down.transposed(), directions: directions))
    }
  }
}

extension Model {
  /// A model of its own whose weights are this one's plus `scale * B A` of an adapter, made as they are read. Adapters
  /// attached to this one take no part. Its hash is the one this model has while the adapter alone is attached.
  /// Quantised products become float32 ones. Throws `.argument` for an adapter of another model, and as `load`.
  public func merged(_ adapter: Adapter) throws -> Model {
    try check(adapter)
    let base = decoder.weights.source
    let source = base.wrapping(try MergedWeights(base, adapter))
    let weights = try DecoderWeights(source, precision: precision == .native ? .f32 : precision)
    return try Model(
      source: source, name: name + "+adapter", weights: weights, template: givenTemplate,
      hash: Model.hash(baseHash, with: [adapter]), ancestors: ancestors + [baseHash])
  }
}
