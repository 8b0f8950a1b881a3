import Foundation

extension Tokenizer {
  /// Reads the tokenizer of a `.gguf` file, a `tokenizer.json`, or a Hugging Face folder that holds one.
  ///
  /// Throws `.missing` where there is none, `.token` or `.file` where it is damaged or of an unknown type, and names
  /// the file.
  public convenience init(path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.missing, "no tokenizer at \(path): there is no such file or folder")
    }
    if isFolder.boolValue {
      try self.init(folder: path)
    } else if path.hasSuffix(".gguf") {
      try self.init(gguf: GGUFFile(path: path))
    } else {
      try self.init(json: path)
    }
  }

  /// Reads `tokenizer.json` of a Hugging Face folder, with what the files beside it say (`TokenizerSettings`). Throws
  /// `.missing` where the folder has no tokenizer.
  public convenience init(folder: String) throws {
    let path = "\(folder)/tokenizer.json"
    guard access(path, F_OK) == 0 else {
      let others = Self.otherForms.filter { access("\(folder)/\($0)", F_OK) == 0 }
      let hint = others.isEmpty ? "" : " (\(others.joined(separator: ", ")) alone cannot be read)"
      throw EngineError(.missing, "\(folder) has no tokenizer.json\(hint); give token ids instead of text")
    }
    try self.init(json: path)
  }

  /// Files that hold a tokenizer in forms that are not read.
  private static let otherForms = ["tokenizer.model", "vocab.json", "vocab.txt", "tekken.json"]

  /// Whether a folder has a tokenizer, in whatever form.
  static func isIn(folder: String) -> Bool {
    (["tokenizer.json"] + otherForms).contains { access("\(folder)/\($0)", F_OK) == 0 }
  }

  /// Reads the tokenizer of a GGUF file. Throws `.missing` where it has none, `.token` where it is damaged or of an
  /// unknown type, and names the file.
  public convenience init(gguf file: GGUFFile) throws {
    self.init(try Self.naming(file.path) { try TokenizerParts(TokenizerVocabulary(gguf: file)) })
  }

  private convenience init(json path: String) throws {
    let settings = try TokenizerSettings(folder: parentFolder(of: path))
    self.init(try Self.naming(path) { try TokenizerParts(TokenizerFile(path: path), settings: settings) })
  }

  /// Puts the file in front of what is wrong with it.
  private static func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as EngineError where [.token, .file].contains(error.kind) && !error.message.contains(path) {
      throw EngineError(error.kind, "\(path): \(error.message)")
    }
  }
}
