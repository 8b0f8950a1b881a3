import Foundation
import Testing

/// `acthost models` on a Hugging Face cache that holds a whole model and others that cannot be loaded.
@Suite struct ModelsCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let fixture = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
    .deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny/llama").path

  private func run(_ arguments: String...) throws -> Program.Outcome {
    try Program.run(
      ["models"] + arguments, environment: ["ACTHOST_HOME": folder.path, "HF_HUB_CACHE": folder.path + "/hub"])
  }

  private func snapshot(_ name: String, _ files: [String: String]) throws {
    let model = "hub/models--\(name.replacingOccurrences(of: "/", with: "--"))"
    _ = try folder.make(folder: model + "/refs")
    _ = try folder.make(folder: model + "/snapshots/abc")
    try folder.write("abc", to: model + "/refs/main")
    for (file, text) in files { try folder.write(text, to: "\(model)/snapshots/abc/\(file)") }
  }

  @Test func cachedModelsAreListedWithWhatIsWrong() throws {
    try snapshot("org/partial", ["config.json": "{\"model_type\": \"llama\"}"])
    try snapshot("org/pickled", ["config.json": "{\"model_type\": \"llama\"}", "pytorch_model.bin": "x"])
    try snapshot("org/nothing", ["README.md": "x"])
    try snapshot("org/coloured", ["config.json": "{\"model_type\": \"\\u001b[31m\"}"])
    try Data([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]).write(
      to: URL(fileURLWithPath: folder.path + "/hub/models--org--coloured/snapshots/abc/model.safetensors"))
    let output = try run().output
    #expect(output.contains("not to be loaded"))
    #expect(output.contains("org/partial: ") && output.contains("`hf download org/partial`"))
    #expect(output.contains("org/pickled: ") && output.contains("save_pretrained"))
    #expect(output.contains("not supported") && !output.contains("\u{1b}"))
    #expect(output.contains("org/nothing: ") && output.contains("no config.json"))
  }

  @Test func aCheckpointIsDescribedByNameOrPath() throws {
    guard FileManager.default.fileExists(atPath: Self.fixture) else {
      print("skipped: \(Self.fixture) is absent")
      return
    }
    try snapshot("org/tiny", [:])
    let place = folder.path + "/hub/models--org--tiny/snapshots/abc"
    for file in ["config.json", "model.safetensors"] {
      try FileManager.default.createSymbolicLink(
        atPath: "\(place)/\(file)", withDestinationPath: "\(Self.fixture)/\(file)")
    }
    #expect(try run().output.contains("Hugging Face cache, llama"))
    let output = try run("org/tiny").output
    for part in ["model.embed_tokens.weight", "[320, 64]", "F32", "num_hidden_layers", "family llama"] {
      #expect(output.contains(part), "\(part)")
    }
    let weights = try run(Self.fixture + "/model.safetensors").output
    #expect(weights.contains("[320, 64]") && weights.contains("cannot be loaded"))
    let missing = try run("org/none")
    #expect(missing.code == 1 && missing.errors.contains("`hf download org/none`"))
  }
}
