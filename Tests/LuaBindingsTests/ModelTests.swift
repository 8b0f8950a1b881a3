import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// The module `model` on SmolLM2, as scripts use it.
  @Suite struct ModelModule {
    static let name = "smollm2-135m-instruct"

    func output(_ script: String) throws -> String? {
      guard ModelStore().installed.contains(Self.name) else {
        print("skipped: \(Self.name) is not in the store; run `acthost pull \(Self.name)`")
        return nil
      }
      return try printed("local m = model.load(\"\(Self.name)\")\n" + script)
    }

    @Test func aCheckpointIsInspectedWithoutLoadingIt() throws {
      let script = """
        local c = model.inspect(m.name)
        print(c.family, c.architecture, c.problem, c.parameters, #c.tensors)
        local e = c.tensors[1]
        print(e.name, e.type, e.shape[1], e.shape[2])
        print(c.settings["llama.block_count"], c.settings["tokenizer.ggml.tokens"])
        print(select(2, pcall(model.inspect, "./nowhere")))
        """
      guard let text = try output(script) else { return }
      let lines = text.split(separator: "\n").map(String.init)
      #expect(lines[0] == "llama\tllama\tnil\t134515008\t272")
      #expect(lines[1].hasPrefix("token_embd.weight\t") && lines[1].hasSuffix("\t49152\t576"), "\(lines[1])")
      #expect(lines[2] == "30\tan array of 49152 strings" && lines[3].contains("no file or folder"))
    }

    @Test func batchesStreamsAndSinglesAgree() throws {
      let script = """
        local prompts = { "What is the capital of France?", "Name a colour and say why you like it." }
        local pieces = {}
        local batch = m:generate{ prompts = prompts, chat = true, max_tokens = 16, on_token = function(text, id, sequence)
          pieces[sequence] = (pieces[sequence] or "") .. text
        end }
        for i, prompt in ipairs(prompts) do
          local one = m:generate{ prompt = prompt, chat = true, max_tokens = 16 }
          print(one.text == batch[i].text, pieces[i] == batch[i].text, #one.tokens == #batch[i].tokens)
        end
        local cut = m:generate{ prompt = "Count: one, two, three,", max_tokens = 12, stop = "five" }
        print(cut.text, cut.finish)
        local ended = m:generate{ prompt = prompts[1], chat = true, max_tokens = 9, on_token = function() return false end }
        print(#ended.tokens, ended.finish)
        """
      guard let text = try output(script) else { return }
      #expect(text == "true\ttrue\ttrue\ntrue\ttrue\ttrue\n four, \tstop\n1\tstop\n")
    }

    @Test func logitsThatAreNoNumbersEndAGeneration() throws {
      let script = """
        local h = m:hook{ site = "resid_post", layer = 3, pos = "generated", fn = function(x) return x * (0 / 0) end }
        for _, settings in ipairs{ {}, { temperature = 1 } } do
          settings.prompts, settings.max_tokens = { "Hello", "One, two, three" }, 4
          local ok, e = pcall(m.generate, m, settings)
          print(ok, e.kind)
        end
        h:remove()
        print(#m:generate{ prompt = "Hello", max_tokens = 2, ignore_eos = true }.tokens)
        """
      guard let text = try output(script) else { return }
      #expect(text == "false\tnumeric\nfalse\tnumeric\n2\n")
    }

    @Test func capturesSeeInterventionsDuringGeneration() throws {
      let script = """
        local fill = tensor.ones(1, m.d_model) * 7
        local h = m:patch{ layer = 4, pos = 2, value = fill }
        local c = m:generate{ prompt = "Hello there my friend", max_tokens = 5, ignore_eos = true,
          capture = { site = "resid_post", layers = { 4, 5 } } }
        local n = #m:tokens("Hello there my friend")
        print(c.acts:at(4):shape()[1] == n + 4, c.acts:at(4)[2]:allclose(fill[1]), c.acts:at(5)[2]:allclose(fill[1]))
        print(m:hooks()[1].fired, m:hooks()[1].rows)
        h:remove() h:remove()
        print(#m:hooks())
        """
      guard let text = try output(script) else { return }
      #expect(text == "true\ttrue\tfalse\n1\t1\n0\n")
    }

    @Test func scopesEndWithTheirFunctionAlsoWhenItFails() throws {
      let script = """
        local v = tensor.randn(m.d_model, { seed = 3 })
        local kept = m:add{ dir = v, layer = 2, coeff = 0 }
        local a, b = steer.with(m, function(s)
          s:add{ dir = v, layer = 3 }
          s:ablate{ dir = v }
          return #m:hooks(), "done"
        end)
        print(a, b, #m:hooks())
        local ok, message = pcall(steer.with, m, function(s)
          s:hook{ layer = 1, fn = function() error("broken hook") end }
          m:run{ prompt = "Hello" }
        end)
        print(ok, tostring(message):match("broken hook"), #m:hooks())
        """
      guard let text = try output(script) else { return }
      #expect(text == "3\tdone\t1\nfalse\tbroken hook\t1\n")
    }

    @Test func lossesAndDivergences() throws {
      let script = """
        local text = "The sky is blue and the grass is green."
        local plain = m:nll{ texts = { text } }
        local ids = m:tokens(text)
        local logits, sum = m:run{ tokens = ids, logits = "all" }.logits, 0
        for i = 1, #ids - 1 do sum = sum - math.log(logits[i]:softmax(1)[ids[i + 1] + 1]) end
        print(math.abs(sum / (#ids - 1) - plain.mean) < 1e-4, plain.tokens == #ids - 1)
        local both = m:nll{ examples = { { prompt = "The sky is blue and", completion = " the grass is green." } } }
        print(both.tokens)
        print(m:kl{ texts = { text } }.mean, math.abs(m:kl{ texts = { text } }.perplexity - plain.perplexity) < 1e-3)
        local reference = m:reference{ texts = { text } }
        steer.with(m, function(s)
          s:add{ dir = tensor.randn(m.d_model), layer = 10, coeff = 0.5, scale = "relative" }
          local a, b = m:kl{ reference = reference }, m:kl{ texts = { text } }
          print(a.mean > 0.01, a.mean == b.mean, math.abs(a.perplexity - m:nll{ texts = { text } }.perplexity) < 1e-2)
          local edited = m:run{ prompt = text, logits = "all" }.logits
          print(math.abs(metrics.kl(logits, edited) - a.mean) < 1e-4)
        end)
        """
      guard let text = try output(script) else { return }
      #expect(text == "true\ttrue\n5\n0.0\ttrue\ntrue\ttrue\ttrue\ntrue\n")
    }

    @Test func mistakesAreNamed() throws {
      for (script, part) in [
        ("m:run{ prompt = 'x', capture = { site = 'resid_pst' } }", "did you mean resid_post"),
        ("m:run{ prompt = 'x', captures = {} }", "did you mean capture"), ("m:run{}", "one of the options 'prompt'"),
        ("m:run{ prompt = 'x', prompts = { 'y' } }", "only one of the options"),
        ("m:run{ prompts = {} }", "the list is empty"), ("m:run{ tokens = {} }", "empty token list"),
        ("m:run{ tokens = { 5, 49152 } }", "token id 49152 is out of range"),
        ("m:run{ tokens = { 1.5 } }", "an integer"),
        ("m:add{ dir = tensor.ones(5), layer = 1 }", "576 values"),
        ("m:add{ dir = tensor.ones(576), layer = 30 }", "0 to 29"),
        ("m:add{ dir = tensor.ones(576) }", "option 'layer' is missing"), ("m:ad{}", "did you mean add"),
        ("m:add{ dir = tensor.ones(576), layer = 1, pos = 'al' }", "did you mean all"),
        ("m:add{ dir = tensor.ones(576), layer = 1, pos = 0 }", "position 0 does not exist"),
        ("m:add{ dir = tensor.zeros(576), layer = 1, scale = 'unit' } m:run{ prompt = 'x' }", "no direction"),
        ("m:add{ dir = tensor.ones(576), layer = 1, pos = 99 } m:run{ prompt = 'x' }", "no sequence has position 99"),
        (
          "m:add{ dir = tensor.ones(576), layer = 1, pos = 'generated', strict = true } m:run{ prompt = 'x' }",
          "zero times"
        ),
        (
          "m:hook{ layer = 1, fn = function(x) return x:reshape(-1) end } m:run{ prompt = 'x' }", "returned shape [576]"
        ),
        ("m:hook{ layer = 1, fn = function(x) return 3 end } m:run{ prompt = 'x' }", "nil or a tensor"),
        ("m:hook{ layer = 1, fn = function(x) m:run{ prompt = 'y' } end } m:run{ prompt = 'x' }", "is running"),
        ("m.n_layer()", "did you mean n_layers"), ("m:generate{ prompt = 'x', max_tokens = 0 }", "from 1 to"),
        ("model.load('smollm2-135m')", "did you mean smollm2-135m-instruct"),
        ("model.load('./nowhere.gguf')", "no file or folder"),
      ] {
        guard let text = try output("print(select(2, pcall(function() \(script) end)))") else { return }
        #expect(text.contains(part), "\(script): \(text)")
      }
    }
  }
}
