/// A model's weights plus `scale * B A` of an adapter, summed as rows are read: a merged model holds no second set of
/// weights besides its packs.
///
/// Names, shapes and arrangement are the container's own. An update's values are copied: training it further changes
/// nothing here.
final class MergedWeights: WeightSource {
  /// What one update adds to one tensor: to row i, row `coefficients[i]` times `directions`; and, of what the tensor had
  /// there, as much as makes it `gains` times itself.
  private struct Change {
    /// For each row of the tensor its row of `factors`, -1 where nothing is added.
    let coefficients: [Int32]
    /// `[changed rows, rank]`.
    let factors: Tensor
    /// `[rank, width]`.
    let directions: Tensor
    /// One for each row, or each column; nil: 1.
    var rowGains: [Float]?
    var columnGains: [Float]?

    var hasGains: Bool { rowGains != nil || columnGains != nil }

    /// Adds the change of rows `rows` to them, `[rows.count, width]` at `target`; `original`: as they were.
    func add(_ rows: Range<Int>, original: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>) {
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
          let line = target + i * width, before = original + i * width
          if let gain = rowGains?[row] {
            for column in 0..<width { line[column] += (gain - 1) * before[column] }
          } else if let columnGains {
            for column in 0..<width { line[column] += (columnGains[column] - 1) * before[column] }
          }
          for column in 0..<width { line[column] += sum[column] }
        }
      }
    }
  }

  private let base: any WeightSource
  private let changes: [String: [Change]]

  /// Throws `.memory`, and as reading does.
  init(_ source: ModelSource, products: [AdapterOverlay.Product], updates: [LowRankUpdate]) throws {
    base = source.weights
    var changes: [String: [Change]] = [:]
    func put(_ list: [(String, Change)]) { for (name, change) in list { changes[name, default: []].append(change) } }
    for update in updates {
      let up = try update.up.value * update.scale
      put(try Self.changes(of: update.module, up: up, down: update.down.value, gains: nil, in: source))
      if let offset = update.offset { put(try Self.biasChanges(of: update.module, offset, in: source)) }
    }
    for product in products {
      switch product.target {
      case .block(let module):
        let matrix = try source.rows(
          module.matrix.parts(source.configuration), layer: module.layer, inputs: module.inputs)
        let (up, gains) = try Self.scaled(product) { try matrix.read($0 + module.first, into: $1) }
        put(try Self.changes(of: module, up: up, down: product.down, gains: gains, in: source))
      case .unembedding:
        let name = try source.place(.unembedding).name
        let (up, gains) = try Self.scaled(product) { try source.weights.read(name, rows: $0, into: $1) }
        let all = (0..<up.shape[0]).map(Int32.init)
        put([(name, Change(coefficients: all, factors: up, directions: product.down, rowGains: gains))])
      case .embedding: put([try Self.embeddingChange(product, in: source)])
      }
    }
    self.changes = changes
  }

  /// `scale * B`, and of DoRA what each output of the weight is multiplied by: its magnitude over the norm of the row
  /// that the product makes. `rows` reads rows of the weight.
  private static func scaled(
    _ product: AdapterOverlay.Product,
    _ rows: @escaping @Sendable (Range<Int>, UnsafeMutablePointer<Float>) throws -> Void
  ) throws -> (up: Tensor, gains: [Float]?) {
    let up = try product.up * product.scale
    guard let magnitude = product.magnitude else { return (up, nil) }
    let outputs = up.shape[0], rank = up.shape[1], inputs = product.down.shape[1]
    let gains = try Tensor(uninitialized: [outputs]), failure = FirstError()
    parallelRanges(outputs, minimum: max(1, (1 << 16) / inputs)) { range in
      failure.catching {
        let line = try Tensor(uninitialized: [inputs])
        for row in range {
          try rows(row..<row + 1, line.mutablePointer)
          for r in 0..<rank {
            let factor = up.pointer[row * rank + r], direction = product.down.pointer + r * inputs
            for i in 0..<inputs { line.mutablePointer[i] += factor * direction[i] }
          }
          var square = 0.0
          for i in 0..<inputs { square += Double(line.pointer[i]) * Double(line.pointer[i]) }
          let gain = Float(Double(magnitude[row]) / square.squareRoot())
          gains.mutablePointer[row] = gain
          for r in 0..<rank { up.mutablePointer[row * rank + r] *= gain }
        }
      }
    }
    try failure.rethrow()
    return (up, gains.values)
  }

  /// The table's change: row v gets `scale * A[:, v]ᵀ Bᵀ`, and with DoRA each of its columns a magnitude.
  private static func embeddingChange(
    _ product: AdapterOverlay.Product, in source: ModelSource
  ) throws -> (String, Change) {
    let name = try source.place(.embedding).name
    let factors = try product.down.transposed(), directions = try (product.up * product.scale).transposed()
    let count = factors.shape[0], rank = factors.shape[1], width = directions.shape[1]
    var gains: [Float]?
    if let magnitude = product.magnitude {
      var squares = [Double](repeating: 0, count: width)
      let line = try Tensor(uninitialized: [width])
      for row in 0..<count {
        try source.weights.read(name, rows: row..<row + 1, into: line.mutablePointer)
        for r in 0..<rank {
          let factor = factors.pointer[row * rank + r], direction = directions.pointer + r * width
          for i in 0..<width { line.mutablePointer[i] += factor * direction[i] }
        }
        for i in 0..<width { squares[i] += Double(line.pointer[i]) * Double(line.pointer[i]) }
      }
      let own = zip(magnitude, squares).map { Float(Double($0) / $1.squareRoot()) }
      for r in 0..<rank { for i in 0..<width { directions.mutablePointer[r * width + i] *= own[i] } }
      gains = own
    }
    let all = (0..<count).map(Int32.init)
    return (name, Change(coefficients: all, factors: factors, directions: directions, columnGains: gains))
  }

  var path: String { base.path }
  func verify() throws { try base.verify() }
  var names: [String] { base.names }
  func shape(of name: String) -> [Int]? { base.shape(of: name) }
  func storage(of name: String) -> StoredForm? { base.storage(of: name) }
  func releasePages() { base.releasePages() }
  func storedRows(of name: String) -> StoredRows? { changes[name] == nil ? base.storedRows(of: name) : nil }

  func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    try base.read(name, rows: rows, into: destination)
    guard let changes = changes[name] else { return }
    guard changes.contains(where: \.hasGains) else {
      for change in changes { change.add(rows, original: destination, to: destination) }
      return
    }
    let count = rows.count * (shape(of: name)?.last ?? 1)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { original in
      original.baseAddress!.update(from: destination, count: count)
      for change in changes { change.add(rows, original: original.baseAddress!, to: destination) }
    }
  }

  /// The biases of a module's outputs, and what each gets. Throws `.argument` where it has none.
  private static func biasChanges(
    of module: LinearModule, _ offset: [Float], in source: ModelSource
  ) throws -> [(String, Change)] {
    let matrix = try source.rows(
      module.matrix.parts(source.configuration), layer: module.layer, inputs: module.inputs)
    var additions: [String: [Float]] = [:]
    matrix.forEachRun(module.first..<module.first + module.outputs) { piece, stored, row in
      let name = piece.place.name.biasName
      var values = additions.removeValue(forKey: name) ?? Array(repeating: 0, count: piece.rows * piece.place.parts)
      for (i, output) in stored.enumerated() { values[output] = offset[row - module.first + i] }
      additions[name] = values
    }
    return try additions.map { name, values in
      guard source.weights.shape(of: name) == [values.count] else {
        throw EngineError(
          .argument,
          "lora_bias: \(module.name) has no bias, so the adapter's cannot be merged into it; attach the adapter instead"
        )
      }
      let one = try Tensor([1], shape: [1, 1]), directions = try Tensor(values, shape: [1, values.count])
      return (name, Change(coefficients: [0], factors: one, directions: directions))
    }
  }

  /// The tensors of the container that a module's rows lie in, and what each gets.
  /// `up`: scaled, and by the gains too.
  private static func changes(
    of module: LinearModule, up: Tensor, down: Tensor, gains: [Float]?, in source: ModelSource
  ) throws -> [(String, Change)] {
    let rank = up.shape[1], inputs = module.inputs
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
    return try outputs.map { name, rows in
      let own = gains.map { gains in rows.map { $0 < 0 ? 1 : gains[Int($0)] } }
      guard transposed.contains(name) else {
        return (name, Change(coefficients: rows, factors: up, directions: try down.cloned(), rowGains: own))
      }
      // Stored `[inputs, outputs]`, the tensor's change is Aᵀ Bᵀ.
      let directions = try Tensor.zeros([rank, rows.count])
      for (output, row) in rows.enumerated() where row >= 0 {
        for r in 0..<rank { directions.mutablePointer[r * rows.count + output] = up.pointer[Int(row) * rank + r] }
      }
      let all = (0..<inputs).map(Int32.init)
      return (
        name,
        Change(coefficients: all, factors: try down.transposed(), directions: directions, columnGains: own)
      )
    }
  }
}

extension Model {
  /// A model of its own whose weights are this one's plus `scale * B A` of an adapter, made as they are read. Adapters
  /// attached to this one take no part. Its hash is the one this model has while the adapter alone is attached.
  /// Quantised products become float32 ones. Throws `.argument` for an adapter of another model, and as `load`.
  public func merged(_ adapter: Adapter) throws -> Model {
    try check(adapter)
    let base = decoder.weights.base
    let replaced = try adapter.overlay.map { try base.replacing(by: [$0]) } ?? base
    let source = replaced.wrapping(
      try MergedWeights(replaced, products: adapter.overlay?.products ?? [], updates: adapter.updates))
    let weights = try DecoderWeights(source, precision: precision == .native ? .f32 : precision)
    return try Model(
      source: source, name: name + "+adapter", weights: weights, template: givenTemplate,
      hash: Model.hash(baseHash, with: [adapter]), ancestors: ancestors + [baseHash])
  }
}

private func + (range: Range<Int>, offset: Int) -> Range<Int> {
  range.lowerBound + offset..<range.upperBound + offset
}
