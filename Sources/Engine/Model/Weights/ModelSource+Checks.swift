/// What is checked of a model's file before it is loaded (`docs/loading.md`).
extension ModelSource {
  /// Refuses weights that are no plain numbers, by what settings and names of tensors say.
  static func refuseQuantized(_ folder: HuggingFaceFolder, ignored: Set<String>) throws {
    if ignored.isDisjoint(with: ["quantization_config", "quantization"]),
      let method = FileKinds.quantization(folder.configuration)
    {
      throw FileKinds.quantized(folder.path, by: method)
    }
    if let method = FileKinds.quantization(ofTensors: folder.names) {
      throw FileKinds.quantized(folder.path, by: method)
    }
  }

  /// The settings of the decoder inside a folder's `config.json`, and whether they are a part of a larger model's.
  static func decoderSettings(_ configuration: ConfigurationFile) throws -> (keys: ConfigurationFile, isPart: Bool) {
    guard let inner = try configuration.object(ifPresent: "text_config") else { return (configuration, false) }
    let outer = try configuration.string("model_type")
    if Family.all.contains(where: { $0.modelTypes.contains(outer) }) { return (configuration, false) }
    guard let usual = FileKinds.wrappers[outer] else {
      throw FileKinds.unsupported(
        outer, what: "model_type", source: configuration.source,
        known: Family.all.flatMap(\.modelTypes) + FileKinds.wrappers.keys.sorted())
    }
    guard inner["model_type"] == nil, case .object(var members) = inner.value else { return (inner, true) }
    members["model_type"] = .string(usual)
    return (try ConfigurationFile(.object(members), source: inner.source), true)
  }

  /// Checks every setting of a folder against the table.
  static func check(
    _ settings: ConfigurationFile, isPart: Bool, of whole: ConfigurationFile, _ model: ModelConfiguration,
    ignored: Set<String>
  ) throws {
    let listed = settings.keyNames.compactMap { key in settings[key].map { (key: key, value: $0) } }
    try KnownSettings.requireIgnored(
      ignored, among: settings.keyNames + (isPart ? whole.keyNames : []) + [HuggingFaceFolder.settingsHashKey],
      source: whole.source)
    try KnownSettings.configuration.check(
      listed, source: settings.source, model: model, ignored: ignored.intersection(settings.keyNames))
  }

  /// Checks every setting of a GGUF file under its architecture's prefix against the table.
  static func check(_ file: GGUFFile, architecture: String, _ model: ModelConfiguration, ignored: Set<String>) throws {
    let prefix = architecture + "."
    let keys = file.keyNames.filter { $0.hasPrefix(prefix) }
    let listed = keys.compactMap { key in
      file.metadata[key].map { (key: String(key.dropFirst(prefix.count)), value: $0.json) }
    }
    let own = Set(ignored.filter { keys.contains($0) }.map { String($0.dropFirst(prefix.count)) })
    let short = Set(ignored.filter { keys.contains(prefix + $0) })
    try KnownSettings.requireIgnored(
      ignored, among: keys + keys.map { String($0.dropFirst(prefix.count)) }, source: file.path)
    try KnownSettings.gguf.check(listed, source: file.path, model: model, ignored: own.union(short))
  }

  /// Refuses GGUF files that hold something else than a model.
  static func refuseOtherKinds(_ file: GGUFFile) throws {
    let what: String
    switch try file.string(ifPresent: "general.type") ?? "model" {
    case "model": return
    case "adapter": what = "a LoRA adapter in llama.cpp's form; give PEFT's folder of it to model.load's adapter option"
    case "mmproj": what = "the image part of a model; its language part is another .gguf file"
    case "vocab": what = "a vocabulary without weights"
    case "imatrix": what = "an importance matrix for quantising"
    case let other: what = "of type \(other)"
    }
    throw EngineError(.file, "\(file.path) is no language model: it is \(what)")
  }

  /// Whether a folder's head differs from the embedding that its settings say it is.
  func hasOwnHead() throws -> Bool {
    let head = try checkpointPlace(.unembedding).name, embedding = try checkpointPlace(.embedding).name
    guard let shape = weights.shape(of: head) else { return false }
    guard shape == weights.shape(of: embedding), shape.count == 2 else { return true }
    let width = shape[1], failure = FirstError()
    struct Differs: Error {}
    parallelRanges(shape[0], minimum: max(1, (1 << 14) / max(1, width))) { range in
      failure.catching {
        let step = max(1, (1 << 16) / max(1, width))
        let values = UnsafeMutablePointer<Float>.allocate(capacity: 2 * step * width)
        defer { values.deallocate() }
        for low in stride(from: range.lowerBound, to: range.upperBound, by: step) where !failure.isSet {
          let rows = low..<min(low + step, range.upperBound), count = rows.count * width
          try weights.read(head, rows: rows, into: values)
          try weights.read(embedding, rows: rows, into: values + count)
          for i in 0..<count where values[i] != values[count + i] { throw Differs() }
        }
      }
    }
    do { try failure.rethrow() } catch is Differs { return true }
    return false
  }

  /// What a reader should know of how a folder was taken.
  static func notes(_ configuration: ConfigurationFile, isPart: Bool, family: Family, ignored: Set<String>) -> [String]
  {
    var notes: [String] = []
    if isPart {
      let outer = configuration["model_type"]?.string ?? "a larger model"
      notes.append("the language part (\(family.modelTypes[0])) of \(outer) is loaded; its other parts are not")
    } else if let named = configuration["architectures"]?.array?.first?.string, named != family.modelClass {
      notes.append("config.json names \(named); it is loaded as \(family.modelClass)")
    }
    if !ignored.isEmpty { notes.append("settings passed over: \(ignored.sorted().joined(separator: ", "))") }
    return notes
  }
}
