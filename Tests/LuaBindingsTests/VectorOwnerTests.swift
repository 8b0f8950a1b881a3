import Testing

@testable import LuaBindings

extension LuaTests {
  /// Whose a vector is, and vectors of several layers.
  @Suite struct VectorOwners {
    private static let start = """
      assert(m.d_model == other.d_model)
      local ids = { 5, 9, 23, 40, 7 }
      local function directions(model, settings)
        settings = settings or {}
        settings.positive, settings.negative = tokens(4, 1), tokens(4, 2)
        return steer.mean_difference(model, settings)
      end
      local function rows(model)
        local acts = model:run{ tokens = ids, logits = "none", capture = { site = "resid_post" } }.acts
        local list = {}
        for layer in model:layers() do list[layer] = acts:at(layer) end
        return list
      end
      local function same(a, b)
        for layer in m:layers() do assert(a[layer]:allclose(b[layer], { atol = 1e-5 }), "layer " .. layer) end
      end

      """

    @Test func aVectorOfAnotherModelIsRefused() throws {
      try ScriptModels.tiny { models in
        let script = models + Self.start + "local v, d = directions(other):at(1), directions(other)\n"
        for call in [
          "m:add{ dir = v }", "m:ablate{ dir = v }", "m:patch{ layer = 1, pos = 2, value = v }",
          "m:mean_ablate{ layer = 1, mean = v }", "m:add{ dir = d }", "m:ablate{ dir = d, layers = 1 }",
          "m:add{ dir = { v, v * 2 } }", "steer.with(m, function(s) s:add{ dir = 2 * v } end)",
          "m:add{ dir = steer.random_like(v) }", "m:add{ dir = steer.from(v.direction, { layer = 1, model = other }) }",
          "v:save(folder .. '/v.safetensors') m:add{ dir = steer.load(folder .. '/v.safetensors') }",
          "d:save(folder .. '/d.gguf') m:add{ dir = steer.load(folder .. '/d.gguf') }",
          "d:save(folder .. '/d.gguf') steer.load(folder .. '/d.gguf', { model = m })",
        ] { try expectFailure(script + call, names: "the vector belongs to gemma3 with hash") }
        try expectFailure(script + "print(v + directions(m):at(1))", names: "one belongs to gemma3")
        try expectFailure(
          script + "print(directions(other, { layer = 1 }) - directions(m, { layer = 1 }))",
          names: "one belongs to gemma3")
        try printed(
          script + """
            for _, h in ipairs{
              m:add{ dir = v, any_model = true }, m:ablate{ dir = d, layers = { 1, 2 }, any_model = true },
              m:patch{ layer = 1, pos = 2, value = v, any_model = true }, m:add{ dir = v.direction, layer = 1 },
              m:add{ dir = steer.from(v.direction, { layer = 1 }) },
            } do h:remove() end
            -- Another model's activations of the same width, without a map.
            local ok, e = pcall(m.replace, m, { layer = 1, with = { model = other, layer = 1 } })
            assert(not ok and tostring(e):find("other axes"), tostring(e))
            m:replace{ layer = 1, with = { model = other, layer = 1 }, any_model = true }:remove()
            -- What a map gives belongs to the map's target.
            local map = mapper.fit{ from = other, to = m, from_layer = 1, to_layer = 2, from_texts = tokens(20, 3),
              to_texts = tokens(20, 3), method = "ridge", align = "index" }
            m:add{ dir = map:vector(v) }:remove()
            -- Of directions a map takes the vector of the layer it reads.
            assert(map:vector(d).direction:allclose(map:vector(v).direction))
            assert(not pcall(map.vector, map, directions(other, { layers = 0 }) * 1))
            assert(not pcall(other.add, other, { dir = map:vector(v) }))
            """)
      }
    }

    /// The same axes: the model with an adapter, merged, trained, saved, and another reading of the same file.
    @Test func aVectorServesRelatedModels() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            local v = directions(m):at(1)
            local function takes(model, vector) model:add{ dir = vector or v }:remove() end
            local a = train.adapter{ model = m, rank = 2 }
            local merged = m:merge(a)
            takes(merged)
            m:attach(a)
            takes(m)
            local tuned = directions(m):at(1)
            assert(tuned.model_hash == m.hash and tuned.model_hash ~= v.model_hash)
            m:detach()
            takes(m, tuned)
            local edited = m:orthogonalise{ dir = v }
            takes(edited)
            takes(m, directions(edited):at(1))
            assert(not pcall(other.orthogonalise, other, { dir = v }))
            m:save(folder .. "/copy", { dtype = "bf16" })
            local copy = model.load(folder .. "/copy")
            assert(copy.hash ~= m.hash)
            takes(copy)
            takes(m, directions(copy):at(1))
            merged:save(folder .. "/merged")
            local saved = model.load(folder .. "/merged")
            takes(saved)
            takes(saved, tuned)
            takes(model.load(folder .. "/merged", { dtype = "bf16" }))
            -- Through files, and by arithmetic, which keeps the owner.
            v:save(folder .. "/v.safetensors")
            local loaded = steer.load(folder .. "/v.safetensors", { model = saved })
            takes(saved, loaded + tuned)
            assert(not pcall(other.add, other, { dir = loaded + tuned }))
            assert(not pcall(other.add, other, { dir = steer.from(v.direction, { layer = 1 }) + loaded }))
            directions(m):save(folder .. "/d.gguf")
            takes(saved, steer.load(folder .. "/d.gguf", { model = saved }))
            assert(not pcall(other.add, other, { dir = steer.load(folder .. "/d.gguf") }))
            -- Blocks left out: layer 1 is another block.
            local kept = m:keep_layers{ 0, 2, 3 }
            assert(tostring(select(2, pcall(kept.add, kept, { dir = v }))):find("any_model"))
            takes(m)
            """)
      }
    }

    @Test func eachLayerItsOwnVector() throws {
      try ScriptModels.tiny { models in
        let script = models + Self.start + "local d = directions(m)\n"
        try printed(
          script + """
            local function with(make)
              local handles = table.pack(make())
              local found = rows(m)
              m:remove_hooks()
              return found, handles
            end
            local function each(layers, settings, method)
              return with(function()
                for _, layer in ipairs(layers) do
                  local own = { dir = d:at(layer) }
                  for key, value in pairs(settings) do own[key] = value end
                  if method == "ablate" then own.layer = layer end
                  m[method or "add"](m, own)
                end
              end)
            end
            local all = {}
            for layer in m:layers() do all[#all + 1] = layer end
            same(with(function() return m:add{ dir = d, coeff = 0.5 } end), each(all, { coeff = 0.5 }))
            same(with(function() return m:add{ dir = d, layers = { 3, 1 }, pos = 2 } end), each({ 3, 1 }, { pos = 2 }))
            same(with(function() return m:add{ dir = d, layer = 2, scale = "unit" } end), each({ 2 }, { scale = "unit" }))
            same(with(function() return m:add{ dir = { d:at(1), d:at(2) } } end), each({ 1, 2 }, {}))
            same(with(function() return m:add{ dir = d, site = "mlp_out", layers = { 1, 2 } } end), each({ 1, 2 }, { site = "mlp_out" }))
            same(with(function() return m:ablate{ dir = d } end), each(all, {}, "ablate"))
            same(with(function() return m:ablate{ dir = d, site = "resid_post", layers = { 1, 2 } } end),
              each({ 1, 2 }, { site = "resid_post" }, "ablate"))
            same(with(function() return m:add{ dir = d * 2 - d / 2 } end), each(all, { coeff = 1.5 }))
            same(with(function() return m:add{ dir = -d } end), each(all, { coeff = -1 }))
            -- One handle.
            local h = m:add{ dir = d }
            m:run{ tokens = ids }
            assert(#m:hooks() == 1 and m:hooks()[1].fired == m.n_layers and m:hooks()[1].layer == "0-" .. m.n_layers - 1)
            h:remove()
            assert(#m:hooks() == 0)
            -- A file of control vectors.
            assert(#d:save(folder .. "/d.gguf") == m.n_layers - 1)
            local c = steer.load(folder .. "/d.gguf", { model = m })
            same(with(function() return m:add{ dir = c } end), with(function() return m:add{ dir = d, layers = { from = 1 } } end))
            -- Several positions: one of them.
            local p = directions(m, { pos = { -2, -1 } })
            same(with(function() return m:add{ dir = p:position(-1) } end), with(function() return m:add{ dir = d } end))
            -- Directions of one layer are a vector.
            assert(metrics.cosine(directions(m, { layer = 1 }), d:at(1)) > 0.999)
            assert(steer.random_like(directions(m, { layer = 1 })).norm)
            local r = steer.random_like(d, { seed = 3 })
            assert(math.abs(r:at(2).norm - d:at(2).norm) < 1e-3 * d:at(2).norm)
            """)
        for (call, part) in [
          ("m:add{ dir = directions(m, { layers = { 1, 2 } }), layers = 'all' }", "no direction for layer 0"),
          ("m:add{ dir = directions(m, { pos = { -2, -1 } }) }", "d:position(pos)"),
          ("m:add{ dir = { d:at(1), d:at(1).direction } }", "entry 2"),
          ("m:add{ dir = train.adapter{ model = m, rank = 2 } }", "m:attach(adapter)"),
          ("print(d + directions(m, { layers = 1 }))", "layer by layer"), ("print(d * d)", "scaled by a number"),
        ] { try expectFailure(script + call, names: part) }
      }
    }

    @Test func whatAControlVectorFileLeavesOutIsSaid() throws {
      try ScriptModels.tiny { models in
        let script = models + Self.start
        func notes(_ call: String) throws -> [String] {
          let (state, output) = try makeState()
          defer { state.close() }
          try state.execute(chunk: Array((script + call).utf8), name: "=test")
          return output.notes
        }
        let text = try notes("directions(m):save(folder .. '/d.gguf')").joined()
        #expect(text.contains("lacks the direction of layer 0:"), "\(text)")
        let pre = try notes("directions(m, { site = 'resid_pre' }):save(folder .. '/d.gguf')").joined()
        #expect(pre.contains("lacks the direction of layer 0 and 1:"), "\(pre)")
        #expect(try notes("directions(m, { layers = { 1, 2 } }):save(folder .. '/d.gguf')").isEmpty)
        try expectFailure(
          script + "directions(m, { layers = 0 }):save(folder .. '/d.gguf')", names: "begins at resid_post of layer 1")
      }
    }
  }
}
