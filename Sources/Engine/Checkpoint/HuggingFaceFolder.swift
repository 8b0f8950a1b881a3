import Foundation

/// A model folder as the Hugging Face libraries save it: `config.json` and one `model.safetensors` of any float type.
public final class HuggingFaceFolder: WeightSource {
  public let path: String
  public let configuration: ConfigurationFile
  /// `generation_config.json` where there is one: stop tokens, default sampling.
  public let generation: ConfigurationFile?
  public let weights: SafetensorsFile

  /// Throws `.missing` where a file of the folder is absent, `.file` where one is damaged.
  public init(path: String) throws {
    self.path = path
    configuration = try ConfigurationFile(path: "\(path)/config.json")
    let generationPath = "\(path)/generation_config.json"
    generation = access(generationPath, F_OK) == 0 ? try ConfigurationFile(path: generationPath) : nil
    if access("\(path)/model.safetensors", F_OK) != 0, access("\(path)/model.safetensors.index.json", F_OK) == 0 {
      throw EngineError(
        .file, "\(path) holds its weights in several files; join them into one model.safetensors to load it")
    }
    weights = try SafetensorsFile(path: "\(path)/model.safetensors")
  }

  public var names: [String] { weights.names }

  public func shape(of name: String) -> [Int]? { weights.shape(of: name) }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    try weights.read(name, rows: rows, into: destination)
  }
}
