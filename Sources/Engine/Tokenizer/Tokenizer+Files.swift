import Foundation

extension Tokenizer {
  /// Reads the tokenizer of a GGUF file. Throws `.missing` where it has none, `.token` where it is damaged or of an
  /// unknown type, and names the file.
  public convenience init(gguf file: GGUFFile) throws {
    self.init(try Self.naming(file.path) { try TokenizerParts(TokenizerVocabulary(gguf: file)) })
  }

  static func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as EngineError where error.kind == .token {
      throw EngineError(.token, "\(path): \(error.message)")
    }
  }
}
