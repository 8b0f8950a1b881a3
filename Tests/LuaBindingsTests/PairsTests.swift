import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Pairs {
    private static let pairs = """
      local P = mapper.pairs{ from = m, to = other, from_layers = { 0, 1 }, to_layer = 1, texts = tokens(40, 3), align = "index" }

      """

    @Test func oneCaptureGivesManyFits() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.pairs + """
            assert(#P > 100 and P.texts == 40 and P.from_layers[2] == 1 and P.d_to == other.d_model and P.coverage > 0.9)
            local whole = mapper.fit{ from = m, to = other, from_layer = 1, to_layer = 1, texts = tokens(40, 3), align = "index", method = "ridge" }
            local x, y = tensor.randn(4, m.d_model, { seed = 1 }), tensor.randn(4, other.d_model, { seed = 1 })
            assert(P:fit{ from_layer = 1, method = "ridge" }(x):allclose(whole(x), { atol = 5e-3, rtol = 5e-3 }))
            local back = P:fit{ from_layer = 0, direction = "backward", method = "procrustes" }
            assert(back.from_model == other.name and back.to_layer == 0 and back(y):shape()[2] == m.d_model)
            for _, method in ipairs{ "ridge", "affine", "procrustes", "low_rank", "shuffled" } do
              local map = P:fit{ from_layer = 0, method = method, epochs = 2, rank = method == "low_rank" and 2 or nil }
              assert(map.method == method and map.weight:shape()[1] == other.d_model and #map.bias == other.d_model)
              assert(map(x):allclose(x:matmul(map.weight:transpose()) + map.bias, { atol = 1e-3, rtol = 1e-3 }))
              map:save(folder .. "/" .. method)
              local again = mapper.load(folder .. "/" .. method, { from = m, to = other })
              assert(again(x):allclose(map(x), { atol = 0, rtol = 0 }) and again.method == method)
              assert(not pcall(mapper.load, folder .. "/" .. method, { from = other }))
            end
            local own = mapper.pairs{ from = m, to = m, from_layer = 0, to_layer = 1, texts = tokens(40, 3), align = "index" }
            local z = tensor.randn(3, m.d_model)
            assert(own:fit{ method = "identity" }(z):allclose(z) and own.x:shape()[1] == #own and own.y:shape()[2] == m.d_model)
            local shift = own:fit{ method = "mean_shift", holdout = 0 }
            assert(shift.bias:allclose(own.y:mean(1) - own.x:mean(1), { atol = 1e-4 }))
            """)
      }
    }

    @Test func rowsSayWhatTheyAre() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.pairs + """
            local texts = tokens(40, 3)
            local r = P:rows{ from_layer = 1 }
            assert(#r.text == #P and #r.from_pos == #P and r.x:shape()[1] == #P and r.y:shape()[2] == other.d_model)
            local acts = m:run{ tokens = texts[7], capture = { site = "resid_post", layers = 1 } }.acts:at(1)
            local seen = 0
            for i, text in ipairs(r.text) do
              if text == 7 then
                seen = seen + 1
                assert(r.x[i]:allclose(acts[r.from_pos[i]], { atol = 1e-4, rtol = 1e-3 }))
              end
            end
            assert(seen == #texts[7] - 1)
            local last = P:rows{ from_layer = 1, rows = "last", texts = { 7, 9 } }
            assert(#last.text == 2 and last.text[2] == 9 and last.from_pos[1] == #texts[7])
            local map = P:fit{ from_layer = 1, method = "ridge", rows = "last", lambda = 1 }
            assert(map.fitted_to == "last" and map.report.rows + map.report.training_rows == 40)
            assert(P:fit{ from_layer = 1, method = "ridge" }.fitted_to == nil)
            """)
        for (script, message) in [
          ("print(P.x)", "P:rows{ from_layer ="), ("P:fit{ method = 'ridge' }", "Give from_layer = one of 0, 1"),
          ("P:fit{ from_layer = 5 }", "was not captured"),
          ("P:fit{ from_layer = 1, rows = 'lsat' }", "did you mean last"),
          ("P:fit{ from_layer = 1, texts = { 41 } }", "texts 1 to 40"),
          ("P:rows{ from_layer = 1, rows = { 0 } }", "at least 1"),
          ("P:fit{ from_layer = 1, method = 'ridge', rank = 3 }", "belongs to method \"low_rank\""),
          ("P:fit{ from_layer = 1, epochs = 'convrege' }", "did you mean converge"),
          ("P:fit{ from_layer = 1, max_epochs = 9 }", "epochs = \"converge\""),
          ("print(P:fit{ from_layer = 1, epochs = 1 }.weight)", "decoder.bias"),
          (
            "mapper.pairs{ from = m, to = m, from_layer = 0, texts = tokens(3, 1), align = 'index' }",
            "'to_layer', 'to_layers'"
          ),
        ] {
          try expectFailure(models + Self.pairs + script, names: message)
        }
      }
    }

    @Test func trainingSaysWhetherItConverged() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.pairs + """
            local fixed = P:fit{ from_layer = 1, method = "affine", epochs = 3 }.report
            assert(#fixed.curve == 3 and fixed.converged == nil and fixed.curve[3].held_out and fixed.curve[1].lr == 1e-3)
            local map = P:fit{ from_layer = 1, method = "affine", epochs = "converge", patience = 3, max_epochs = 400 }
            local r = map.report
            assert(r.converged == true and #r.curve < 400 and r.curve[1].validation and r.best_epoch <= #r.curve)
            assert(P:fit{ from_layer = 1, patience = 30, max_epochs = 5 }.report.converged == false)
            map:save(folder .. "/map")
            local again = mapper.load(folder .. "/map").report
            assert(again.converged == true and #again.curve == #r.curve and again.curve[2].loss == r.curve[2].loss)
            """)
      }
    }

    /// Every turn of a conversation is paired, whether the templates are applied here or beforehand.
    @Test func conversationsArePairedTurnByTurn() throws {
      try ScriptModels.packaged { models in
        try printed(
          models + """
            local g = model.load(gemma)
            local talk = {
              { role = "user", content = "Name the longest fjord of Norway, please." }, { role = "assistant", content = "Sognefjord" },
              { role = "user", content = "OK" }, { role = "assistant", content = "Anything else?" }, { role = "user", content = "No" },
            }
            local short = { { role = "user", content = "Hello there" }, { role = "assistant", content = "Hello there" } }
            local function pairs_of(options)
              options.from, options.to, options.from_layer, options.to_layer = m, g, 10, 8
              return mapper.pairs(options)
            end
            local P = pairs_of{ conversations = { talk, short } }
            local r = P:rows{ texts = { 1 } }
            local text, ids = "", g:tokens(g:chat(talk))
            for i, pos in ipairs(r.to_pos) do
              if not r.template[i] then text = text .. g:decode{ ids[pos] } end
            end
            assert(text == "Name the longest fjord of Norway, please.SognefjordOKAnything else?No", text)
            assert(P.chat and P.coverage > 0.8 and r.to_pos[#r.to_pos] == #ids)
            local by_hand = pairs_of{
              from_texts = { m:chat(talk), m:chat(short, { generation_prompt = false }) },
              to_texts = { g:chat(talk), g:chat(short, { generation_prompt = false }) },
            }
            local s = by_hand:rows{ texts = { 1 } }
            assert(#by_hand == #P and #s.to_pos == #r.to_pos)
            for i = 1, #r.to_pos do
              assert(s.to_pos[i] == r.to_pos[i] and s.from_pos[i] == r.from_pos[i] and s.template[i] == r.template[i], i)
            end
            """)
        for (script, message) in [
          ("conversations = { { { role = 'system', content = 'x' } } }", "entry 1"),
          ("conversations = { 'text' }", "a list of { role =, content = }"),
          ("texts = { { { role = 'user', content = 'x' } } }", "conversations ="),
          ("conversations = { { { role = 'user', content = 'x' } } }, chat = false", "chat = false takes texts"),
          ("from_texts = { 'good morning' }, to_texts = { 'bonjour' }", "share no content"),
        ] {
          try expectFailure(
            models
              + "local g = model.load(gemma) mapper.pairs{ from = m, to = g, from_layer = 3, to_layer = 3, \(script) }",
            names: message)
        }
      }
    }
  }
}
