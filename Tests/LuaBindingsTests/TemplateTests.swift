import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// Chat templates from Lua.
  @Suite struct Templates {
    @Test func templatesRenderWithoutAModel() throws {
      let script = #"""
        local template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{{ eos_token }}"
          .. "{% endfor %}{% if add_generation_prompt %}>{% endif %}{{ date_string }}"
        local messages = { { role = "user", content = " Hi " }, { role = "tool", content = "\xFF" } }
        local text = model.render_template{
          template = template, messages = messages, bos_token = "<s>", eos_token = "</s>" }
        print(text == "<s>[user]Hi</s>[tool]\xFF</s>>")
        print(model.render_template{
          template = template, messages = {}, generation_prompt = false, date_string = "1 May 2024" })
        print(model.render_template{ template = "alpaca", messages = "Hi" })
        """#
      #expect(try printed(script) == "true\n1 May 2024\n### Instruction:\nHi\n\n### Response:\n\n")
    }

    @Test func tablesBecomeListsAndMappings() throws {
      let script = #"""
        local template = "{{ messages | tojson }}|{{ tools | tojson }}|{{ mode }}|{{ messages[0].content[0].text }}"
        local messages = {
          { role = "user", content = { { type = "text", text = "a" }, { type = "image" } } },
          { role = "assistant",
            tool_calls = { { ["function"] = { name = "f", arguments = { b = 1, a = { 1.5, true } } } } } },
          { role = "tool", content = { ok = true }, name = "[1]" },
        }
        local tools = { { type = "function", ["function"] = { parameters = {}, name = "f" } } }
        print(model.render_template{
          template = template, messages = messages, tools = tools, variables = { mode = "x" } })
        template = "{{ tools | tojson }}"
        print(model.render_template{ template = template, messages = "Hi", tools = '[{"z": 1, "a": {}}]' })
        """#
      #expect(
        try printed(script)
          == #"[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}, "#
          + #"{"role": "assistant", "tool_calls": [{"function": {"name": "f", "#
          + #""arguments": {"a": [1.5, true], "b": 1}}}]}, "#
          + #"{"role": "tool", "content": {"ok": true}, "name": "[1]"}]|"#
          + #"[{"type": "function", "function": {"name": "f", "parameters": {}}}]|x|a"# + "\n"
          + #"[{"z": 1, "a": {}}]"# + "\n")
    }

    @Test func errorsAreTheTemplatesOwnWords() throws {
      let script = #"""
        local function fails(template, messages)
          local ok, e = pcall(model.render_template, { template = template, messages = messages or "Hi" })
          print(ok, e.kind, e.message)
        end
        fails("{{ raise_exception('no system role') }}")
        fails("a\n{{ messages[0].x.y }}")
        fails("{% if %}")
        fails("", { { content = "Hi" } })
        """#
      let text = try printed(script)
      #expect(text.hasPrefix("false\ttemplate\t"))
      let lines = text.split(separator: "\n")
      #expect(lines.count == 4)
      #expect(lines[0].hasSuffix("no system role"))
      #expect(lines[1].hasSuffix("chat template, line 2: 'dict object' has no attribute 'x'"))
      #expect(lines[2].contains("line 1: expected an expression, found '%}'"))
      #expect(lines[3].contains("a message needs role and content"))
    }

    @Test func aCallsTemplateReplacesTheModels() throws {
      let name = "smollm2-135m-instruct"
      guard ModelStore().installed.contains(name) else {
        print("skipped: \(name) is not in the store; run `acthost pull \(name)`")
        return
      }
      let script = #"""
        local m = model.load("smollm2-135m-instruct")
        print(m.template:find("named SmolLM", 1, true) ~= nil, m:chat("Hi"):find("named SmolLM", 1, true) ~= nil)
        print(m:chat("Hi", { template = "chatml" }))
        print(m:chat("Hi", { template = "{{ messages[0].content * 2 }}" }))
        local run = m:run{ prompt = "Hi", chat = true, template = "chatml" }
        print(m:decode(run.tokens) == m:chat("Hi", { template = "chatml" }))
        local c = m:generate{
          prompt = "Hi", chat = true, template = "{{ messages[0].content }}<|endoftext|>", max_tokens = 2 }
        print(#c.tokens)
        local a = m:nll{ examples = { { prompt = "Hi", completion = "Hello" } }, chat = true, template = "chatml" }
        local b = m:nll{ examples = { { prompt = "Hi", completion = "Hello" } }, chat = true }
        print(a.tokens == b.tokens, a.mean ~= b.mean)
        print(pcall(m.run, m, { prompt = "Hi", template = "chatml" }))
        print(pcall(m.run, m, { prompt = "Hi", chat = true, template = "chatmll" }))
        """#
      let lines = try printed(script).components(separatedBy: "\n")
      #expect(lines[0] == "true\ttrue")
      #expect(lines[1...3].joined(separator: "\n") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant")
      #expect(Array(lines[4...8]) == ["", "HiHi", "true", "2", "true\ttrue"])
      #expect(lines[9].contains("a template is used with chat = true only"))
      #expect(lines[10].contains("did you mean chatml"))
    }
  }
}
