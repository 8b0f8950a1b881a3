/// The rotary embedding that a file describes.
///
/// `config.json` has `rope_theta` and `rope_scaling`, or both inside `rope_parameters`, or those once per kind of layer
/// (`full_attention`). GGUF has `rope.freq_base` and `rope.scaling.*`. Rules and defaults: transformers'
/// `modeling_rope_utils.py`, and `llama_model::load_hparams` for GGUF.
extension ModelKeys {
  /// `isPartial`: whether `dimensions` are what a `partial_rotary_factor` leaves of a head.
  func rotary(
    dimensions: Int, base fallback: Double, layerType: String? = nil, isPartial: Bool = false
  ) throws -> Rotary {
    var base = try double(ifPresent: "rope_theta") ?? fallback
    var object = try object(ifPresent: "rope_scaling")
    let isNewer = try self.object(ifPresent: "rope_parameters") != nil
    if var parameters = try self.object(ifPresent: "rope_parameters") {
      guard object == nil else {
        throw EngineError(.file, "\(source) has both rope_scaling and rope_parameters, which say the same; keep one")
      }
      if let layerType, let inner = try parameters.object(ifPresent: layerType) { parameters = inner }
      base = try parameters.double(ifPresent: "rope_theta") ?? base
      object = parameters
    }
    var rotary = Rotary(base: base, dimensions: dimensions)
    if let object {
      try refuseUnknown(in: object)
      if !isPartial, let share = try object.double(ifPresent: "partial_rotary_factor"), share != 1 {
        throw EngineError(
          .file, "\(object.source): partial_rotary_factor is \(share), and this family turns whole heads")
      }
      rotary.scaling = try scaling(object, isNewer: isNewer)
    } else if architecture != nil {
      rotary.scaling = try storedScaling()
    }
    return rotary
  }

  /// Positions the model was trained on, or goes to: `max_position_embeddings`.
  private func statedContext() throws -> Int {
    let context = try int(ifPresent: "max_position_embeddings") ?? 2048
    guard (1...1 << 28).contains(context) else {
      throw EngineError(.file, "\(source): the context length is \(context), which no model has (1 to \(1 << 28))")
    }
    return context
  }

  static let rotaryTypes = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"]

  /// Keys of `rope_scaling` and `rope_parameters` that are read, for one type or another.
  static let rotaryKeys: Set<String> = [
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "original_max_position_embeddings",
    "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", "short_factor", "long_factor",
    "low_freq_factor", "high_freq_factor",
    "finetuned",  // says only how the weights came about
  ]

  private func refuseUnknown(in object: ConfigurationFile) throws {
    guard let key = object.keyNames.first(where: { !ModelKeys.rotaryKeys.contains($0) }) else { return }
    throw EngineError(
      .file,
      "\(object.source): the setting \(key) = \(object[key]?.text.prefix(60) ?? "") is not known, and could change what the "
        + "model computes\(suggestion(for: key, in: Array(ModelKeys.rotaryKeys)))")
  }

  private func scaling(_ keys: ConfigurationFile, isNewer: Bool) throws -> Rotary.Scaling {
    let type = try keys.string(ifPresent: "rope_type") ?? keys.string(ifPresent: "type") ?? "default"
    switch type {
    case "default": return .none
    case "linear": return .linear(try keys.double("factor"))
    case "dynamic": return .dynamic(factor: try keys.double("factor"), context: try statedContext())
    case "yarn": return .yarn(try yarn(keys))
    case "longrope", "su": return .longrope(try longrope(keys, isNewer: isNewer))
    case "llama3":
      return .llama3(
        factor: try keys.double("factor"), low: try keys.double("low_freq_factor"),
        high: try keys.double("high_freq_factor"),
        originalContext: try keys.int("original_max_position_embeddings"))
    default: throw unknown(type)
    }
  }

  private func yarn(_ keys: ConfigurationFile) throws -> Rotary.Yarn {
    // A value of 0 counts as absent, as it does in transformers.
    func number(_ key: String) throws -> Double? { try keys.double(ifPresent: key).flatMap { $0 == 0 ? nil : $0 } }
    let factor = try keys.double("factor")
    var magnitude = Rotary.Yarn.magnitude(factor: factor)
    if let own = try keys.double(ifPresent: "attention_factor") {
      magnitude = own
    } else if let scale = try number("mscale"), let all = try number("mscale_all_dim") {
      magnitude =
        Rotary.Yarn.magnitude(factor: factor, weight: scale) / Rotary.Yarn.magnitude(factor: factor, weight: all)
    }
    let original = try keys.int(ifPresent: "original_max_position_embeddings").flatMap { $0 == 0 ? nil : $0 }
    return Rotary.Yarn(
      factor: factor, originalContext: try original ?? statedContext(), fast: try number("beta_fast") ?? 32,
      slow: try number("beta_slow") ?? 1, truncates: try keys.bool(ifPresent: "truncate") ?? true, magnitude: magnitude)
  }

  private func longrope(_ keys: ConfigurationFile, isNewer: Bool) throws -> Rotary.LongRope {
    let stated = try statedContext()
    // transformers 4 reads the original context beside `rope_scaling`, never inside; 5 reads it inside.
    let outer = try int(ifPresent: "original_max_position_embeddings")
    let original = isNewer ? try keys.int(ifPresent: "original_max_position_embeddings") ?? outer : outer
    let ratio = original.map { Double(stated) / Double(max(1, $0)) }
    let factor = try ratio ?? keys.double(ifPresent: "factor") ?? 1
    return Rotary.LongRope(
      short: try keys.floats("short_factor"), long: try keys.floats("long_factor"), originalContext: original ?? stated,
      magnitude: try keys.double(ifPresent: "attention_factor")
        ?? Rotary.LongRope.magnitude(factor: factor, originalContext: original ?? stated),
      factor: factor)
  }

  /// What GGUF metadata says, but for the tensors of factors that stand beside it.
  private func storedScaling() throws -> Rotary.Scaling {
    func number(_ key: String) throws -> Double? { try file.double(ifPresent: "\(architecture ?? "").rope.\(key)") }
    // Older files have only `scale_linear`; a factor without a type is linear; 0 stands for none.
    let factor = try (number("scaling.factor") ?? number("scale_linear")).flatMap { $0 == 0 ? nil : $0 }
    let type = try file.string(ifPresent: "\(architecture ?? "").rope.scaling.type") ?? "linear"
    let original = try file.int(ifPresent: "\(architecture ?? "").rope.scaling.original_context_length")
    if type != "yarn", type != "longrope", let magnitude = try storedMagnitude(), magnitude != 1 {
      throw EngineError(
        .file,
        "\(source): rope.scaling.attn_factor is \(magnitude), which goes with yarn and longrope, not with \(type)")
    }
    switch type {
    case "none": return .none
    case "linear": return factor == nil || factor == 1 ? .none : .linear(factor ?? 1)
    case "dynamic": return .dynamic(factor: factor ?? 1, context: try original ?? statedContext())
    case "yarn":
      let factor = factor ?? 1
      return .yarn(
        Rotary.Yarn(
          factor: factor, originalContext: try original ?? statedContext(),
          fast: try number("scaling.yarn_beta_fast") ?? 32, slow: try number("scaling.yarn_beta_slow") ?? 1,
          truncates: true,
          magnitude: Rotary.Yarn.magnitude(factor: factor) * (try storedMagnitude() ?? 1)))
    case "longrope": return .none  // the factors come from tensors
    default: throw unknown(type)
    }
  }

  /// A GGUF file's tensors of divisors in place of, or besides, what its metadata says.
  func withStoredFactors(_ rotary: Rotary, _ weights: any WeightSource) throws -> Rotary {
    var rotary = rotary
    func values(_ name: String) throws -> [Float]? {
      weights.shape(of: name) == nil ? nil : try weights.finiteTensor(name).values
    }
    if let divisors = try values("rope_freqs.weight") {
      switch rotary.scaling {
      case .none: rotary.scaling = .divisors(divisors, factor: 1)
      case .linear(let factor): rotary.scaling = .divisors(divisors, factor: factor)
      default:
        throw EngineError(
          .file, "\(source) has rope_freqs.weight beside another kind of rotary scaling, and one is meant")
      }
    }
    let short = try values("rope_factors_short.weight"), long = try values("rope_factors_long.weight")
    let isNamed = try file.string(ifPresent: "\(architecture ?? "").rope.scaling.type") == "longrope"
    guard isNamed || short != nil || long != nil else { return rotary }
    guard let short, let long, rotary.scaling == .none else {
      throw EngineError(
        .file,
        "\(source): rotary scaling longrope needs rope_factors_short.weight and rope_factors_long.weight, and no other kind "
          + "of scaling beside it")
    }
    let stated = try statedContext()
    let original = try file.int(ifPresent: "\(architecture ?? "").rope.scaling.original_context_length") ?? stated
    rotary.scaling = .longrope(
      Rotary.LongRope(
        short: short, long: long, originalContext: original, magnitude: try storedMagnitude() ?? 1,
        factor: Double(stated) / Double(max(1, original))))
    return rotary
  }

  /// GGUF's factor of cosines and sines.
  func storedMagnitude() throws -> Double? {
    guard let architecture else { return nil }
    let factors = try ["attn_factor", "yarn_attn_factor"].compactMap {
      try file.double(ifPresent: "\(architecture).rope.scaling.\($0)")
    }
    return factors.isEmpty ? nil : factors.reduce(1, *)
  }

  private func unknown(_ type: String) -> EngineError {
    EngineError(
      .file,
      "\(source): rotary scaling of type \(type) is not supported (\(ModelKeys.rotaryTypes.joined(separator: ", ")))")
  }
}
