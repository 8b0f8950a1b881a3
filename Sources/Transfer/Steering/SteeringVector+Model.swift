import Engine

extension SteeringVector {
  /// Throws `.argument` where the vector is known to belong to another model than `model` and none that it is related to
  /// (`ModelIdentity.isRelated`), or was made for another architecture. Of a vector that says nothing all is believed.
  public func requireModel(_ model: Model) throws {
    let remedy = "map:vector(v) carries one over, and any_model = true takes it as it is"
    if let owner = origin.model {
      guard !model.identity.isRelated(to: owner) else { return }
      throw EngineError(
        .argument,
        "the vector belongs to \(owner.name) with hash \(owner.hash.prefix(12)), not to \(model.name) with hash "
          + "\(model.hash.prefix(12)), whose axes are others, also where the width is the same; \(remedy)")
    }
    guard let hint = origin.modelHint, !model.fits(hint: hint) else { return }
    throw EngineError(
      .argument,
      "the control vector was made for \"\(hint)\", and \(model.name) is a \(model.architectureNames[0]); \(remedy)")
  }
}

extension Model {
  /// Whether a control vector's `model_hint` can mean this model: an architecture's name, or a model's.
  func fits(hint: String) -> Bool {
    let hint = hint.lowercased(), names = architectureNames
    if hint.isEmpty || hint == "unknown" || hint == name.lowercased() || names.contains(hint) { return true }
    // A model's name has words, one of which usually is its family's.
    let words = hint.split { !$0.isLetter && !$0.isNumber }
    return words.count > 1 && names.contains { name in words.contains { $0.hasPrefix(name) } }
  }
}
