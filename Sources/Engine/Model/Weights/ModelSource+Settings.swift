extension ModelSource {
  /// Paths of the files beside a folder's weights.
  var companions: [String] { folder?.companions ?? [] }

  /// `config.json` of this decoder alone: the folder's own, else one made from the configuration, and checked to give
  /// it back. Throws `.file` where no `config.json` of the family can.
  func settings() throws -> ModelSettings {
    var head: ModelSettings = ["architectures": .array([.string(family.modelClass)])]
    if let folder {
      // Of a model of several parts, the decoder is written as a model of its own.
      let own = try ModelSource.decoderSettings(folder.configuration).keys
      head = head.with(own.value.object ?? [:])
      if states(head, configuration) { return head }
    } else {
      head["model_type"] = .string(family.modelTypes[0])
    }
    var stated = configuration
    for layer in stated.layers.indices {
      guard let rotary = stated.layers[layer].rotary else { continue }
      stated.layers[layer].rotary =
        try rotary.stated ?? refuse("divisors of rotary frequencies that follow no known rule")
    }
    let settings = head.with(family.settings(stated))
    guard states(settings, stated) else {
      return try refuse("settings that a config.json of family \(configuration.family) does not have")
    }
    return settings
  }

  private func states(_ settings: ModelSettings, _ configuration: ModelConfiguration) -> Bool {
    guard let file = try? ConfigurationFile(.object(settings), source: "config.json") else { return false }
    return (try? family.configuration(ModelKeys(file: file, architecture: nil))) == configuration
  }

  private func refuse<Result>(_ what: String) throws -> Result {
    throw EngineError(.file, "\(path) cannot be written as a Hugging Face folder: it has \(what)")
  }

  /// A checkpoint's tensor as the whole model names it, where this one has another prefix: that of a bare decoder, or
  /// of a part of a larger model.
  func wholeName(_ name: String) -> String {
    let usual = family.tensors.prefix
    if prefix != usual, name == prefix.dropLast(usual.count) + (family.tensors.checkpoint[.unembedding]?.name ?? "") {
      return family.tensors.checkpoint[.unembedding]?.name ?? name
    }
    let outside = family.tensors.checkpoint.values.lazy.map(\.name).filter { !$0.hasPrefix(usual) }
    guard prefix != usual, name.hasPrefix(prefix), !outside.contains(name) else { return name }
    return usual + name.dropFirst(prefix.count)
  }
}
