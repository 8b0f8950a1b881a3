import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// Weights as scripts read and change them, on SmolLM2, whose GGUF file permutes rows of queries and keys.
  @Suite struct Weights {
    private func output(_ script: String) throws -> String? {
      guard ModelStore().installed.contains(ModelModule.name) else {
        print("skipped: \(ModelModule.name) is not in the store; run `acthost pull \(ModelModule.name)`")
        return nil
      }
      return try printed("local m = model.load(\"\(ModelModule.name)\")\n" + script)
    }

    @Test func headsComputeWhatTheSitesShow() throws {
      let script = """
        local ids = { 1, 5, 9 }
        local r = m:run{ tokens = ids, capture = { site = { "q", "k", "v", "z", "attn_out" }, layers = 4 } }
        local x = m:run{ tokens = ids, capture = { site = "resid_pre", layers = 4 } }.acts:at(4)
        -- The norm before attention, by hand: 1e-5 is this model's epsilon.
        local normed = x / ((x * x):mean(2, { keep = true }) + 1e-5) ^ 0.5
          * m:weight("model.layers.4.input_layernorm.weight")
        local sum = tensor.zeros(3, m.d_model)
        for head = 0, m.n_heads - 1 do
          local h, kv = m:head(4, head), head // (m.n_heads // m.n_kv_heads) + 1
          for site, weight in pairs{ q = h.q, k = h.k, v = h.v } do
            local seen = r.acts:at(4, site):select(2, site == "q" and head + 1 or kv)
            assert(normed:matmul(weight:transpose()):allclose(seen, { atol = 1e-3, rtol = 1e-3 }), site .. head)
          end
          sum = sum + r.acts:at(4, "z"):select(2, head + 1):matmul(h.o)
        end
        print(sum:allclose(r.acts:at(4, "attn_out"), { atol = 1e-3, rtol = 1e-3 }))
        """
      guard let text = try output(script) else { return }
      #expect(text == "true\n")
    }

    @Test func modelsAreEditedByFunctionsAndTensors() throws {
      let script = """
        local name = "model.layers.3.mlp.down_proj.weight"
        local same = m:edit{ weights = { [name] = function(w) return w end } }
        local norm = m:weight("model.norm.weight")
        local less = m:edit{ weights = { [name] = function(w) return w * 0 end, ["model.norm.weight"] = norm } }
        local function logits(m) return m:run{ tokens = { 1, 2 } }.logits end
        local a, b, c = logits(m), logits(same), logits(less)
        print(a:allclose(b, { atol = 1e-3 }), a:allclose(c, { atol = 1e-1 }))
        local h <close> = m:mean_ablate{ layer = 3, site = "mlp_out", mean = 0 }
        print(logits(m):allclose(c, { atol = 1e-3 }), less.hash ~= m.hash, less.hash ~= same.hash)
        local found = m:weights()
        print(#found, found[1].name, found[1].shape[1], found[1].type)
        for _, case in ipairs{
          { function() m:weight("model.norm.wieght") end, "did you mean" },
          { function() m:edit{ weights = {} } end, "names no weight" },
          { function() m:edit{ weights = { ["model.norm.weight"] = 3 } } end, "a tensor or a function" },
          { function() m:edit{ weights = { ["model.norm.weight"] = function() end } } end, "the new weight, a tensor" },
          { function() m:edit{ weights = { ["model.norm.weight"] = tensor.ones(3) } } end, "has shape [576]" },
          { function() m:head(4, 9) end, "heads 0 to 8" }, { function() m:head(30, 0) end, "layers 0 to 29" },
          { function() m:orthogonalise{ dir = tensor.zeros(576) } end, "norm 0" },
          { function() m:unembed(tensor.zeros(3)) end, "576" },
        } do
          local ok, e = pcall(case[1])
          assert(not ok and e.message:find(case[2], 1, true), case[2] .. ": " .. tostring(e))
        end
        """
      guard let text = try output(script) else { return }
      let lines = text.split(separator: "\n")
      #expect(lines.count == 3 && lines[0] == "true\tfalse" && lines[1] == "true\ttrue\ttrue", "\(text)")
      #expect(lines[2].hasPrefix("272\tmodel.embed_tokens.weight\t49152\tQ"), "\(text)")
    }

    @Test func aHookMayAssignToItsRows() throws {
      let script = """
        local plain = m:run{ tokens = { 1, 2, 3 } }.logits
        local h = m:hook{ layer = 3, pos = 2, fn = function(x) x[1] = 0 end }
        local assigned = m:run{ tokens = { 1, 2, 3 } }.logits
        h:remove()
        local value = tensor.zeros(1, m.d_model)
        local p <close> = m:patch{ layer = 3, pos = 2, value = value }
        value[1] = 100  -- the patch keeps what it was given
        print(assigned:allclose(m:run{ tokens = { 1, 2, 3 } }.logits), assigned:allclose(plain))
        """
      guard let text = try output(script) else { return }
      #expect(text == "true\tfalse\n")
    }

    @Test func progressGoesThroughLayersOnce() throws {
      guard let text = try output("local n = 0 for layer in progress(m:layers()) do n = n * 2 + layer end print(n)")
      else {
        return
      }
      // Layers 0 to 29, each once, in order.
      #expect(text == "\((0..<30).reduce(0) { $0 * 2 + $1 })\n")
    }
  }
}
