/// The settings of an adapter of PEFT, `adapter_config.json`, as PEFT 0.21 has them: which are read, which change
/// nothing here, and which are refused because the adapter would do something else with them.
struct LoraSettings {
  /// Computed with.
  static let read = [
    "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "modules_to_save", "trainable_token_indices", "bias", "lora_bias",
    "use_dora", "init_lora_weights",
  ]

  /// Passed over, and why that changes no result.
  static let harmless: [(key: String, reason: String)] = [
    ("arrow_task_names", "a note of the arrow router, which is refused itself"),
    ("auto_mapping", "names Python classes"),
    ("base_model_name_or_path", "names the model; shapes and, in our own files, a hash say whether it fits"),
    ("corda_config", "of the start, which init_lora_weights decides on"),
    ("ensure_weight_tying", "the file holds what was tied"),
    ("ephemeral_gpu_offload", "where PEFT keeps weights"),
    ("eva_config", "of the start of A; ranks and scales that it chose stand in the patterns"),
    ("fan_in_fan_out", "GPT-2's matrices are known to be transposed"),
    ("inference_mode", "whether PEFT trains on"),
    ("lora_dropout", "of training"),
    ("lora_ga_config", "of the start, which init_lora_weights decides on"),
    ("loftq_config", "of the start, which init_lora_weights decides on"),
    ("megatron_core", "names a Python module"),
    ("peft_version", "a note"),
    ("qalora_group_size", "read with use_qalora only, which is refused"),
    ("revision", "names the model's version"),
    ("runtime_config", "where PEFT keeps weights"),
    ("task_type", "what PEFT trains for; a head of another task is a tensor that is refused by name"),
    ("velora_config", "how training saves memory"),
  ]

  /// Refused where they are set, and why.
  static let refused: [(key: String, reason: String)] = [
    ("alora_invocation_tokens", "the adapter would act from these tokens on only"),
    ("arrow_config", "adapters would be mixed token by token"),
    ("kasa_config", "the adapter goes with base weights whose smallest singular values PEFT took away"),
    ("layer_replication", "the adapter is for a model with repeated blocks"),
    ("megatron_config", "the adapter is for maps split by Megatron"),
    ("monteclora_config", "the adapter draws its updates at random"),
    ("target_parameters", "the adapter changes parameters of experts"),
    ("use_bdlora", "its matrices are block-diagonal"),
    ("use_qalora", "its inputs are pooled in groups"),
  ]

  /// Starts that PEFT makes without a change to the base weights. The others (pissa, olora, corda, loftq, lora_ga) leave
  /// an adapter that belongs to weights that PEFT changed.
  static let starts = ["gaussian", "eva", "orthogonal", "mica"]

  let file: ConfigurationFile
  let rank: Int
  let alpha: Double
  let isScaledByRoot: Bool
  let usesDoRA: Bool
  let hasBias: Bool
  let modulesToSave: [String]
  private let ranks: [(pattern: Pattern, value: Double)]
  private let alphas: [(pattern: Pattern, value: Double)]

  /// Throws `.missing` where there is no such file, `.file` where a setting is damaged, unknown or refused; it is named.
  init(path: String) throws {
    file = try ConfigurationFile(path: path)
    let type = try file.string("peft_type")
    guard type == "LORA" else { throw Self.failure(file, "peft_type is \(jsonQuoted(type)); only LORA is supported") }
    try Self.check(file)
    rank = try file.int("r")
    alpha = try file.double("lora_alpha")
    guard (1...4096).contains(rank), alpha.isFinite else {
      throw Self.failure(file, "r is \(rank) and lora_alpha \(alpha)")
    }
    isScaledByRoot = try file.bool(ifPresent: "use_rslora") ?? false
    usesDoRA = try file.bool(ifPresent: "use_dora") ?? false
    hasBias = try file.bool(ifPresent: "lora_bias") ?? false
    modulesToSave = try file.names(ifPresent: "modules_to_save") ?? []
    ranks = try Self.patterns(file, "rank_pattern")
    alphas = try Self.patterns(file, "alpha_pattern")
  }

  static func failure(_ file: ConfigurationFile, _ what: String) -> EngineError {
    EngineError(.file, "\(file.source): \(what)")
  }

  private static func check(_ file: ConfigurationFile) throws {
    for (key, value) in file.value.object ?? [:] where value.isSet {
      if let (_, reason) = refused.first(where: { $0.key == key }) {
        throw failure(file, "\(key) is set, which is not supported: \(reason)")
      }
      guard !read.contains(key), !harmless.contains(where: { $0.key == key }) else { continue }
      let known = (read + harmless.map(\.key) + refused.map(\.key)).sorted()
      throw failure(
        file,
        "\(key) is not known\(suggestion(for: key, in: known)), and it may change what the adapter does; remove it from "
          + "the file where it does not")
    }
    if let bias = try file.string(ifPresent: "bias"), !["none", "all", "lora_only"].contains(bias) {
      throw failure(file, "bias is \(jsonQuoted(bias)); none, all and lora_only are known")
    }
    guard let start = file["init_lora_weights"], start.bool == nil else { return }
    guard let name = start.string, starts.contains(name.lowercased()) else {
      throw failure(
        file,
        "init_lora_weights is \(start.text): such an adapter belongs to base weights that PEFT changed when it was made; "
          + "convert it with PEFT's path_initial_model_for_weight_conversion")
    }
  }

  /// `{"layers\\.0\\..*q_proj": 4}` in the file's order.
  private static func patterns(_ file: ConfigurationFile, _ key: String) throws -> [(pattern: Pattern, value: Double)] {
    try (file.object(ifPresent: key)?.value.object ?? [:]).map { name, value in
      guard let number = value.double, number.isFinite else {
        throw failure(file, "\(key) has \(value.kind) for \(jsonQuoted(name)), expected a number")
      }
      return (try expression(file, key, name, whole: #"\A(.*\.)?(\#(name))$"#), number)
    }
  }

  private static func expression(
    _ file: ConfigurationFile, _ key: String, _ shown: String, whole: String
  ) throws -> Pattern {
    do { return try Pattern(whole) } catch let error as EngineError {
      throw failure(file, "\(key): \(jsonQuoted(shown)) is no regular expression: \(error.message)")
    }
  }

  /// The rank that a module is to have.
  func rank(of module: String) throws -> Double {
    try ranks.first { try $0.pattern.matches(all: module) }?.value ?? Double(rank)
  }

  /// What a module's update is multiplied by. The first pattern that fits counts.
  func scale(of module: String, rank: Int) throws -> Float {
    let own = try alphas.first { try $0.pattern.matches(all: module) }?.value ?? alpha
    return Float(own / (isScaledByRoot ? Double(rank).squareRoot() : Double(rank)))
  }

  /// Whether PEFT would put an update beside a module: `isLinear` says that "all-linear" means it. Throws `.file`.
  func targets(_ module: String, isLinear: Bool) throws -> Bool {
    if try excludes(module) { return false }
    if let text = file["target_modules"]?.string {
      if text.lowercased() == "all-linear" { return isLinear }
      return try Self.expression(file, "target_modules", text, whole: #"\A(?:\#(text))\z"#).matches(all: module)
    }
    let names = try file.names(ifPresent: "target_modules") ?? []
    if names.contains(module) { return true }
    guard names.contains(where: { module.hasSuffix("." + $0) }) else { return false }
    let layers: [Int]
    if let only = file["layers_to_transform"]?.int {
      layers = [only]
    } else {
      layers = try file.ints(ifPresent: "layers_to_transform") ?? []
    }
    return try layers.isEmpty || layer(of: module).map(layers.contains) ?? false
  }

  private func excludes(_ module: String) throws -> Bool {
    let key = "exclude_modules"
    if let text = file[key]?.string {
      if try Self.expression(file, key, text, whole: #"\A(?:\#(text))\z"#).matches(all: module) { return true }
    } else if let names = try file.names(ifPresent: key),
      names.contains(where: { module == $0 || module.hasSuffix("." + $0) })
    {
      return true
    }
    return try modulesToSave.contains {
      try Self.expression(file, "modules_to_save", $0, whole: #"\A(^|.*\.)\#($0)($|\..*)"#).matches(module)
    }
  }

  /// The number in a module's name that counts as its layer: the first, or the first behind one of `layers_pattern`.
  private func layer(of module: String) throws -> Int? {
    var names = try file["layers_pattern"]?.string.map { [$0] } ?? file.names(ifPresent: "layers_pattern") ?? []
    names.removeAll(where: \.isEmpty)
    let parts = module.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    for place in parts.indices.dropFirst().dropLast() {
      guard let layer = Int(parts[place]) else { continue }
      if names.isEmpty ? place >= 2 : names.contains(parts[place - 1]) { return layer }
    }
    return nil
  }
}

extension JSONValue {
  /// Whether a setting says something: neither null, false nor empty.
  fileprivate var isSet: Bool {
    switch self {
    case .null: false
    case .bool(let value): value
    case .string(let value): !value.isEmpty
    case .array(let list): !list.isEmpty
    case .object(let members): !members.isEmpty
    default: true
    }
  }
}

extension Pattern {
  /// Whether the expression matches somewhere, or the whole of a text.
  fileprivate func matches(_ text: String) throws -> Bool { try spans(text) { _ in true } }
  fileprivate func matches(all text: String) throws -> Bool { try spans(text) { $0 == 0..<text.utf8.count } }

  private func spans(_ text: String, _ isWanted: (Range<Int>) -> Bool) throws -> Bool {
    let matcher = try PatternMatcher(self)
    var found = false
    try Array(text.utf8).withUnsafeBufferPointer { bytes in
      try matcher.forEachPart(bytes) { range, isMatch in if isMatch, isWanted(range) { found = true } }
    }
    return found
  }
}
