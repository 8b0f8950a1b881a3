/// Reading and changing weights by the names and shapes of the family's Hugging Face checkpoint, whatever container the
/// model came from. Attached adapters take no part.
extension Model {
  /// A tensor of the checkpoint.
  public struct WeightInfo: Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    /// How the model's container keeps it: `F32`, `BF16`, `Q4_K`.
    public let type: String
  }

  /// Every tensor of the checkpoint, in the order of the blocks.
  public func weightList() throws -> [WeightInfo] {
    let layout = try CheckpointLayout(decoder.weights.source)
    return layout.names.map {
      WeightInfo(name: $0, shape: layout.shapes[$0] ?? [], type: layout.storedType($0) ?? "F32")
    }
  }

  /// A tensor in float32, its rows in the checkpoint's order. The unembedding of a model that ties it is the embedding.
  /// Throws `.missing` for an unknown name, with the nearest.
  public func weight(_ name: String) throws -> Tensor {
    let layout = try CheckpointLayout(decoder.weights.source)
    return try unchanged { try layout.tensor(try resolved(name, layout, isRead: true)) }
  }

  /// What is read from the model's files while they are as they were when it was loaded. Throws `.file` where not.
  private func unchanged<Result>(_ read: () throws -> Result) throws -> Result {
    let files = decoder.weights.source.weights
    try files.verify()
    let result = try read()
    try files.verify()
    return result
  }

  /// The layout's name of a tensor, which may be given as the whole model names it.
  private func resolved(_ name: String, _ layout: CheckpointLayout, isRead: Bool) throws -> String {
    if layout.shapes[name] != nil { return name }
    if let found = layout.names.first(where: { layout.source.wholeName($0) == name }) { return found }
    if configuration.tiedEmbedding, name == (try? layout.source.checkpointPlace(.unembedding).name) {
      return isRead ? try layout.source.checkpointPlace(.embedding).name : name
    }
    throw EngineError(
      .missing, "\(self.name) has no weight \(name)\(suggestion(for: name, in: layout.names)); m:weights() lists them")
  }

  /// A model of its own with some weights replaced. A given unembedding of a model that ties it to the embedding is
  /// from then on one of its own; a given embedding alone changes both. Quantised products become float32 ones.
  /// Throws `.missing` for an unknown name, `.shape` for a tensor of another shape, `.numeric` for NaN or infinity.
  public func edited(_ edits: [String: Tensor]) throws -> Model {
    let source = decoder.weights.source, layout = try CheckpointLayout(source), c = configuration
    var known: [String: Tensor] = [:], head: Tensor?
    for (name, tensor) in edits {
      let place = try resolved(name, layout, isRead: false)
      let isHead = layout.shapes[place] == nil
      let shape = layout.shapes[place] ?? [c.vocabularySize, c.dModel]
      guard tensor.shape == shape else {
        throw EngineError(
          .shape, "weight \(name) has shape \(shapeText(shape)), the new one has \(shapeText(tensor.shape))")
      }
      let bad = (0..<tensor.count).count { !tensor.pointer[$0].isFinite }
      guard bad == 0 else {
        throw EngineError(.numeric, "the new weight \(name) holds \(bad) values that are NaN or infinite")
      }
      if isHead { head = tensor } else { known[place] = tensor }
    }
    var changed = try layout.containerTensors(known)
    if let head { changed[try source.place(.unembedding).name] = head }
    let copy = source.edited(EditedWeights(source.weights, changed), isTied: c.tiedEmbedding && head == nil)
    var hash = SHA256()
    Array(baseHash.utf8).withUnsafeBytes { hash.add($0) }
    for (name, tensor) in edits.sorted(by: { $0.key < $1.key }) {
      Array(name.utf8).withUnsafeBytes { hash.add($0) }
      hash.add(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4))
    }
    return try Model(
      source: copy, name: name + "+edited",
      weights: try DecoderWeights(copy, precision: precision == .native ? .f32 : precision), template: givenTemplate,
      hash: hash.finish(), ancestors: ancestors + [baseHash])
  }

  /// A model of its own none of whose named parts writes along `direction` `[dModel]`: the weights' form of ablating it
  /// (Arditi et al. 2024, section 4.1). `layers` nil: embedding, learned positions, and every block's attention output
  /// and MLP output, biases too; else these blocks' outputs alone. Where a norm follows an output (Gemma 2 and 3), what
  /// is removed is the direction times that norm's weight, so that nothing is left of the direction behind it. A tied
  /// unembedding keeps its values and is from then on one of its own.
  /// Throws `.shape` for another width, `.numeric` for a direction of 0 or one that holds NaN.
  public func orthogonalised(to direction: Tensor, layers: [Int]? = nil) throws -> Model {
    let source = decoder.weights.source, layout = try CheckpointLayout(source), c = configuration
    try source.weights.verify()
    guard direction.count == c.dModel else {
      throw EngineError(
        .shape, "a direction of shape \(shapeText(direction.shape)) does not fit the residual stream, [\(c.dModel)]")
    }
    let values = direction.values.map(Double.init)
    var edits: [String: Tensor] = [:]
    /// Takes the direction `along` out of every vector of `dModel` values: rows `[n, dModel]`, or columns
    /// `[dModel, n]`.
    func remove(_ along: [Double], from name: String, isRows: Bool) throws {
      let tensor = try layout.tensor(name), x = tensor.mutablePointer, d = c.dModel, n = tensor.count / d
      parallelRanges(n, minimum: 64) { range in
        for i in range {
          let start = isRows ? i * d : i, step = isRows ? 1 : n
          var product = 0.0
          for j in 0..<d { product += along[j] * Double(x[start + j * step]) }
          for j in 0..<d { x[start + j * step] = Float(Double(x[start + j * step]) - product * along[j]) }
        }
      }
      edits[name] = tensor
    }
    let unit = try Model.unit(values)
    if layers == nil {
      let embedding = try source.checkpointPlace(.embedding).name
      if c.tiedEmbedding { edits[try source.checkpointPlace(.unembedding).name] = try layout.tensor(embedding) }
      try remove(unit, from: embedding, isRows: true)
      if c.learnedPositions { try remove(unit, from: source.checkpointPlace(.positionEmbedding).name, isRows: true) }
    }
    for layer in layers ?? Array(0..<c.layerCount) {
      try Interrupt.check()
      for (role, norm) in [(WeightRole.output, WeightRole.postAttentionNorm), (.down, .postMLPNorm)] {
        let place = try source.checkpointPlace(role, layer: layer)
        let along =
          c.postNorms
          ? try Model.unit(zip(values, source.norm(norm, layer: layer, width: c.dModel).weight).map { $0 * Double($1) })
          : unit
        try remove(along, from: place.name, isRows: place.isTransposed)
        if c.biases.contains(role) { try remove(along, from: place.name.biasName, isRows: true) }
      }
    }
    return try edited(edits)
  }

  private static func unit(_ values: [Double]) throws -> [Double] {
    let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    guard norm.isFinite, norm > 0 else {
      throw EngineError(.numeric, "a direction of norm \(norm) cannot be removed")
    }
    return values.map { $0 / norm }
  }

  /// Weights of one attention head, each `[dHead, dModel]`: rows of the query, key and value projections, and the
  /// columns of the output projection as rows. Queries and keys stand in the checkpoint's order, before rotary. Heads
  /// that share keys and values get the same `k` and `v`. Throws `.layer` and `.argument` out of range.
  public func headWeights(layer: Int, head: Int) throws -> (q: Tensor, k: Tensor, v: Tensor, o: Tensor) {
    let c = configuration, source = decoder.weights.source, size = c.dHead
    try source.weights.verify()
    guard (0..<c.layerCount).contains(layer) else {
      throw EngineError(.layer, "layer \(layer) is out of range: \(name) has layers 0 to \(c.layerCount - 1)")
    }
    guard (0..<c.headCount).contains(head) else {
      throw EngineError(.argument, "head \(head) is out of range: \(name) has heads 0 to \(c.headCount - 1)")
    }
    let inputs = try source.rows(BlockMatrix.queryKeyValue.parts(c), layer: layer, inputs: c.dModel)
    func rows(_ first: Int) throws -> Tensor {
      let result = try Tensor(uninitialized: [size, c.dModel])
      try inputs.read(first..<first + size, into: result.mutablePointer)
      return result
    }
    let shared = c.headCount + head / (c.headCount / c.kvHeadCount)
    let width = c.headCount * size
    let outputs = try source.rows(BlockMatrix.output.parts(c), layer: layer, inputs: width)
    let whole = try Tensor(uninitialized: [c.dModel, width])
    try outputs.readOnAllThreads(0..<c.dModel, into: whole.mutablePointer)
    let o = try Tensor(uninitialized: [size, c.dModel])
    for row in 0..<c.dModel {
      for i in 0..<size { o.mutablePointer[i * c.dModel + row] = whole.pointer[row * width + head * size + i] }
    }
    return (try rows(head * size), try rows(shared * size), try rows((shared + c.kvHeadCount) * size), o)
  }

  /// Logits `[rows, vocabulary]` of rows `[rows, dModel]` of the residual stream, through the final norm where `norm` is
  /// set, else of rows as the final norm gives them. The soft cap applies. Throws `.shape` for another width.
  public func unembed(_ x: Tensor, norm: Bool = true) throws -> Tensor {
    let c = configuration
    try decoder.weights.source.weights.verify()
    guard x.rank == 2, x.shape[1] == c.dModel else {
      throw EngineError(.shape, "unembed: rows of shape \(shapeText(x.shape)) are not [rows, \(c.dModel)]")
    }
    let out = try Tensor(uninitialized: [x.shape[0], c.vocabularySize])
    guard x.shape[0] > 0 else { return out }
    let rows = try x.cloned()
    if norm { decoder.norm(x.pointer, decoder.weights.finalNorm, into: rows.mutablePointer, rows: x.shape[0]) }
    try decoder.unembed(rows.pointer, rows: x.shape[0], into: out.mutablePointer)
    return out
  }
}
