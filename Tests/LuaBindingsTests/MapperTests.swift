import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Mapper {
    private static let fit = """
      local texts = tokens(40, 3)
      local function fit(method, more)
        local t = { from = m, to = other, from_layer = 1, to_layer = 1, texts = texts, align = "index", method = method, epochs = 4 }
        for key, value in pairs(more or {}) do t[key] = value end
        return mapper.fit(t)
      end

      """

    @Test func everyMethodGivesAMapWithAReport() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.fit + """
            for _, method in ipairs{ "autoencoder", "affine", "ridge" } do
              local map = fit(method)
              assert(map.method == method and map.from_layer == 1 and map.to_layer == 1 and map.align == "index")
              assert(map.d_from == m.d_model and map.d_to == other.d_model and map.from_hash == m.hash)
              local r = map.report
              for _, key in ipairs{ "mse", "fvu", "fvu_template", "cosine_centred", "cosine_last", "rows", "seconds" } do
                assert(type(r[key]) == "number", key)
              end
              assert(r.rows > 0 and r.training_rows > r.rows and #map.fvu_by_dimension == other.d_model)
              assert(map(tensor.zeros(3, m.d_model)):shape()[1] == 3 and #map(tensor.zeros(m.d_model)) == other.d_model)
              assert(map.hidden == (method == "autoencoder" and math.floor(math.sqrt(m.d_model * other.d_model)) or nil))
              map:save(folder .. "/" .. method)
              local again = mapper.load(folder .. "/" .. method, { from = m, to = other })
              local x = tensor.randn(4, m.d_model)
              assert(again(x):allclose(map(x), { atol = 0, rtol = 0 }) and again.report.rows == r.rows)
            end
            """)
        let saved = models + Self.fit + "local map = fit('ridge') map:save(folder .. '/map')\n"
        for (script, message) in [
          ("mapper.load(folder .. '/map', { from = other })", "with hash"),
          ("mapper.load(folder .. '/map', { to = m })", "its target is"), ("mapper.load(folder .. '/none')", "none"),
          ("map(tensor.zeros(3))", "takes [rows"), ("map(3)", "a tensor [rows"), ("fit('rigde')", "did you mean ridge"),
          ("fit('ridge', { holdout = 2 })", "from 0 to 1"), ("fit('ridge', { from_layer = 9 })", "layers 0 to"),
          ("fit('ridge', { from_texts = texts })", "not both"), ("fit('ridge', { epoch = 2 })", "did you mean epochs"),
        ] {
          try expectFailure(saved + script, names: message)
        }
      }
    }

    @Test func vectorsAreCarriedOver() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.fit + """
            local map = fit("affine")
            local v = steer.mean_difference(m, { positive = tokens(6, 1), negative = tokens(6, 2) }):at(1)

            """
        try printed(
          script + """
            local w = map:vector(v)
            assert(w.layer == 1 and w.site == "resid_post" and w.model_hash == other.hash and #w == other.d_model)
            assert(w.direction:allclose(map(v.means.positive) - map(v.means.negative), { atol = 1e-5 }))
            local direct = map:vector(v, { mode = "direct" })
            assert(direct.direction:allclose(map(v.direction) - map(tensor.zeros(m.d_model)), { atol = 1e-5 }))
            assert(math.abs(map:vector(v, { norm = 7 }).norm - 7) < 1e-4 and map:vector(v, { norm = "relative" }).norm > 0)
            """)
        for (step, message) in [
          ("map:vector(v + v)", "carries no means"), ("map:vector(v.direction)", "steer.from"),
          ("map:vector(steer.from(tensor.ones(m.d_model), { layer = 0 }), { mode = 'direct' })", "layer 1"),
          ("map:vector(v, { norm = 'realtive' })", "did you mean relative"), ("map(v)", "map:vector(v)"),
        ] {
          try expectFailure(script + step, names: message)
        }
      }
    }

    @Test func textNeedsATokenizer() throws {
      try ScriptModels.tiny { models in
        let head = models + "mapper.fit{ from = m, to = other, from_layer = 1, to_layer = 1, "
        try expectFailure(head + "texts = { 'one text', 'another' } }", names: "has no tokenizer")
        try expectFailure(head + "texts = tokens(4, 1) }", names: "align = \"index\"")
        try expectFailure(head + "from_texts = tokens(4, 1) }", names: "to_texts")
        try expectFailure(head + "from_texts = tokens(4, 1), to_texts = tokens(3, 1) }", names: "in pairs")
        try expectFailure(head + "}", names: "texts are missing")
      }
    }

    /// A layer replaced by the model's own rows changes nothing; by another model's mapped rows it does.
    @Test func mappedRowsReplaceALayer() throws {
      try ScriptModels.packaged { models in
        let models = models + "local other = model.load(gemma)\n"
        try printed(
          models + """
            local prompt = "The ferry left the island shortly after six."
            local clean = m:run{ prompt = prompt }.logits
            do
              local h <close> = m:replace{ layer = 12, with = { model = m, layer = 12 } }
              assert(m:run{ prompt = prompt }.logits:allclose(clean, { atol = 1e-3 }))
            end
            local texts = {}
            for i = 1, 12 do texts[i] = "Sentence number " .. i .. " speaks of ferries, bread and " .. 7 * i .. " small islands." end
            local map = mapper.fit{ from = other, to = m, from_layer = 9, to_layer = 15, texts = texts, method = "ridge" }
            for _, chat in ipairs{ false, true } do
              local h <close> = m:replace{ layer = 15, with = { model = other, layer = 9, map = map } }
              local logits = m:run{ prompt = prompt, chat = chat }.logits
              assert(m:hooks()[1].rows > 3 and m:hooks()[1].change > 0 and not logits:allclose(clean))
            end
            """)
        let narrow =
          models + "m:replace{ layer = 3, with = { model = other, layer = 9 } } m:run{ prompt = 'Hello there' }"
        try expectFailure(narrow, names: "map = mapper.fit{ from =, to =, ... } carries its activations over")
      }
    }
  }
}
