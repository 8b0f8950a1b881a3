/// A model family as a table: how its settings and tensor names translate into one `ModelConfiguration` and one set of
/// weights. Adding a family adds one such value and no branch in the decoder.
struct Family: Sendable {
  /// `model_type` values in `config.json`.
  let modelTypes: [String]
  /// `general.architecture` in GGUF; nil where its files go by another family's name.
  let architecture: String?
  /// transformers' class, which `config.json` names.
  let modelClass: String
  let configuration: @Sendable (ModelKeys) throws -> ModelConfiguration
  /// The members of a `config.json` that gives the configuration back.
  let settings: @Sendable (ModelConfiguration) -> ModelSettings
  let tensors: TensorNames
  /// Added to norm weights read from a checkpoint: Gemma stores w - 1 there, while its GGUF has w.
  var checkpointNormOffset: Float = 0
  /// Whether GGUF stores the rows of q and k permuted into interleaved rotary pairs (llama.cpp's conversion of llama).
  var ggufInterleavesRotary = false

  /// What GGUF files of the family say.
  var fileArchitecture: String { architecture ?? "llama" }

  static let all: [Family] = [.llama, .mistral, .qwen2, .qwen3, .gemma2, .gemma3, .gpt2, .gptNeoX]

  static func named(modelType: String, source: String) throws -> Family {
    try find(modelType, source, "model_type", all.flatMap(\.modelTypes)) { $0.modelTypes.contains(modelType) }
  }

  static func named(architecture: String, source: String) throws -> Family {
    try find(architecture, source, "architecture", all.compactMap(\.architecture)) { $0.architecture == architecture }
  }

  private static func find(
    _ name: String, _ source: String, _ what: String, _ known: [String], _ matches: (Family) -> Bool
  ) throws -> Family {
    if let family = all.first(where: matches) { return family }
    throw FileKinds.unsupported(name, what: what, source: source, known: known)
  }
}
