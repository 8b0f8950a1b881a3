/// Reads an adapter's tensors by their names, module by module, as PEFT would put them to use.
struct AdapterReader {
  let settings: LoraSettings
  let weights: SafetensorsFile
  let folder: String
  let model: Model
  private(set) var updates: [LowRankUpdate] = []
  private(set) var overlay: AdapterOverlay?
  /// Maps of the blocks that it changes, in order.
  private(set) var modules: [LinearModule] = []
  /// The last parts of the names of the embedding and the unembedding, where it changes these.
  private(set) var ends: [String] = []
  /// All tensors as they were read; empty where updates say all.
  private(set) var kept: [(name: String, tensor: Tensor)] = []
  private(set) var isPlain = true
  private var used: Set<String> = []
  private var products: [AdapterOverlay.Product] = []
  private var replaced: [(name: String, values: Tensor)] = []

  init(settings: LoraSettings, weights: SafetensorsFile, folder: String, model: Model) {
    (self.settings, self.weights, self.folder, self.model) = (settings, weights, folder, model)
  }

  private var source: ModelSource { model.decoder.weights.base }

  /// Throws `.file`, `.argument`.
  mutating func read() throws {
    for module in try LinearModule.all(source) { try read(module) }
    let embedding = try end(.embedding), unembedding = try end(.unembedding)
    try readReplaced()
    let embeddingRows = try rows(of: embedding), unembeddingRows = try rows(of: unembedding)
    let table = try whole(embedding), head = try whole(unembedding)
    if let other = weights.names.first(where: { !used.contains($0) }) { throw unknown(other) }
    let isOverlaid =
      !products.isEmpty || !replaced.isEmpty || table != nil || head != nil || embeddingRows != nil
      || unembeddingRows != nil
    guard isOverlaid || !updates.isEmpty else { throw refuse("the adapter has no updates") }
    isPlain = !isOverlaid && !updates.contains { $0.offset != nil }
    if isOverlaid {
      // In a tied model PEFT copies a module to be saved, and changes one that only lies in the file with its twin.
      let isCopied = settings.modulesToSave.contains { name in embedding.names.contains { $0.hasSuffix(name) } }
      overlay = AdapterOverlay(
        replaced: replaced, embedding: table, unembedding: head, embeddingRows: embeddingRows,
        unembeddingRows: unembeddingRows, products: products, keepsTied: !isCopied)
    }
    if !isPlain { kept = try weights.names.map { ($0, try weights.finiteTensor($0)) } }
  }

  // MARK: Names

  /// Whom a module's tensors belong to: its name as this model has it, and as the file may have it.
  private struct End {
    let role: WeightRole
    let names: [String]
  }

  private func end(_ role: WeightRole) throws -> End {
    let name = (try? source.checkpointPlace(role).name) ?? "lm_head.weight"
    return End(role: role, names: candidates(name.hasSuffix(".weight") ? String(name.dropLast(7)) : name))
  }

  /// A checkpoint of the bare decoder lacks the prefix that PEFT's names have; a part of a larger model has another.
  private func candidates(_ name: String) -> [String] {
    [name, source.family.tensors.prefix + name, source.wholeName(name)].reduce(into: []) {
      if !$0.contains($1) { $0.append($1) }
    }
  }

  private func found(_ names: [String], _ suffix: String) -> String? {
    names.first { weights.shape(of: Adapter.prefix + $0 + suffix) != nil }
  }

  /// A tensor of the file, which counts as understood.
  private mutating func take(_ name: String) throws -> Tensor? {
    guard weights.shape(of: Adapter.prefix + name) != nil else { return nil }
    used.insert(Adapter.prefix + name)
    let tensor = try weights.finiteTensor(Adapter.prefix + name)
    let wrong = tensor.values.count { !$0.isFinite }
    guard wrong == 0 else {
      throw EngineError(
        .numeric, "\(folder): \(wrong) of the \(tensor.count) values of \(Adapter.prefix)\(name) are NaN or infinite")
    }
    return tensor
  }

  private func refuse(_ what: String) -> EngineError { LoraSettings.failure(settings.file, what) }

  private func unknown(_ name: String) -> EngineError {
    EngineError(
      .argument,
      "\(folder): tensor \(name) belongs to no module of \(model.name) that the adapter could change: it is of another "
        + "model, or of another kind")
  }

  // MARK: Updates

  private mutating func read(_ module: LinearModule) throws {
    let names = candidates(module.name)
    try checkUntargeted(names, isLinear: true)
    guard let name = found(names, ".lora_A.weight") else { return }
    guard try settings.targets(name, isLinear: true) else { throw untargeted(name) }
    guard let (down, up, rank) = try pair(name, inputs: module.inputs, outputs: module.outputs) else { return }
    func ordered(_ tensor: Tensor) throws -> Tensor {
      try module.order.map { try reordered(tensor, $0, back: false) } ?? tensor
    }
    func ordered(_ values: [Float]) -> [Float] { module.order.map { $0.map { values[$0] } } ?? values }
    let scale = try settings.scale(of: name, rank: rank)
    let magnitude = try magnitude(of: name, count: module.outputs)
    let offset = try offset(of: name, count: module.outputs)
    modules.append(module)
    if let magnitude {
      products.append(
        AdapterOverlay.Product(
          target: .block(module), scale: scale, down: down, up: try ordered(up), magnitude: ordered(magnitude)))
    } else {
      updates.append(
        try LowRankUpdate(
          module, rank: rank, scale: scale, down: down, up: try ordered(up),
          offset: offset.map { ordered($0).map { $0 * scale } }))
    }
  }

  /// A and B of a module with their rank, which must be that of the settings.
  private mutating func pair(_ name: String, inputs: Int, outputs: Int) throws -> (down: Tensor, up: Tensor, rank: Int)?
  {
    let (first, second) = (name + ".lora_A.weight", name + ".lora_B.weight")
    let shape = weights.shape(of: Adapter.prefix + first) ?? [], own = shape.first ?? 0
    let other = weights.shape(of: Adapter.prefix + second) ?? []
    guard (1...4096).contains(own), shape == [own, inputs], other == [outputs, own] else {
      throw wrongShape(name, shape, other, "[r, \(inputs)] and [\(outputs), r]")
    }
    try checkRank(own, name)
    guard let down = try take(first), let up = try take(second) else { return nil }
    return (down, up, own)
  }

  private func wrongShape(_ name: String, _ a: [Int], _ b: [Int], _ expected: String) -> EngineError {
    EngineError(
      .argument,
      "\(folder): \(name) has updates \(shapeText(a)) and \(shapeText(b)); for \(model.name) they must be \(expected): "
        + "it is an adapter of another model")
  }

  private func checkRank(_ rank: Int, _ name: String) throws {
    let expected = try settings.rank(of: name)
    guard Double(rank) == expected else {
      throw refuse(
        "r and rank_pattern give \(name) the rank \(JSONValue.number(expected).int ?? 0), its tensors have \(rank)")
    }
  }

  /// DoRA's magnitudes.
  private mutating func magnitude(of name: String, count: Int) throws -> [Float]? {
    let key = ".lora_magnitude_vector"
    let found = try take(name + key) ?? take(name + key + ".weight")
    guard settings.usesDoRA == (found != nil) else {
      throw refuse(
        settings.usesDoRA
          ? "use_dora is set, and \(name) has no \(key.dropFirst())"
          : "use_dora is not set, and \(name) has a \(key.dropFirst())")
    }
    guard let found else { return nil }
    guard found.count == count else {
      throw EngineError(.argument, "\(folder): \(name)\(key) has \(found.count) values, expected \(count)")
    }
    return found.values
  }

  private mutating func offset(of name: String, count: Int) throws -> [Float]? {
    let found = try take(name + ".lora_B.bias")
    guard settings.hasBias == (found != nil) else {
      throw refuse("lora_bias is \(settings.hasBias), and \(name) \(found == nil ? "has no" : "has a") lora_B.bias")
    }
    guard let found else { return nil }
    guard found.count == count else {
      throw EngineError(.argument, "\(folder): \(name).lora_B.bias has \(found.count) values, expected \(count)")
    }
    return found.values
  }

  private func untargeted(_ name: String) -> EngineError {
    refuse(
      "the file has an update of \(name), which target_modules, exclude_modules, layers_to_transform and modules_to_save "
        + "leave out: PEFT would pass over it")
  }

  /// An update under a name that the settings do not mean would be passed over by PEFT.
  private func checkUntargeted(_ names: [String], isLinear: Bool) throws {
    for suffix in [".lora_B.weight", ".lora_magnitude_vector"] {
      if let name = found(names, suffix), found(names, ".lora_A.weight") == nil {
        throw EngineError(.argument, "\(folder): \(name) has \(suffix.dropFirst()) without lora_A.weight")
      }
    }
  }

  // MARK: Ends

  /// The table of an end in place of the model's, with its low-rank update put among the products.
  private mutating func whole(_ end: End) throws -> Tensor? {
    try readProduct(end)
    for suffix in [".weight", ".base_layer.weight"] {
      guard let name = found(end.names, suffix) else { continue }
      let table = try take(name + suffix)
      if suffix == ".weight" { note(name) }
      return table
    }
    return nil
  }

  private mutating func note(_ name: String) {
    let last = name.split(separator: ".").last.map(String.init) ?? name
    if !ends.contains(last) { ends.append(last) }
  }

  private mutating func readProduct(_ end: End) throws {
    let c = model.configuration, isEmbedding = end.role == .embedding
    if isEmbedding, let name = found(end.names, ".lora_embedding_A") {
      guard try settings.targets(name, isLinear: false) else { throw untargeted(name) }
      let (first, second) = (name + ".lora_embedding_A", name + ".lora_embedding_B")
      let a = weights.shape(of: Adapter.prefix + first) ?? [], b = weights.shape(of: Adapter.prefix + second) ?? []
      let rank = a.first ?? 0
      guard (1...4096).contains(rank), a == [rank, c.vocabularySize], b == [c.dModel, rank] else {
        throw wrongShape(name, a, b, "[r, \(c.vocabularySize)] and [\(c.dModel), r]")
      }
      try checkRank(rank, name)
      guard let down = try take(first), let up = try take(second) else { return }
      note(name)
      products.append(
        AdapterOverlay.Product(
          target: .embedding, scale: try settings.scale(of: name, rank: rank), down: down, up: up,
          magnitude: try magnitude(of: name, count: c.dModel)))
    } else if !isEmbedding, let name = found(end.names, ".lora_A.weight") {
      // PEFT gives a tied unembedding the embedding's update where it is told to keep them tied.
      let isTied =
        try settings.file.bool(ifPresent: "ensure_weight_tying") == true
        && products.contains { $0.target == .embedding }
      guard try isTied || settings.targets(name, isLinear: false) else { throw untargeted(name) }
      guard let (down, up, rank) = try pair(name, inputs: c.dModel, outputs: c.vocabularySize) else { return }
      guard try offset(of: name, count: c.vocabularySize) == nil else {
        throw refuse("lora_bias on the unembedding \(name) is not supported")
      }
      note(name)
      products.append(
        AdapterOverlay.Product(
          target: .unembedding, scale: try settings.scale(of: name, rank: rank), down: down, up: up,
          magnitude: try magnitude(of: name, count: c.vocabularySize)))
    }
  }

  /// Rows of single tokens (`trainable_token_indices`).
  private mutating func rows(of end: End) throws -> AdapterOverlay.Rows? {
    let suffix = ".token_adapter.trainable_tokens_delta", key = "trainable_token_indices"
    guard let name = found(end.names, suffix), let values = try take(name + suffix) else { return nil }
    let listed: [Int]?
    if settings.file[key]?.object != nil {
      let object = try settings.file.object(ifPresent: key)
      listed = try object?.keyNames.first { name == $0 || name.hasSuffix("." + $0) }.flatMap { try object?.ints($0) }
    } else {
      listed = try settings.file.ints(ifPresent: key)
    }
    let c = model.configuration
    guard let tokens = listed, values.shape == [tokens.count, c.dModel],
      tokens.allSatisfy({ (0..<c.vocabularySize).contains($0) })
    else {
      throw refuse(
        "\(key) has \(listed?.count ?? 0) tokens for \(name), and its rows are \(shapeText(values.shape)); expected one row "
          + "of \(c.dModel) for each, of tokens 0 to \(c.vocabularySize - 1)")
    }
    note(name)
    return AdapterOverlay.Rows(tokens: tokens, values: values)
  }

  // MARK: Replaced tensors

  /// Tensors of `modules_to_save`, biases, and others that the model has too: PEFT loads them all in its place.
  private mutating func readReplaced() throws {
    let layout = try CheckpointLayout(source)
    let ends = Set([WeightRole.embedding, .unembedding].compactMap { try? source.checkpointPlace($0).name })
    for name in layout.names where !ends.contains(name) {
      let dot = name.lastIndex(of: ".") ?? name.endIndex
      let module = String(name[..<dot]), kind = String(name[dot...])
      let names = candidates(module)
      let suffix = found(names, kind) == nil ? ".base_layer" + kind : kind
      guard let found = found(names, suffix), let values = try take(found + suffix) else { continue }
      guard values.shape == layout.shapes[name] else {
        throw EngineError(
          .argument,
          "\(folder): \(found)\(suffix) has shape \(shapeText(values.shape)), \(model.name) has "
            + "\(shapeText(layout.shapes[name] ?? [])): it is an adapter of another model")
      }
      replaced.append((name, values))
    }
  }
}
