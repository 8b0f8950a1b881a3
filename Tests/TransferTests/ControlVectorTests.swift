import Engine
import Foundation
import Testing
import Transfer

/// Control vectors of llama.cpp and repeng: a golden written by gguf-py 0.19 (`GGUFWriter`, in repeng's order).
@Suite struct ControlVectorTests {
  /// model_hint "llama", layer_count 2, `direction.1` = 1, -2, 0.5 and `direction.3` = 0, 4, 0.001.
  private static let golden = """
    R0dVRgMAAAACAAAAAAAAAAMAAAAAAAAAFAAAAAAAAABnZW5lcmFsLmFyY2hpdGVjdHVyZQgAAAANAAAAAAAAAGNvbnRyb2x2ZWN0b3IYAAAAAAAA
    AGNvbnRyb2x2ZWN0b3IubW9kZWxfaGludAgAAAAFAAAAAAAAAGxsYW1hGQAAAAAAAABjb250cm9sdmVjdG9yLmxheWVyX2NvdW50BAAAAAIAAAAL
    AAAAAAAAAGRpcmVjdGlvbi4xAQAAAAMAAAAAAAAAAAAAAAAAAAAAAAAACwAAAAAAAABkaXJlY3Rpb24uMwEAAAADAAAAAAAAAAAAAAAgAAAAAAAA
    AAAAAAAAgD8AAADAAAAAPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgEBvEoM6AAAAAAAAAAAAAAAAAAAAAAAAAAA=
    """

  private func withFile(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "acthost-control-\(UInt64.random(in: 0 ... .max)).gguf"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private func golden() throws -> Data {
    try #require(Data(base64Encoded: ControlVectorTests.golden, options: .ignoreUnknownCharacters))
  }

  @Test func whatPythonWritesIsRead() throws {
    try withFile { path in
      try golden().write(to: URL(fileURLWithPath: path))
      let directions = try ControlVectorFile.read(path)
      #expect(directions.layers == [1, 3] && directions.site == .residPost)
      #expect(try directions.at(1).direction.values == [1, -2, 0.5])
      #expect(try directions.at(1).origin.modelHint == "llama" && directions.at(1).origin.model == nil)
      #expect(try directions.at(3).direction.values == [0, 4, 0.001])
    }
  }

  @Test func whatIsWrittenIsWhatPythonWrites() throws {
    func vector(_ values: [Float], _ site: Site, _ layer: Int) throws -> SteeringVector {
      let origin = VectorOrigin(method: "m", model: ModelIdentity(name: "llama", hash: "h"))
      return try SteeringVector(direction: try Tensor(values), site: site, layer: layer, origin: origin)
    }
    try withFile { path in
      // resid_pre of block 4 is what block 3 put out.
      try ControlVectorFile.write(path, [vector([0, 4, 0.001], .residPre, 4), vector([1, -2, 0.5], .residPost, 1)])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == golden())
      #expect(throws: EngineError.self) { try ControlVectorFile.write(path, []) }
      #expect(throws: EngineError.self) { try ControlVectorFile.write(path, [vector([1], .residPost, 0)]) }
      #expect(throws: EngineError.self) { try ControlVectorFile.write(path, [vector([1], .mlpOut, 2)]) }
      #expect(throws: EngineError.self) {
        try ControlVectorFile.write(path, [vector([1], .residPost, 2), vector([1], .residPre, 3)])
      }
      #expect(throws: EngineError.self) {
        try ControlVectorFile.write(path, [vector([1], .residPost, 2), vector([1, 2], .residPost, 3)])
      }
      #expect(try ControlVectorFile.read(path).layers == [1, 3])
    }
  }

  /// The hint is an architecture's name as llama.cpp and repeng write it; others write a model's.
  @Test func theHintSaysWhichModelsAreMeant() throws {
    let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../shared/fixtures/tiny").standardized
    for (family, hint, fits) in [
      ("llama", "llama", true), ("llama", "gemma3", false), ("llama", "phi3", false), ("llama", "mistral", true),
      ("mistral", "llama", true), ("qwen2", "llama", false), ("qwen2", "Qwen2-7B-Instruct", true),
      ("qwen2", "qwen2moe", false), ("gemma3", "gemma3_text", true), ("gemma3", "unknown", true), ("llama", "", true),
    ] {
      let path = root.appendingPathComponent(family).path
      guard FileManager.default.fileExists(atPath: path) else { return print("skipped: \(path) is absent") }
      let model = try Model.load(path: path)
      let vector = try SteeringVector(
        direction: try Tensor.zeros([model.configuration.dModel]), layer: 1,
        origin: VectorOrigin(method: "control vector", modelHint: hint))
      let accepted = (try? vector.requireModel(model)) != nil
      #expect(accepted == fits, "\(hint) for \(family)")
      guard !fits else { continue }
      let error = #expect(throws: EngineError.self) { try vector.requireModel(model) }
      #expect(error?.message.contains("was made for \"\(hint)\"") == true)
    }
  }

  /// A model of ours is named beside the hint, and llama.cpp's reader sees the keys it knows unchanged.
  @Test func aModelOfOursIsNamedBesideTheHint() throws {
    let owner = ModelIdentity(name: "mine", hash: "aa", ancestors: ["bb", "cc"], architecture: "llama")
    let vector = try SteeringVector(
      direction: try Tensor([1, 2]), layer: 2, origin: VectorOrigin(method: "m", model: owner))
    try withFile { path in
      try ControlVectorFile.write(path, [vector])
      #expect(try GGUFFile(path: path).string("controlvector.model_hint") == "llama")
      let read = try ControlVectorFile.read(path).at(2)
      #expect(read.origin.model == owner && read.origin.modelHint == nil && read.direction.values == [1, 2])
      #expect(owner.isRelated(to: ModelIdentity(name: "other", hash: "cc")))
      #expect(!owner.isRelated(to: ModelIdentity(name: "other", hash: "dd", ancestors: ["ee"])))
    }
  }

  @Test func damagedControlVectorsAreRefused() throws {
    let good = Array(try golden())
    for (name, other) in [
      ("direction.1", "direction.0"), ("direction.1", "direction.x"), ("direction.1", "direction.-"),
      ("direction.3", "direction.1"), ("direction", "dimension"),
    ] {
      try withFile { path in
        var text = String(decoding: good, as: Unicode.ASCII.self)
        #expect(text.contains(name))
        text = text.replacingOccurrences(of: name, with: other)
        let bytes = zip(text.unicodeScalars, good).map { $0.0.value == 0xfffd ? $0.1 : UInt8($0.0.value) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: EngineError.self, "\(other)") { try ControlVectorFile.read(path) }
        #expect(error?.message.contains(path) == true)
      }
    }
  }
}
