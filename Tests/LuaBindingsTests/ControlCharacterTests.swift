import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// What files, templates and models say cannot drive the terminal.
  @Suite struct ControlCharacters {
    @Test func theyAreSpeltOut() {
      #expect("a\tb\nc".printable == "a\tb\nc" && "größe 你好".printable == "größe 你好")
      #expect("\u{1b}[31mred\u{7}\u{7f}\r".printable == "\\x1b[31mred\\x07\\x7f\\r")
      #expect("\u{9b}2J \u{202e}txt\u{2066}".printable == "\\x9b2J \\u{202e}txt\\u{2066}")
      #expect(EngineError(.file, "\u{1b}]0;x").message == "\\x1b]0;x")
    }

    @Test func resultsAndErrorsAreText() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      for chunk in [
        "'\\27[31mred'", "{ '\\27[31mred' }", "{ ['\\27[31mred'] = 1 }", "'\\xc2\\x9b31m'",
        "setmetatable({}, { __tostring = function() return '\\27[31m' end })",
      ] {
        let text = try state.evaluate("return " + chunk).map { state.describe($0) }.joined(separator: " ")
        #expect(!text.unicodeScalars.contains(where: \.isControl) && text.contains("31m"), "\(chunk): \(text)")
      }
      for chunk in [
        "error('\\27[31mred')", "model.load('./\\27[31mred')", "tensor.load('\\27[31mred.npy')",
        "model.render_template{ template = \"{{ raise_exception('\\27[31mred') }}\", messages = 'x' }",
        "error(setmetatable({}, { __tostring = function() return '\\27[31m' end }))",
      ] {
        let error = try failure(chunk)
        #expect(
          !error.report.unicodeScalars.contains(where: \.isControl) && error.report.contains("31m"),
          "\(chunk): \(error.report)")
      }
    }

    @Test func whatVectorFilesSayIsText() throws {
      try ScriptModels.tiny { models in
        let text = try printed(
          models + """
            local v = steer.from(tensor.ones(m.d_model), { layer = 1, model = m })
            v:save(folder .. "/v.safetensors")
            local f = io.open(folder .. "/v.safetensors", "rb")
            local bytes = f:read("a")
            f:close()
            -- An escape sequence as the method and as the model's name.
            local header = bytes:sub(9, #bytes - 4 * m.d_model)
            header = header:gsub('"method":"given"', '"method":"\\\\u001b["'):gsub('"model_name":"llama"', '"model_name":"\\\\u001b["')
            f = io.open(folder .. "/w.safetensors", "wb")
            f:write(string.pack("<I8", #header), header, bytes:sub(#bytes - 4 * m.d_model + 1))
            f:close()
            local w = steer.load(folder .. "/w.safetensors")
            print(w.method, w.model, w)
            """)
        #expect(text.contains("\\x1b[\t\\x1b[") && !text.unicodeScalars.contains(where: \.isControl), "\(text)")
      }
    }
  }
}
