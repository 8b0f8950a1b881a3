import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// `m:generate` on SmolLM2: where it stops, and what text, tokens and activations then are.
  @Suite struct Generation {
    func output(_ script: String) throws -> String? {
      let name = "smollm2-135m-instruct"
      guard ModelStore().installed.contains(name) else {
        print("skipped: \(name) is not in the store; run `acthost pull \(name)`")
        return nil
      }
      return try printed("local m = model.load(\"\(name)\")\n" + script)
    }

    @Test func stopTakesListsOfStringsAndIds() throws {
      let script = """
        local prompt = "Count: one, two, three,"
        local free = m:generate{ prompt = prompt, max_tokens = 12, ignore_eos = true }
        local function first(stop)
          local c = m:generate{ prompt = prompt, max_tokens = 12, ignore_eos = true, stop = stop }
          return #c.tokens, c.finish
        end
        local a, b = free.tokens[3], free.tokens[5]  -- " five" and " six"
        print(first{ b, a }) print(first{ b }) print(first(a))
        print(first{ "five", "four" }) print(first{ "five", a }) print(first{ a, "four" }) print(first{})
        for _, bad in ipairs{ { true }, { {} }, { "a", 1.5 }, { 49152 }, { "" }, true } do
          print(select(2, pcall(m.generate, m, { prompt = prompt, stop = bad })))
        end
        """
      guard let text = try output(script) else { return }
      let lines = text.split(separator: "\n").map(String.init)
      let expected = ["2\tstop", "4\tstop", "2\tstop", "0\tstop", "2\tstop", "0\tstop", "12\tlength"]
      #expect(Array(lines.prefix(7)) == expected, "\(text)")
      for (line, part) in zip(
        lines.dropFirst(7),
        [
          "entry 1: expected a string or a token id", "entry 1: expected a string or a token id", "an integer",
          "49152 is out of range", "empty string", "expected a string or a token id",
        ])
      { #expect(line.contains(part), "\(line)") }
    }

    /// Text, tokens and activations agree wherever a stop string begins: at, before and inside tokens.
    @Test func tokensLieWithinTheText() throws {
      let script = """
        local prompt = "Count: one, two, three,"
        local n = #m:tokens(prompt)
        local free = m:generate{ prompt = prompt, max_tokens = 10, ignore_eos = true }
        local full, wrong, partial = free.text, 0, 0
        for from = 1, 24, 3 do
          for _, length in ipairs{ 1, 4 } do
            local stop = full:sub(from, from + length - 1)
            local pieces = ""
            local c = m:generate{ prompt = prompt, max_tokens = 10, ignore_eos = true, stop = stop,
              capture = { site = "resid_post", layers = 2 }, on_token = function(s) pieces = pieces .. s end }
            local text = full:sub(1, full:find(stop, 1, true) - 1)
            local own = m:decode(c.tokens)
            local longer = m:decode({ table.unpack(free.tokens, 1, #c.tokens + 1) })
            if c.text ~= text or pieces ~= text or c.finish ~= "stop" then wrong = wrong + 1 end
            if text:sub(1, #own) ~= own or #longer <= #text then wrong = wrong + 1 end
            if own ~= text then partial = partial + 1 end
            if c.acts:at(2):shape()[1] ~= n + math.max(0, #c.tokens - 1) then wrong = wrong + 1 end
          end
        end
        print(wrong, partial > 0)
        """
      guard let text = try output(script) else { return }
      #expect(text == "0\ttrue\n")
    }

    /// One rule: rows for the prompt and all returned tokens but the last, however the generation ended; and they are
    /// the rows of a run over prompt and tokens.
    @Test func activationsFollowOneRuleHoweverItEnds() throws {
      let script = """
        local prompt = "Count: one, two, three,"
        local n = #m:tokens(prompt)
        local free = m:generate{ prompt = prompt, max_tokens = 8, ignore_eos = true }
        local capture = { site = { "resid_post", "pattern" }, layers = 3 }
        local function check(options)
          options.prompt, options.capture, options.ignore_eos = prompt, capture, true
          options.max_tokens = options.max_tokens or 8
          local c = m:generate(options)
          local rows = n + math.max(0, #c.tokens - 1)
          local ids = m:tokens(prompt)
          for i = 1, #c.tokens - 1 do ids[#ids + 1] = c.tokens[i] end
          local run = m:run{ tokens = ids, logits = "none", capture = capture }
          print(c.finish, #c.tokens, c.acts:at(3, "resid_post"):shape()[1] == rows,
            c.acts:at(3, "resid_post"):allclose(run.acts:at(3, "resid_post"), { atol = 1e-3, rtol = 1e-3 }),
            c.acts:at(3, "pattern"):allclose(run.acts:at(3, "pattern"), { atol = 1e-3 }))
        end
        check{}
        check{ max_tokens = 1 }
        check{ stop = free.tokens[5] }
        check{ stop = free.tokens[1] }
        check{ stop = "five" }
        check{ on_token = function() return false end }
        local c = m:generate{ prompt = prompt, max_tokens = 8, ignore_eos = true, stop = free.tokens[5],
          capture = { site = "resid_post", layers = 3, pos = "generated" } }
        print(c.acts:at(3):shape()[1])
        """
      guard let text = try output(script) else { return }
      let ends = ["length\t8", "length\t1", "stop\t4", "stop\t0", "stop\t2", "stop\t1"]
      #expect(text == ends.map { $0 + "\ttrue\ttrue\ttrue\n" }.joined() + "3\n", "\(text)")
    }

    @Test func aPromptBeyondTheContextIsTold() throws {
      let script = """
        local long = {}
        for i = 1, m.context_length + 1 do long[i] = 100 end
        local cs = m:generate{ tokens = { { 100, 101 }, long }, max_tokens = 2, ignore_eos = true }
        print(cs[1].finish, #cs[1].tokens, cs[2].finish, #cs[2].tokens, cs[2].text, cs[2].note)
        print(select(2, pcall(m.run, m, { tokens = { { 100 }, long } })))
        """
      guard let text = try output(script) else { return }
      #expect(text.contains("length\t2\tcontext\t0\t\tprompt 2 has 8193 tokens"), "\(text)")
      #expect(text.contains("prompt 2 has 8193 tokens; smollm2-135m-instruct was made for 8192; shorten it"))
    }
  }
}
