import Foundation
import OrderedCollections

extension Model {
  /// Writes a Hugging Face folder that holds this model whole, with weights as `type` (`.f32`, `.bf16`, `.f16`) under
  /// its family's names: one that was loaded from either container, trained or merged. What comes from a folder keeps
  /// its settings and its tokenizer's files; for what comes from a GGUF file both are written anew.
  ///
  /// ```swift
  /// try model.merged(adapter).save("tuned", type: .bf16)
  /// ```
  /// Tensors are converted one after another while they are written, and a failure leaves what was there. Throws
  /// `.argument` while adapters are attached, `.file` for settings that no `config.json` can state, and as
  /// `HuggingFaceFolder.write`.
  public func save(_ folder: String, type: ScalarType = .f32) throws {
    try checkSavable()
    let source = decoder.weights.source
    let layout = try CheckpointLayout(source)
    let tokenizer = tokenizer == nil ? nil : try source.gguf.map { try TokenizerVocabulary(gguf: $0) }
    var settings = try source.settings()
    var files: [(name: String, contents: [UInt8])] = []
    if let tokenizer {
      let ids = tokenizer.idSettings
      let keys = tokenizer.settings(context: configuration.contextLength)
      settings = settings.with(ids)
      files = [
        ("tokenizer.json", try tokenizer.tokenizerJSON()),
        ("tokenizer_config.json", JSONValue.object(keys).fileContents),
        ("generation_config.json", JSONValue.object(ids).fileContents),
      ]
    }
    if let givenTemplate { files.append(("chat_template.jinja", Array(givenTemplate.source.utf8))) }
    // The fingerprint of a large file looks at samples: the model's own hash in its header tells two apart that differ
    // in few tensors.
    try HuggingFaceFolder.write(
      folder, configuration: .object(settings),
      tensors: try layout.names.map { name in
        let tensor = try layout.streamed(name, as: source.wholeName(name))
        return StreamedTensor(name: tensor.name, shape: tensor.shape) {
          try tensor.fill($0, $1)
          try source.weights.verify()
        }
      }, as: type,
      companions: source.companions, files: files,
      metadata: ["model_hash": baseHash, "model_ancestors": ancestors.joined(separator: ",")])
  }

  /// Throws what `save` would throw before it writes anything: `.argument` while adapters are attached, `.file` for
  /// settings that no `config.json` can state.
  public func checkSavable() throws {
    guard adapters.isEmpty else {
      throw EngineError(
        .argument,
        "\(name) has \(adapters.count) adapters attached, which a model's folder does not hold: merge one "
          + "and go on with what that gives, or detach them")
    }
    _ = try decoder.weights.source.settings()
  }
}
