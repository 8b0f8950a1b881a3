/// A set of low-rank updates (LoRA, Hu et al. 2022) for one model, that can be attached and detached while it runs.
///
/// ```swift
/// let adapter = try Adapter(for: model, rank: 16, alpha: 32)
/// try model.attach(adapter)                    // B = 0: changes nothing until it is trained
/// ```
public final class Adapter: @unchecked Sendable {
  public let rank: Int
  public let alpha: Double
  /// Share of its inputs dropped in training.
  public let dropout: Double
  /// PEFT's names of the maps it changes: `q_proj`.
  public let targets: [String]
  /// Blocks it was limited to; nil for all.
  public let layers: [Int]?
  /// Of the model it was made for; empty where the file does not say.
  public let baseName: String
  public let baseHash: String
  let updates: [LowRankUpdate]
  /// What it changes besides; nil for updates alone.
  let overlay: AdapterOverlay?
  /// The file it was read from, which `save` writes again where there is more than updates.
  let original: AdapterFile?

  init(
    rank: Int, alpha: Double, dropout: Double, targets: [String], layers: [Int]?, baseName: String, baseHash: String,
    updates: [LowRankUpdate], overlay: AdapterOverlay? = nil, original: AdapterFile? = nil
  ) {
    (self.rank, self.alpha, self.dropout, self.targets, self.layers) = (rank, alpha, dropout, targets, layers)
    (self.baseName, self.baseHash, self.updates) = (baseName, baseHash, updates)
    (self.overlay, self.original) = (overlay, original)
  }

  /// What the adapter has that training does not learn; nil where it has updates alone.
  var untrained: String? {
    if let overlay {
      if overlay.products.contains(where: { $0.magnitude != nil }) { return "DoRA's magnitudes (use_dora)" }
      if !overlay.products.isEmpty { return "updates of the embedding or the unembedding" }
      if overlay.embeddingRows != nil || overlay.unembeddingRows != nil {
        return "tokens' rows (trainable_token_indices)"
      }
      return "tensors in place of the model's (modules_to_save, bias)"
    }
    return updates.contains { $0.offset != nil } ? "biases of its updates (lora_bias)" : nil
  }

  /// A fresh adapter: A uniform in ±1/√inputs as PEFT draws it, B zero. `targets`: last parts of module names, nil for
  /// all linear maps of the blocks; `layers`: nil for all. Throws `.argument` for sizes out of range or unknown
  /// targets.
  public convenience init(
    for model: Model, rank: Int = 16, alpha: Double = 32, dropout: Double = 0, targets: [String]? = nil,
    layers: [Int]? = nil, seed: Int = 0
  ) throws {
    guard (1...4096).contains(rank) else { throw EngineError(.argument, "rank is \(rank); 1 to 4096 are possible") }
    guard alpha.isFinite, alpha > 0 else {
      throw EngineError(.argument, "alpha is \(alpha), expected a positive number")
    }
    guard (0..<1).contains(dropout) else {
      throw EngineError(.argument, "dropout is \(dropout), expected 0 to below 1")
    }
    let modules = try LinearModule.all(model.decoder.weights.base)
    let known = modules.map(\.target).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    for target in targets ?? [] where !known.contains(target) {
      throw EngineError(
        .argument,
        "targets: \(model.name) has no linear map \(target)\(suggestion(for: target, in: known)) "
          + "(it has \(known.joined(separator: ", ")))")
    }
    for layer in layers ?? [] where !(0..<model.configuration.layerCount).contains(layer) {
      throw EngineError(
        .argument, "layers: \(model.name) has layers 0 to \(model.configuration.layerCount - 1), not \(layer)")
    }
    let chosen = modules.filter {
      targets?.contains($0.target) != false && layers?.contains($0.layer) != false
    }
    guard !chosen.isEmpty else { throw EngineError(.argument, "an adapter needs at least one target and one layer") }
    var generator = RandomGenerator(seed: seed)
    let updates = try chosen.map { module in
      let bound = 1 / Float(module.inputs).squareRoot()
      let down = try Tensor.uniform(
        [rank, module.inputs], in: -bound..<bound, seed: Int(truncatingIfNeeded: generator.next()))
      return try LowRankUpdate(
        module, rank: rank, scale: Float(alpha) / Float(rank), down: down, up: try Tensor.zeros([module.outputs, rank]))
    }
    self.init(
      rank: rank, alpha: alpha, dropout: dropout, targets: targets ?? known, layers: layers,
      baseName: model.name, baseHash: model.baseHash, updates: updates)
  }

  /// Trainable values.
  public var parameterCount: Int {
    updates.reduce(overlay?.count ?? 0) { $0 + $1.down.value.count + $1.up.value.count + ($1.offset?.count ?? 0) }
  }

  /// What is learnt, in the order of the blocks.
  var parameters: [Parameter] { updates.flatMap { [$0.down, $0.up] } }

  /// Tells adapters apart: SHA-256 over all values.
  public var hash: String {
    var hash = SHA256()
    for update in updates {
      withUnsafeBytes(of: update.scale) { hash.add($0) }
      for parameter in [update.down, update.up] {
        hash.add(UnsafeRawBufferPointer(start: parameter.value.pointer, count: parameter.value.count * 4))
      }
      update.offset?.withUnsafeBytes { hash.add($0) }
    }
    overlay?.add(to: &hash)
    return hash.finish()
  }
}

extension Model {
  /// Lets an adapter take part in every forward pass from now on, after those attached before; between two tokens of a
  /// generation, from the next one on. Throws `.argument` where it is attached already or was made for another model,
  /// and in a hook or in training.
  public func attach(_ adapter: Adapter) throws {
    try checkAdaptersMayChange()
    guard !adapters.contains(where: { $0 === adapter }) else {
      throw EngineError(.argument, "this adapter is attached to \(name) already")
    }
    try check(adapter)
    try setAdapters(adapters + [adapter])
  }

  /// Removes one adapter, or all. Throws `.argument` where it is not attached, and in a hook or in training.
  public func detach(_ adapter: Adapter? = nil) throws {
    try checkAdaptersMayChange()
    guard let adapter else { return try setAdapters([]) }
    guard adapters.contains(where: { $0 === adapter }) else {
      throw EngineError(.argument, "this adapter is not attached to \(name)")
    }
    try setAdapters(adapters.filter { $0 !== adapter })
  }

  /// Half a pass with an adapter and half without is a model that nobody meant.
  private func checkAdaptersMayChange() throws {
    if decoder.isRunning {
      throw EngineError(
        .argument,
        "\(name) is in the middle of a forward pass: a hook cannot attach or detach adapters; do it between runs, or in "
          + "on_token, where it counts from the next token on")
    }
    if isTraining {
      throw EngineError(
        .argument,
        "\(name) is being trained with its adapters as they were at the start; attach and detach them after it")
    }
  }

  /// Refuses an adapter of another model, by hash where it has one, and by shapes.
  func check(_ adapter: Adapter) throws {
    if !adapter.baseHash.isEmpty, adapter.baseHash != baseHash {
      throw EngineError(
        .argument,
        "the adapter was made for \(adapter.baseName) with hash \(adapter.baseHash.prefix(12)), not for \(name) "
          + "with hash \(baseHash.prefix(12))")
    }
    let modules = Dictionary(
      uniqueKeysWithValues: try LinearModule.all(decoder.weights.base).map { ($0.name, $0) })
    let products = adapter.overlay?.products.compactMap { product -> LinearModule? in
      if case .block(let module) = product.target { module } else { nil }
    }
    for module in adapter.updates.map(\.module) + (products ?? []) where modules[module.name] != module {
      throw EngineError(.argument, "the adapter changes \(module.name), which \(name) does not have in that shape")
    }
    guard let overlay = adapter.overlay else { return }
    let shapes = try CheckpointLayout(decoder.weights.base).shapes
    for (tensor, values) in overlay.replaced where shapes[tensor] != values.shape {
      throw EngineError(.argument, "the adapter replaces \(tensor), which \(name) does not have in that shape")
    }
    let table = [configuration.vocabularySize, configuration.dModel]
    for values in [overlay.embedding, overlay.unembedding].compactMap({ $0 }) where values.shape != table {
      throw EngineError(
        .argument,
        "the adapter replaces the embedding or unembedding by one of shape \(shapeText(values.shape)); \(name) has "
          + "\(shapeText(table))")
    }
  }
}
