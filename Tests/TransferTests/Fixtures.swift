import Engine
import Foundation

/// Models of the fixtures and of the store; nil, with a printed reason, where they are absent.
enum Fixtures {
  private static let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized

  /// A tiny random model without tokenizer.
  static func tiny(_ family: String) throws -> Model? {
    let path = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny/\(family)").path
    guard FileManager.default.fileExists(atPath: path) else {
      print("skipped: \(path) is absent")
      return nil
    }
    return try Model.load(path: path)
  }

  nonisolated(unsafe) private static var loaded: [String: Model] = [:]

  /// A packaged model.
  static func packaged(_ name: String) throws -> Model? {
    if let model = loaded[name] { return model }
    let path = ModelStore().path(of: name)
    guard FileManager.default.fileExists(atPath: path) else {
      print("skipped: \(path) is absent; `acthost pull \(name)` brings it")
      return nil
    }
    let model = try Model.load(path: path, name: name)
    loaded[name] = model
    return model
  }

  /// Prompts of random tokens and of different lengths.
  static func prompts(_ model: Model, count: Int, seed: Int) -> [Prompt] {
    var generator = RandomGenerator(seed: seed)
    return (0..<count).map { _ in
      Prompt(tokens: (0..<5 + generator.below(20)).map { _ in generator.below(model.configuration.vocabularySize) })
    }
  }
}
