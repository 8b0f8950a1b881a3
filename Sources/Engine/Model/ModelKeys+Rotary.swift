extension ModelKeys {
  /// The rotary embedding of a file that has one for all its layers, or of one kind of layer (`full_attention`).
  ///
  /// `config.json` has `rope_theta` and `rope_scaling`, or both inside `rope_parameters`, or those once per kind of
  /// layer.
  func rotary(dimensions: Int, base fallback: Double, layerType: String? = nil) throws -> Rotary {
    var base = try double(ifPresent: "rope_theta") ?? fallback
    var object = try object(ifPresent: "rope_scaling")
    if var parameters = try self.object(ifPresent: "rope_parameters") {
      if let layerType, let inner = try parameters.object(ifPresent: layerType) { parameters = inner }
      base = try parameters.double(ifPresent: "rope_theta") ?? base
      object = parameters
    }
    var rotary = Rotary(base: base, dimensions: dimensions)
    if let object {
      rotary.scaling = try scaling(object)
    } else if let architecture, let type = try file.string(ifPresent: "\(architecture).rope.scaling.type") {
      switch type {
      case "none": break
      case "linear": rotary.scaling = .linear(try file.double("\(architecture).rope.scaling.factor"))
      default: throw unknown(type)
      }
    }
    return rotary
  }

  private func scaling(_ keys: ConfigurationFile) throws -> Rotary.Scaling {
    let type = try keys.string(ifPresent: "rope_type") ?? keys.string(ifPresent: "type") ?? "default"
    switch type {
    case "default": return .none
    case "linear": return .linear(try keys.double("factor"))
    case "llama3":
      return .llama3(
        factor: try keys.double("factor"), low: try keys.double("low_freq_factor"),
        high: try keys.double("high_freq_factor"),
        originalContext: try keys.int("original_max_position_embeddings"))
    default: throw unknown(type)
    }
  }

  private func unknown(_ type: String) -> EngineError {
    EngineError(.file, "\(source): rotary scaling of type \(type) is not supported (default, linear, llama3)")
  }
}
