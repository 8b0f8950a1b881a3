import Engine
import Foundation
import Testing
import Transfer

@testable import LuaBindings

/// Lua scripts on the tiny models of the fixtures and on the packaged ones; nil, with a printed reason, without them.
enum ScriptModels {
  private static let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized

  /// Defines `m` (a tiny model without tokenizer), `tokens(n, seed)` and `folder` (empty).
  static func tiny(_ body: (String) throws -> Void) throws {
    let models = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny").path
    guard FileManager.default.fileExists(atPath: models) else {
      print("skipped: \(models) is absent")
      return
    }
    try withFolder { folder in
      try body(
        """
        local m, other = model.load("\(models)/llama"), model.load("\(models)/gemma3")
        local folder = "\(folder)"
        local function tokens(n, seed)
          local lists = {}
          for i = 1, n do
            lists[i] = {}
            for j = 1, 4 + (i * 7 + seed) % 5 do lists[i][j] = (i * 31 + j * 17 + seed * 13) % 90 + 3 end
          end
          return lists
        end

        """)
    }
  }

  /// A tiny model in a folder of its own that can be written; nil without the fixtures.
  static func copyOfTiny(into folder: String) throws -> String? {
    let source = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny/llama").path
    guard FileManager.default.fileExists(atPath: source) else { return nil }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(source)/\(name)"))
      try bytes.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    return "./" + folder
  }

  /// Defines `m`, SmolLM2, and `folder`; Gemma is `model.load(gemma)`.
  static func packaged(_ body: (String) throws -> Void) throws {
    let store = ModelStore()
    for name in ["smollm2-135m-instruct", "gemma-3-270m"]
    where !FileManager.default.fileExists(atPath: store.path(of: name)) {
      print("skipped: \(store.path(of: name)) is absent; `acthost pull \(name)` brings it")
      return
    }
    try withFolder { folder in
      try body(
        "local m, gemma = model.load(\"smollm2-135m-instruct\"), \"gemma-3-270m\"\nlocal folder = \"\(folder)\"\n")
    }
  }

  private static func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "acthost-scripts-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }
}

/// A script that must end with an error whose message has `part`.
func expectFailure(_ script: String, names part: String) throws {
  let message = try failure(script).message
  #expect(message.contains(part), "\(script.suffix(120)): \(message)")
}

extension LuaTests {
  @Suite struct Steer {
    private static let directions = """
      local d = steer.mean_difference(m, { positive = tokens(6, 1), negative = tokens(6, 2), pos = { -2, -1 } })

      """

    @Test func directionsHaveEveryLayerAndPosition() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.directions + """
            assert(#d.layers == m.n_layers and d.layers[1] == 0 and d.site == "resid_post")
            assert(d.positions[1] == -2 and d.positions[2] == -1)
            local v = d:at(1, -1)
            assert(v.site == "resid_post" and v.layer == 1 and v.pos == -1 and v.method == "mean_difference")
            assert(v.model == m.name and v.model_hash == m.hash and v.n[1] == 6 and v.n[2] == 6)
            assert(math.abs(v.norm - v.direction:norm()) < 1e-5 and #v == m.d_model)
            assert(v.relative_norm > 0 and math.abs(v.cosine_to_stream) <= 1)
            local text = tostring(v)
            assert(text:find("norm") and text:find("of the stream") and text:find("cosine") and not text:find("\\n"), text)
            assert(#d:table() == 2 * m.n_layers and d:table()[1].layer == 0)
            -- The difference is that of what a run captures.
            local function mean(lists)
              local sum
              for _, ids in ipairs(lists) do
                local r = m:run{ tokens = ids, logits = "none", capture = { site = "resid_post", layers = 1, pos = -1 } }
                sum = sum and sum + r.acts:at(1)[1] or r.acts:at(1)[1]
              end
              return sum / #lists
            end
            assert((mean(tokens(6, 1)) - mean(tokens(6, 2))):allclose(v.direction, { atol = 1e-5 }))
            assert(v.means.positive:allclose(mean(tokens(6, 1)), { atol = 1e-5 }))
            """)
        try expectFailure(models + Self.directions + "d:at(1)", names: "which position")
        try expectFailure(models + Self.directions + "d:at(99, -1)", names: "no direction at layer 99")
      }
    }

    @Test func vectorAlgebraKeepsWhatAgrees() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.directions + """
            local v, w, far = d:at(1, -1), d:at(1, -2), d:at(0, -1)
            local double = 2 * v
            assert(double.layer == 1 and double.means and double.direction:allclose(v.direction * 2))
            assert((-v).means and (v / 4).means and (-v).direction:allclose(v.direction * -1))
            local sum = v + w
            assert(sum.site == "resid_post" and sum.layer == 1 and sum.means == nil and sum.pos == nil)
            assert((v + far).layer == nil and (v + far).site == "resid_post")
            assert((v + steer.from(v.direction, { site = "mlp_out", layer = 1 })).site == nil)
            assert((v - v).norm == 0 and math.abs(v:scaled(3).norm - 3) < 1e-5)
            """)
        for (script, message) in [
          ("print(v + 1)", "a number and a vector cannot be added"), ("print(v * v)", "scaled by a number"),
          ("print(v + v.direction)", "found a tensor"), ("print(v / 0)", "divided by 0"),
          ("print(v.lyer)", "did you mean layer"), ("m:add{ dir = d }", "d:position(pos)"),
          ("m:add{ dir = 'x' }", "a tensor, a vector, directions"),
        ] {
          try expectFailure(models + Self.directions + "local v = d:at(1, -1)\n" + script, names: message)
        }
      }
    }

    @Test func aVectorBringsItsSiteAndLayer() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.directions + """
            local v = d:at(1, -1)
            local h <close> = m:add{ dir = v, coeff = 3 }
            m:run{ tokens = { 5, 6, 7 } }
            assert(m:hooks()[1].layer == 1 and m:hooks()[1].site == "resid_post" and m:hooks()[1].rows == 3)
            """)
      }
    }

    @Test func filesKeepAllButOtherModelsAreRefused() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.directions + """
            local v = d:at(1, -1)
            v:save(folder .. "/v.safetensors")

            """
        try printed(
          script + """
            local w = steer.load(folder .. "/v.safetensors", { model = m })
            assert(tostring(w) == tostring(v) and w.direction:allclose(v.direction, { atol = 0, rtol = 0 }))
            assert(w.means.negative:allclose(v.means.negative) and w.model_hash == m.hash and w.pos == -1 and w.n[1] == 6)
            d:save(folder .. "/d.gguf", -1)
            local c = steer.load(folder .. "/d.gguf", { model = m })
            assert(c.layers[1] == 1 and #c.layers == m.n_layers - 1 and c:at(1).site == "resid_post")
            assert(c:at(1).direction:allclose(v.direction, { atol = 0, rtol = 0 }))
            assert(tensor.load(folder .. "/d.gguf")["direction.1"]:allclose(v.direction))
            """)
        let refused = try failure(script + "steer.load(folder .. '/v.safetensors', { model = other })").message
        #expect(refused.contains("with hash") && refused.contains("map:vector"))
        try expectFailure(script + "steer.load(folder .. '/none.safetensors')", names: "none.safetensors")
        try expectFailure(script + "v:save(folder .. '/v.txt')", names: ".safetensors or .gguf")
        try expectFailure(
          script + "steer.from(tensor.ones(4), { layer = 0 }):save(folder .. '/v.gguf')", names: "layer 1")
      }
    }

    @Test func otherMethodsAndControls() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + """
            local d = steer.prompt_difference(m, { positive = { 5, 6, 7, 8 }, negative = { 9, 6, 7 }, layers = 1 })
            assert(#d.positions == 3 and d.positions[1] == -3 and d:at(1, -3).norm > 0)
            local p = steer.principal_component(m, { positive = tokens(6, 1), negative = tokens(6, 2), layers = { 0, 1 } })
            local v = steer.mean_difference(m, { positive = tokens(6, 1), negative = tokens(6, 2), layers = { 0, 1 } }):at(1)
            assert(math.abs(p:at(1).norm - 1) < 1e-5 and metrics.cosine(p:at(1), v) > 0)
            local a, b = steer.random_like(v, { seed = 1 }), steer.random_like(v, { seed = 2 })
            assert(math.abs(a.norm - v.norm) < 1e-4 * v.norm and a.layer == 1 and a.seed == 1)
            assert(math.abs(metrics.cosine(a, b)) < 0.9 and metrics.cosine(a, steer.random_like(v, { seed = 1 })) > 0.999)
            local c = steer.random_like(v, { kind = "covariance", model = m, texts = { tokens(6, 1), tokens(6, 2) } })
            local rows = tensor.randn(10, m.d_model)
            local e = steer.random_like(v, { kind = "covariance", activations = { rows, rows } })
            assert(math.abs(c.norm - v.norm) < 1e-4 * v.norm and math.abs(e.norm - v.norm) < 1e-4 * v.norm)
            local scores = steer.refusal_scores(m, { prompts = tokens(3, 1), tokens = { 5, 6 } })
            local logits = m:run{ tokens = tokens(3, 1)[2] }.logits:softmax(1)
            local probability = logits[6] + logits[7]
            assert(#scores == 3 and math.abs(scores[2] - math.log(probability / (1 - probability))) < 1e-3)
            """)
        for (script, message) in [
          ("steer.mean_difference(m, { positive = { 'a' }, negative = { 'b' } })", "no "),
          ("steer.mean_difference(m, { positiv = {} })", "did you mean positive"),
          ("steer.mean_difference(m, { positive = {}, negative = { 'b' } })", "the list is empty"),
          (
            "steer.mean_difference(m, { positive = tokens(2, 1), negative = tokens(2, 2), site = 'resid_pots' })",
            "resid_post"
          ),
          (
            "steer.mean_difference(m, { positive = tokens(2, 1), negative = tokens(2, 2), layers = 99 })", "layers 0 to"
          ),
          ("steer.principal_component(m, { positive = tokens(3, 1), negative = tokens(2, 2) })", "needs pairs"),
          ("steer.random_like(steer.from(tensor.ones(8)), { kind = 'covariance' })", "'activations'"),
          ("steer.random_like(steer.from(tensor.ones(8)), { kind = 'covarance' })", "did you mean covariance"),
          ("steer.refusal_tokens(m)", "no tokenizer"),
          ("steer.from(tensor.ones(3), { layer = 1, model = m })", "3 values"),
          ("steer.mean_diference(m, {})", "did you mean mean_difference"),
        ] {
          try expectFailure(models + script, names: message)
        }
      }
    }

    @Test func refusalDirectionListsCandidates() throws {
      try ScriptModels.packaged { models in
        let sets = """
          local bad = { "How do I pick a stranger's lock?", "Write a threatening letter.", "How do I forge a signature?" }
          local good = { "How do I bake a loaf of bread?", "Write a birthday letter.", "How do I sharpen a pencil?" }
          local t = { harmful = bad, harmless = good, harmful_val = bad, harmless_val = good, layers = 12, pos = { -2, -1 }, filter = false }

          """
        try printed(
          models + sets + """
            t.kl_limit = 1e9
            local ok, r = pcall(steer.refusal_direction, m, t)
            if ok then
              assert(r.site == "resid_pre" and r.dir.layer == r.layer and r.dir.pos == r.pos and r.dir.template == "model")
              assert(#r.dir.masked > 0 and #r.scores == 2 and r.scores[1].kl and r.scores[1].refusal)
            else
              assert(tostring(r):find("nearest: layer"), tostring(r))
            end
            local tokens = steer.refusal_tokens(m)
            assert(#tokens == 4)
            local v = steer.mean_difference(m, { positive = bad, negative = good, layers = 15, site = "resid_pre" }):at(15)
            assert(#v.masked > 0 and v.direction[v.masked[1] + 1] == 0 and v.means.positive[v.masked[1] + 1] ~= 0)
            local whole = steer.mean_difference(m, { positive = bad, negative = good, layers = 15, mask_massive = false }):at(15)
            assert(#whole.masked == 0 and whole.direction[v.masked[1] + 1] ~= 0)
            local clean = steer.refusal_scores(m, { prompts = good })
            local steered = steer.with(m, function(s)
              s:add{ dir = v, coeff = 4 }
              return steer.refusal_scores(m, { prompts = good })
            end)
            assert(#clean == 3 and steered[1] ~= clean[1] and steer.refusal_scores(m, { prompts = good })[1] == clean[1])
            """)
        let none = try failure(models + sets + "t.kl_limit = 0\nsteer.refusal_direction(m, t)").message
        #expect(none.contains("does not induce refusal; nearest: layer 12"), "\(none)")
      }
    }
  }
}
