import Engine
import Foundation
import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct TrainModule {
    /// A tiny model without tokenizer, as `m`.
    private func tiny(_ family: String = "llama") -> String? {
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
          "shared/fixtures/tiny/\(family)"
        ).path
      guard FileManager.default.fileExists(atPath: folder) else {
        print("skipped: \(folder) is absent")
        return nil
      }
      return "local m = model.load(\"\(folder)\")\n"
    }

    @Test func gradientsByNameAndAtSites() throws {
      guard let head = tiny() else { return }
      let script =
        head + """
          local g = train.gradients{ model = m, tokens = { { 1, 5, 9, 12 }, { 3, 4, 8 } },
            parameters = { "model.layers.1.mlp.up_proj.weight" }, capture_gradients = { site = { "resid_post", "z" }, layers = 1 } }
          print(g.tokens, g.loss > 0, g.gradients["model.layers.1.mlp.up_proj.weight"]:shape()[2] == m.d_model)
          print(g.acts[2]:at(1):shape()[1], g.acts[1]:at(1, "z"):shape()[2] == m.n_heads)
          print(select(2, pcall(train.gradients, { model = m, tokens = { 1, 2 }, parameters = { "model.layers.1.mlp.up_prj.weight" } })))
          local h = m:add{ dir = tensor.ones(m.d_model), layer = 0 }
          print(select(2, pcall(train.gradients, { model = m, tokens = { 1, 2 } })))
          """
      let text = try printed(script)
      #expect(text.hasPrefix("5\ttrue\ttrue\n3\ttrue\n"))
      #expect(text.contains("up_proj"))
      #expect(text.contains("interventions"))
    }

    @Test func adaptersAttachAndDetach() throws {
      guard let head = tiny("qwen2") else { return }
      let script =
        head + """
          local before, plain = m.hash, m:run{ tokens = { 1, 2, 3 } }.logits
          local a = train.adapter{ model = m, rank = 2, targets = { "q_proj", "down_proj" }, layers = { 0, 2 } }
          print(a.rank, #a.targets, a.history, a.base == m.name)
          m:attach(a)
          print(m.hash ~= before, m:run{ tokens = { 1, 2, 3 } }.logits:allclose(plain, { atol = 0, rtol = 0 }), #m:adapters())
          local folder = os.tmpname() .. "-adapter"
          a:save(folder)
          m:detach(a)
          print(m.hash == before, #m:adapters(), train.load(folder, m).hash == a.hash)
          print(select(2, pcall(m.detach, m, a)))
          print(select(2, pcall(train.adapter, { model = m, targets = { "q_porj" } })))
          """
      let text = try printed(script)
      #expect(text.hasPrefix("2\t2\tnil\ttrue\ntrue\ttrue\t1\ntrue\t0\ttrue\n"), "\(text)")
      #expect(text.contains("not attached"))
      #expect(text.contains("q_proj"))
    }

    @Test func smallerModelsLearnFromTheWholeAndAreKept() throws {
      let name = "smollm2-135m-instruct", store = ModelStore()
      guard store.installed.contains(name) else {
        print("skipped: \(name) is not in the store; run `acthost pull \(name)`")
        return
      }
      let folder = FileManager.default.temporaryDirectory.path + "/acthost-\(UUID().uuidString)"
      setenv("ACTHOST_HOME", folder, 1)
      defer {
        setenv("ACTHOST_HOME", store.home, 1)
        try? FileManager.default.removeItem(atPath: folder)
      }
      let script = """
        local m = model.load("\(store.path(of: name))")
        local cut = m:keep_layers{ 0, 1, 29 }
        print(cut.n_layers, cut.hash ~= m.hash, m:keep_layers("all").n_layers)
        local examples = { { prompt = "Say hello.", completion = "Ahoy!" }, { prompt = "Greet me.", completion = "Ahoy there!" } }
        local settings = { model = cut, teacher = m, examples = examples, epochs = 3, batch = 2, lr = 1e-3, warmup = 0, cache = "cut" }
        local s, h = train.full(settings)
        print(h.cached, h.steps, h.losses[3] < h.losses[1], s.n_layers)
        local again, known = train.full(settings)
        print(known.cached, again.hash == s.hash)
        local reference = m:reference{ examples = examples, chat = true }
        local before = cut:kl{ reference = reference }.mean
        print(math.abs(before - h.losses[1]) < 1e-3 * before, again:kl{ reference = reference }.mean < before)
        print(select(2, pcall(m.keep_layers, m, { 0, 30 })))
        print(select(2, pcall(train.lora, { model = m, teacher = m, examples = examples })))
        """
      let lines = try printed(script).components(separatedBy: "\n")
      #expect(Array(lines[..<4]) == ["3\ttrue\t30", "false\t3\ttrue\t3", "true\ttrue", "true\ttrue"])
      #expect(lines[4].contains("layer 30 is out of range"))
      #expect(lines[5].contains("own teacher"))
    }

    /// Ctrl-C hands back what was learnt, says how to go on, lets it be saved, and stops what follows.
    @Test(arguments: ["lora", "full"])
    func controlCHandsBackWhatWasLearnt(kind: String) throws {
      let name = "smollm2-135m-instruct"
      guard ModelStore().installed.contains(name) else {
        print("skipped: \(name) is not in the store; run `acthost pull \(name)`")
        return
      }
      LuaState.installInterruptHandler()
      let (state, output) = try makeState()
      defer { state.close() }
      let script = """
        local m = model.load("\(name)"):keep_layers{ 0 }
        local folder = os.tmpname() .. "-training"
        local examples = { { prompt = "Say hello.", completion = "Ahoy!" }, { prompt = "Greet me.", completion = "Ahoy there!" } }
        local presses = 0
        local function settings(checkpoint)
          return { model = m, examples = examples, epochs = 6, batch = 1, checkpoint = checkpoint, on_step = function(p)
            if p.step == 3 and presses == 0 then presses = 1 probe.interrupt() for i = 1, 1e8 do end end
          end }
        end
        local a, h = train.\(kind)(settings(folder))
        h = h or a.history
        print(h.interrupted, h.steps, #h.losses)
        a:save(folder .. "/kept")
        print("saved")
        print(pcall(train.\(kind), settings()))
        local b, again = train.\(kind)(settings(folder))
        again = again or b.history
        print(again.interrupted, again.steps, #again.losses)
        local c, free = train.\(kind)(settings())
        free = free or c.history
        print(free.steps, free.losses[12] == again.losses[9], b.hash == c.hash)
        os.execute("rm -r " .. folder)
        """
      try state.execute(chunk: Array(script.utf8), name: "=test")
      let lines = output.text.split(separator: "\n").map(String.init)
      #expect(Array(lines.prefix(2)) == ["true\t3\t3", "saved"], "\(output.text)")
      #expect(lines[2].hasPrefix("false\t") && lines[2].hasSuffix("interrupted"), "\(lines[2])")
      #expect(lines[3] == "false\t12\t9" && lines[4] == "12\ttrue\ttrue", "\(output.text)")
      #expect(output.notes.contains { $0.contains("interrupted after step 3 of 12") && $0.contains("goes on from") })
    }

    @Test func badDataIsRefused() throws {
      guard let head = tiny() else { return }
      for (options, word) in [
        ("examples = {}", "empty"), ("examples = { { prompt = \"a\" } }", "completion"), ("", "examples"),
        ("examples = { { prompt = \"a\", completion = \"b\" } }", "tokenizer"), ("examples = { 1 }", "completion"),
        ("examples = { { prompt = \"a\", completion = \"b\" } }, ephocs = 2", "epochs"),
      ] {
        let line = "print(select(2, pcall(train.lora, { model = m, \(options) })))"
        #expect(try printed(head + line).contains(word), "\(options)")
      }
    }
  }
}
