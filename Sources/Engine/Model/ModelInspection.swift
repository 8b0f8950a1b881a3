import Foundation

/// What a checkpoint holds, read from its headers alone: for people who look into files before they load them.
///
/// ```swift
/// let found = try ModelInspection(path: "model.gguf")
/// for tensor in found.tensors { print(tensor.name, tensor.stored.type, tensor.shape) }
/// ```
public struct ModelInspection: Sendable {
  public struct Entry: Sendable {
    public let name: String
    /// Row-major.
    public let shape: [Int]
    public let stored: StoredForm
  }

  public let path: String
  /// GGUF's `general.architecture` or `model_type` of `config.json`; nil where there is none.
  public let architecture: String?
  /// The family it can be loaded as, nil where it cannot.
  public let family: String?
  /// Why it cannot be loaded, by what its headers and settings say.
  public let problem: String?
  /// GGUF metadata, `config.json`, or a safetensors file's metadata. Lists of more than 64 values are only described.
  public let settings: [(name: String, value: JSONValue)]
  /// In the file's order.
  public let tensors: [Entry]

  /// Values of all tensors together.
  public var parameterCount: Int { tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  /// Reads a `.gguf` or `.safetensors` file or a Hugging Face folder. Throws `.missing` for a wrong path and `.file`
  /// for a file that is damaged; one that is whole but of an unsupported family is no error here.
  public init(path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.missing, "no checkpoint at \(path): there is no such file or folder")
    }
    self.path = path
    let source: any WeightSource
    if isFolder.boolValue {
      let folder = try HuggingFaceFolder(path: path)
      source = folder
      architecture = folder.configuration["model_type"]?.string
      settings = (folder.configuration.value.object ?? [:]).map { ($0.key, $0.value.shortened) }
    } else if path.lowercased().hasSuffix(".safetensors") {
      let file = try SafetensorsFile(path: path)
      source = file
      architecture = nil
      settings = file.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }
    } else {
      let (file, weights) = try SplitGGUF.open(path)
      source = weights
      architecture = try? file.string(ifPresent: "general.architecture")
      settings = file.metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }
    }
    tensors = source.names.compactMap { name in
      guard let shape = source.shape(of: name), let stored = source.storage(of: name) else { return nil }
      return Entry(name: name, shape: shape, stored: stored)
    }
    do {
      if source is SafetensorsFile { throw EngineError(.file, "\(path) holds tensors without settings") }
      (family, problem) = (try ModelSource(path: path).configuration.family, nil)
    } catch let error as EngineError {
      (family, problem) = (nil, error.message)
    }
  }
}

/// Lists up to this long are shown whole.
private let longestList = 64

extension JSONValue {
  /// Without long lists, at any depth.
  fileprivate var shortened: JSONValue {
    switch self {
    case .array(let list):
      list.count > longestList ? .string(kind) : .array(list.map(\.shortened))
    case .object(let members): .object(members.mapValues(\.shortened))
    default: self
    }
  }
}

extension GGUFValue {
  /// As JSON; long lists are described, and bytes that are no UTF-8 are replaced.
  var json: JSONValue {
    switch self {
    case .integer(let value): .integer(value)
    case .unsigned(let value): .number(Double(value))
    case .float(let value): .number(value)
    case .bool(let value): .bool(value)
    case .string(let bytes): .string(String(decoding: bytes, as: UTF8.self))
    case .strings(let list) where list.count <= longestList:
      .array(list.map { .string(String(decoding: $0, as: UTF8.self)) })
    case .numbers(let list) where list.count <= longestList:
      .array(list.integers?.map { .integer($0) } ?? list.floats.map { .number(Double($0)) })
    case .arrays(let list) where list.count <= longestList: .array(list.map(\.json))
    default: .string(kind)
    }
  }
}
