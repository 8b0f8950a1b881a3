import Foundation

/// An opened model file or folder: settings, weights by role, and what the tokenizer needs.
struct ModelSource: Sendable {
  let path: String
  let family: Family
  private(set) var configuration: ModelConfiguration
  private(set) var weights: any WeightSource
  /// The file that settings and tokenizer come from, where it is one.
  let gguf: GGUFFile?
  let folder: HuggingFaceFolder?
  /// Whether weights go by GGUF's names and arrangement.
  private(set) var isGGUF: Bool
  /// What stands for the family's usual prefix of tensor names.
  let prefix: String
  /// What a reader should know of how the file was taken.
  private(set) var notes: [String] = []

  /// The same model with weights under a Hugging Face checkpoint's names from elsewhere.
  func replacing(_ weights: any WeightSource) -> ModelSource {
    var copy = self
    copy.weights = weights
    copy.isGGUF = false
    return copy
  }

  /// The same model with weights under the same names, computed from its own.
  func wrapping(_ weights: any WeightSource) -> ModelSource {
    var copy = self
    copy.weights = weights
    return copy
  }

  /// The same with an unembedding of its own, or without, as `isTied` says.
  func edited(_ weights: any WeightSource, isTied: Bool) -> ModelSource {
    var copy = wrapping(weights)
    copy.configuration.tiedEmbedding = isTied
    return copy
  }

  /// A model of some of these blocks, in the order given.
  func keeping(_ blocks: [Int]) throws -> ModelSource {
    var copy = self
    copy.configuration.layers = blocks.map { configuration.layers[$0] }
    copy.configuration = try copy.configuration.validated(source: path)
    copy.weights = KeptBlocks(weights, stem: String(try place(.attentionNorm).name.prefix { $0 != "%" }), blocks)
    return copy
  }

  /// Opens a `.gguf` file, by the name of any of its parts, or a Hugging Face folder. `ignored`: settings that are passed
  /// over although they are not known. Throws `.missing` for a wrong path, `.file` for a bad or unsupported one, and
  /// `.argument` for a setting that cannot be ignored.
  init(path: String, ignoring ignored: Set<String> = []) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.missing, "no model at \(path): there is no such file or folder")
    }
    self =
      isFolder.boolValue
      ? try ModelSource(folder: HuggingFaceFolder(path: path), ignored) : try ModelSource(gguf: path, ignored)
  }

  private init(folder: HuggingFaceFolder, _ ignored: Set<String>) throws {
    path = folder.path
    gguf = nil
    isGGUF = false
    self.folder = folder
    weights = folder
    try ModelSource.refuseQuantized(folder, ignored: ignored)
    if !ignored.contains(HuggingFaceFolder.settingsHashKey) { try folder.refuseMixture() }
    // A model of several parts keeps its decoder's settings in an object of their own.
    let (settings, isPart) = try ModelSource.decoderSettings(folder.configuration)
    family = try Family.named(modelType: try settings.string("model_type"), source: settings.source)
    let names = family.tensors, embedding = family.tensors.checkpoint[.embedding]?.name ?? ""
    prefix =
      ([names.prefix] + names.otherPrefixes).first {
        folder.shape(of: $0 + embedding.dropFirst(names.prefix.count)) != nil
      } ?? names.prefix
    configuration = try family.configuration(ModelKeys(file: settings, architecture: nil, isPart: isPart))
      .validated(source: settings.source)
    try ModelSource.check(settings, isPart: isPart, of: folder.configuration, configuration, ignored: ignored)
    notes = ModelSource.notes(folder.configuration, isPart: isPart, family: family, ignored: ignored)
    if configuration.family == "gemma3", let cap = settings["attn_logit_softcapping"] {
      notes.append("attn_logit_softcapping is \(cap.shortText), which neither transformers nor this applies in gemma3")
    }
    if configuration.tiedEmbedding, try hasOwnHead() {
      configuration.tiedEmbedding = false
      notes.append(
        "config.json says that the embedding is the unembedding (tie_word_embeddings), but the weights hold another "
          + "\(try checkpointPlace(.unembedding).name), which is used")
    }
  }

  private init(gguf path: String, _ ignored: Set<String>) throws {
    let (file, weights) = try SplitGGUF.open(path)
    self.path = file.path
    gguf = file
    isGGUF = true
    folder = nil
    self.weights = weights
    try ModelSource.refuseOtherKinds(file)
    let architecture = try file.string("general.architecture")
    family = try Family.named(architecture: architecture, source: path)
    prefix = family.tensors.prefix
    let keys = ModelKeys(file: file, architecture: architecture)
    var configuration = try family.configuration(keys)
    if configuration.vocabularySize == 0 {
      configuration.vocabularySize = weights.shape(of: "token_embd.weight")?.first ?? 0
    }
    configuration.tiedEmbedding = weights.shape(of: "output.weight") == nil
    // Settings say nothing of biases, and of scaled rotary embeddings only by a tensor of divisors.
    let first = family.tensors.gguf.mapValues { $0.name.replacing("%", with: "0").biasName }
    configuration.biases = Set(
      WeightRole.projections.filter { first[$0].map { weights.shape(of: $0) != nil } ?? false })
    for layer in configuration.layers.indices {
      // What stands for the model's own scaling does not hold for layers that have another rotary embedding (Gemma 3).
      guard let rotary = configuration.layers[layer].rotary, family.architecture != "gemma3" else { continue }
      configuration.layers[layer].rotary = try keys.withStoredFactors(rotary, weights)
    }
    if let rotary = configuration.layers.first?.rotary { configuration.extendContext(by: rotary) }
    self.configuration = try configuration.validated(source: path)
    try ModelSource.check(file, architecture: architecture, self.configuration, ignored: ignored)
    if !ignored.isEmpty { notes.append("settings passed over: \(ignored.sorted().joined(separator: ", "))") }
  }

  /// End-of-sequence ids that a folder's settings name; a GGUF's tokenizer knows its own.
  func endTokens() throws -> [Int] {
    guard let folder else { return [] }
    var ids: [Int] = []
    for keys in [folder.configuration, folder.generation].compactMap({ $0 }) {
      if let list = try? keys.ints(ifPresent: "eos_token_id") {
        ids += list
      } else if let id = try keys.int(ifPresent: "eos_token_id") {
        ids.append(id)
      }
    }
    return ids.reduce(into: []) {
      if !$0.contains($1), (0..<configuration.vocabularySize).contains($1) { $0.append($1) }
    }
  }

  /// The tokenizer that comes with the weights; nil where none does. It may have more tokens than the embedding has
  /// rows, and fewer. Throws `.token` for one that is damaged or of an unknown kind, `.missing` for a folder that has
  /// its tokenizer in another form than `tokenizer.json`.
  func tokenizer() throws -> Tokenizer? {
    let tokenizer: Tokenizer
    if let gguf {
      guard gguf.keyNames.contains("tokenizer.ggml.model") else { return nil }
      tokenizer = try Tokenizer(gguf: gguf)
    } else {
      guard Tokenizer.isIn(folder: path) else { return nil }
      tokenizer = try Tokenizer(folder: path)
    }
    return tokenizer.covering(ids: configuration.vocabularySize)
  }

  /// Where a weight lies in this container.
  func place(_ role: WeightRole, layer: Int? = nil) throws -> WeightPlace {
    guard isGGUF else { return try checkpointPlace(role, layer: layer) }
    return try place(role, layer: layer, in: family.tensors.gguf)
  }

  /// Where a weight lies in a Hugging Face checkpoint of this model.
  func checkpointPlace(_ role: WeightRole, layer: Int? = nil) throws -> WeightPlace {
    try place(role, layer: layer, in: family.tensors.checkpoint)
  }

  private func place(_ role: WeightRole, layer: Int?, in names: [WeightRole: WeightPlace]) throws -> WeightPlace {
    guard let place = names[role] else {
      throw EngineError(.file, "\(path): family \(configuration.family) has no weight for \(role.rawValue)")
    }
    var name = place.name
    let usual = family.tensors.prefix
    // Older wrappers keep the head inside the language part.
    if !isGGUF, role == .unembedding, prefix.hasSuffix(usual), prefix != usual,
      weights.shape(of: name) == nil, weights.shape(of: prefix.dropLast(usual.count) + name) != nil
    {
      name = prefix.dropLast(usual.count) + name
    }
    if prefix != usual, name.hasPrefix(usual) { name = prefix + name.dropFirst(usual.count) }
    if let layer { name = name.replacing("%", with: String(layer)) }
    return WeightPlace(
      name, part: place.part, of: place.parts, isPerHead: place.isPerHead, isTransposed: place.isTransposed)
  }

  /// Checks a tensor's presence and shape.
  func check(_ name: String, shape: [Int]) throws {
    guard let found = weights.shape(of: name) else {
      throw EngineError(.file, "\(path) has no tensor \(name)\(suggestion(for: name, in: weights.names))")
    }
    guard found == shape else {
      throw EngineError(.file, "\(path): tensor \(name) has shape \(shapeText(found)), expected \(shapeText(shape))")
    }
  }

  /// A norm's weight `[width]`, with the container's offset undone, and its bias where the family has one.
  func norm(_ role: WeightRole, layer: Int? = nil, width: Int) throws -> NormWeights {
    let name = try place(role, layer: layer).name
    let offset = isGGUF ? 0 : family.checkpointNormOffset
    let hasBias = configuration.norm == .layer
    return NormWeights(
      weight: try vector(name, width: width).map { offset == 0 ? $0 : $0 + offset },
      bias: hasBias ? try vector(name.biasName, width: width) : nil)
  }

  /// A one-dimensional tensor `[width]`.
  func vector(_ name: String, width: Int) throws -> [Float] {
    try check(name, shape: [width])
    var values = [Float](repeating: 0, count: width)
    try values.withUnsafeMutableBufferPointer {
      try weights.read(name, rows: 0..<1, into: $0.baseAddress!)
      try weights.requireFinite(name, $0.baseAddress!, count: width)
    }
    return values
  }

  /// Refuses tensors of the decoder that it would not use: they would change what the model computes.
  func refuseUnknownTensors() throws {
    var known: Set<String> = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"]
    for role in WeightRole.allCases {
      for layer in 0..<configuration.layerCount {
        guard let name = try? place(role, layer: layer).name else { continue }
        known.insert(name)
        let isProjection = WeightRole.projections.contains(role)
        if isProjection ? configuration.biases.contains(role) : configuration.norm == .layer {
          known.insert(name.biasName)
        }
      }
    }
    // All of a GGUF file is the decoder's; a folder may hold other parts beside it.
    let stem = isGGUF ? "" : prefix.isEmpty ? String(try place(.attentionNorm).name.prefix { $0 != "%" }) : prefix
    let outside = [WeightRole.finalNorm, .unembedding, .embedding].compactMap { try? place($0).name.biasName }
    let unknown = weights.names.filter { name in
      (name.hasPrefix(stem) || outside.contains(name)) && !known.contains(name)
        && !family.tensors.ignoredSuffixes.contains { name.hasSuffix($0) }
    }
    guard let first = unknown.first else { return }
    if let expert = unknown.first(where: { $0.contains("expert") || $0.contains("_exps") }) {
      throw EngineError(
        .file, "\(path) is a mixture of experts, which is not supported: it has tensors such as \(expert)")
    }
    throw EngineError(
      .file,
      "\(path) has \(unknown.count) tensors that family \(configuration.family) does not use, such as \(first): "
        + "settings and weights do not agree")
  }
}

extension String {
  /// The name of the bias beside a weight.
  var biasName: String { (hasSuffix(".weight") ? String(dropLast("weight".count)) : self) + "bias" }
}
