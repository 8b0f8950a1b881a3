import Foundation

/// A model folder as the Hugging Face libraries save it: `config.json`, and safetensors weights of any float type in
/// one file or in shards.
public final class HuggingFaceFolder: WeightSource {
  public let path: String
  public let configuration: ConfigurationFile
  /// `generation_config.json` where there is one: stop tokens, default sampling.
  public let generation: ConfigurationFile?
  /// The `__metadata__` strings of the weights, of the first file where there are shards.
  public let metadata: [String: String]
  private let weights: any WeightSource

  static let weightsName = "model.safetensors"
  static let indexName = "model.safetensors.index.json"

  /// Opens `config.json` and the weights, of which one file goes before shards.
  ///
  /// Throws `.missing` where a file of the folder is absent, with what to do about it, and `.file` where one is damaged
  /// or the weights have another form.
  public init(path: String) throws {
    self.path = path
    func has(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }
    guard has("config.json") else { throw HuggingFaceFolder.incomplete(path, lacks: "config.json") }
    configuration = try ConfigurationFile(path: "\(path)/config.json")
    let generationPath = "\(path)/generation_config.json"
    generation = has("generation_config.json") ? try ConfigurationFile(path: generationPath) : nil
    do {
      if has(HuggingFaceFolder.weightsName) {
        let file = try SafetensorsFile(path: "\(path)/\(HuggingFaceFolder.weightsName)")
        (weights, metadata) = (file, file.metadata)
      } else if has(HuggingFaceFolder.indexName) {
        let shards = try ShardedSafetensors(folder: path, index: HuggingFaceFolder.indexName)
        (weights, metadata) = (shards, shards.metadata)
      } else {
        throw HuggingFaceFolder.incomplete(path, lacks: HuggingFaceFolder.weightsName)
      }
    } catch {
      // A form that cannot be read is better named than described.
      if let method = FileKinds.quantization(configuration) { throw FileKinds.quantized(path, by: method) }
      throw error
    }
  }

  /// Refuses weights beside another `config.json` than the one they were saved with: a save that was cut off, or files of
  /// two models in one folder.
  func refuseMixture() throws {
    let hashes = (weights as? SafetensorsFile).map { [$0] } ?? (weights as? ShardedSafetensors)?.files ?? []
    let written = Set(hashes.compactMap { $0.metadata[HuggingFaceFolder.settingsHashKey] })
    guard let first = written.first else { return }
    let path = "\(path)/config.json"
    guard written.count == 1, try first == SHA256.hex(ofFile: path) else {
      throw EngineError(
        .file,
        "\(path) is not the one that the weights beside it were saved with: files of two models stand in one folder, or it "
          + "was edited. Save the model again, or, where the edit was meant, load with ignore_settings = { "
          + "\"\(HuggingFaceFolder.settingsHashKey)\" }")
    }
  }

  public var names: [String] { weights.names }

  public func verify() throws { try weights.verify() }

  public func shape(of name: String) -> [Int]? { weights.shape(of: name) }

  public func storage(of name: String) -> StoredForm? { weights.storage(of: name) }

  public func releasePages() { weights.releasePages() }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    try weights.read(name, rows: rows, into: destination)
  }

  /// What to say of a folder that lacks a file, going by what it has instead.
  private static func incomplete(_ path: String, lacks name: String) -> EngineError {
    let entries = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
      .filter { access("\(path)/\($0)", F_OK) == 0 }  // a cache links to files that are still to come
    if let gguf = entries.first(where: { $0.hasSuffix(".gguf") }) {
      return EngineError(.missing, "\(path) has no \(name) but \(gguf): give the path of that file, \(path)/\(gguf)")
    }
    if entries.contains("adapter_config.json") {
      return EngineError(
        .missing, "\(path) is an adapter, not a model: load its base model and give this folder as its adapter")
    }
    if name == weightsName, entries.contains(where: { $0.hasPrefix("pytorch_model") && !$0.hasSuffix(".index.json") }) {
      let saved = "'\(path)-safetensors'"
      return EngineError(
        .file,
        "\(path) has its weights only as pytorch_model.bin: pickles, which can run code and are not read. Convert it "
          + "in Python with `from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
          + "M.from_pretrained('\(path)').save_pretrained(\(saved)); "
          + "T.from_pretrained('\(path)').save_pretrained(\(saved))` and load \(saved)")
    }
    if name == weightsName, let other = entries.first(where: { $0.hasSuffix(".safetensors") }) {
      return EngineError(
        .missing,
        "\(path) has neither \(weightsName) nor \(indexName), only \(other); \(HuggingFaceCache.remedy(for: path))")
    }
    return EngineError(
      .missing, "\(path) is no complete model folder: it has no \(name); \(HuggingFaceCache.remedy(for: path))")
  }
}
