import Engine
import Foundation
import Testing

@testable import LuaBindings

extension LuaTests {
  /// What a script sees of files that are taken in an unusual way, or refused.
  @Suite struct Loading {
    /// A tiny Llama folder with these settings besides its own; nothing happens where the fixture is absent.
    private func withModel(_ settings: String, head: Bool = false, _ body: (String) throws -> Void) throws {
      let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
      let fixture = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny/llama3-rope").path
      guard FileManager.default.fileExists(atPath: fixture) else { return print("skipped: \(fixture) is absent") }
      let folder = NSTemporaryDirectory() + "acthost-loading-\(UInt64.random(in: 0 ... .max))"
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let text = try String(contentsOfFile: fixture + "/config.json", encoding: .utf8)
      try text.replacing("{\n  \"arch", with: "{\n  \(settings)\"arch").write(
        toFile: folder + "/config.json", atomically: true, encoding: .utf8)
      let file = try SafetensorsFile(path: fixture + "/model.safetensors")
      var tensors = try file.names.map { (name: $0, tensor: try file.tensor($0)) }
      if head { tensors.append(("lm_head.weight", try file.tensor("model.embed_tokens.weight") * 2)) }
      try Safetensors.write(folder + "/model.safetensors", tensors: tensors)
      try body(folder)
    }

    private func outcome(_ source: String) throws -> (text: String, notes: [String]) {
      let (state, output) = try makeState()
      defer { state.close() }
      try state.execute(chunk: Array(source.utf8), name: "=test")
      return (output.text, output.notes)
    }

    @Test func anUnknownSettingRefusesUnlessItIsIgnoredByName() throws {
      try withModel("\"odd_key\": 7, ") { folder in
        let error = try failure("model.load(\"\(folder)\")")
        #expect(error.message.contains("odd_key = 7") && error.message.contains("ignore_settings = { \"odd_key\" }"))
        let (text, notes) = try outcome(
          """
          local m = model.load("\(folder)", { ignore_settings = { "odd_key" } })
          print(m.n_layers, model.inspect("\(folder)").problem:find("odd_key") ~= nil)
          """)
        #expect(notes.contains { $0.contains("settings passed over: odd_key") } && text.contains("\ttrue"), "\(text)")
        let other = try failure("model.load(\"\(folder)\", { ignore_settings = \"od_key\" })")
        #expect(other.message.contains("od_key") && other.message.contains("did you mean odd_key"))
      }
    }

    @Test func aHeadOfItsOwnIsSaid() throws {
      try withModel("", head: true) { folder in
        let (_, notes) = try outcome("model.load(\"\(folder)\")")
        #expect(notes.count == 1 && notes[0].contains("tie_word_embeddings") && notes[0].contains("lm_head.weight"))
      }
    }

    /// A model's file that is overwritten between two runs of a script.
    @Test func aFileThatChangesIsALuaError() throws {
      try withModel("") { folder in
        let error = try failure(
          """
          local m = model.load("\(folder)")
          m:run{ tokens = { 1, 2, 3 } }
          local t = os.clock(); while os.clock() - t < 0.02 do end  -- times of change are kept to some milliseconds
          local f = io.open("\(folder)/model.safetensors", "r+b")
          f:seek("end", -8); f:write("\\0\\0\\0\\0"); f:close()
          m:run{ tokens = { 1, 2, 3 } }
          """)
        #expect(error.message.contains("changed since it was opened"), "\(error.message)")
      }
    }
  }
}
