import Testing

@testable import LuaBindings

extension LuaTests {
  /// Edits do what their help says, at every site that takes them.
  @Suite struct Edits {
    private static let start = """
      local ids = { 5, 9, 23, 40, 7 }
      local function rows(site, layer)
        return m:run{ tokens = ids, logits = "none", capture = { site = site or "resid_post", layer = layer or 1 } }.acts:at(layer or 1)
      end
      local function same(a, b) assert(a:allclose(b, { atol = 1e-6 }), tostring(a) .. " is not " .. tostring(b)) end

      """

    @Test func replacingByATensorLeavesTokenOne() throws {
      try ScriptModels.tiny { models in
        let script = models + Self.start
        try printed(
          script + """
            local plain, t = rows(), tensor.randn(#ids, m.d_model, { seed = 4 })
            local h = m:replace{ layer = 1, with = t }
            local found = rows()
            same(found[1], plain[1])
            for i = 2, #ids do same(found[i], t[i]) end
            assert(m:hooks()[1].rows == #ids - 1)
            h:remove()
            local rest = {}
            for i = 2, #ids do rest[#rest + 1] = t[i] end
            h = m:replace{ layer = 1, with = tensor.stack(rest) }
            same(rows(), found)
            -- New tokens stay as they are, and heads keep their shape.
            local c = m:generate{ tokens = ids, max_tokens = 3, ignore_eos = true, capture = { site = "resid_post", layer = 1 } }
            same(c.acts:at(1)[2], t[2])
            assert(m:hooks()[1].rows == #ids - 1)
            h:remove()
            local z = rows("z")
            h = m:replace{ layer = 1, site = "z", with = z * 2 }
            same(rows("z")[2], z[2] * 2) same(rows("z")[1], z[1])
            """)
        try expectFailure(
          script + "m:replace{ layer = 1, with = tensor.ones(3, m.d_model) } rows()", names: "but token 1, which stays")
        try expectFailure(script + "m:replace{ layer = 1, with = tensor.ones(3, 5) }", names: "takes [rows, ")
      }
    }

    @Test func patternsAndScoresAreEdited() throws {
      try ScriptModels.tiny { models in
        for name in ["m", "other"] {  // gemma3 has sliding windows
          let script = models + "m = \(name)\n" + Self.start
          try printed(
            script + """
              local plain = m:run{ tokens = ids, logits = "all" }.logits
              -- No attention, no weighted values.
              local h = m:mean_ablate{ layer = 1, site = "pattern", mean = 0 }
              assert(rows("pattern"):norm() == 0 and rows("z"):norm() == 0 and m:hooks()[1].rows == #ids)
              h:remove()
              h = m:mean_ablate{ layer = 1, site = "pattern", mean = 0, pos = { 4, 2 } }
              local z = rows("z")
              assert(z[4]:norm() == 0 and z[2]:norm() == 0 and z[3]:norm() > 0 and z[1]:norm() > 0)
              h:remove()
              -- Equal scores attend equally to all that a row sees, and to nothing after it.
              h = m:mean_ablate{ layer = 1, site = "attn_scores", mean = 3 }
              local p = rows("pattern")
              for row = 1, 3 do
                for column = 1, #ids do
                  assert(math.abs(p[1][row][column] - (column <= row and 1 / row or 0)) < 1e-6, row .. " " .. column)
                end
              end
              h:remove()
              -- Another run's pattern; its own changes nothing.
              for _, site in ipairs{ "pattern", "attn_scores" } do
                h = m:patch{ layer = 1, site = site, value = rows(site) }
                assert(m:run{ tokens = ids, logits = "all" }.logits:allclose(plain, { atol = 1e-4 }))
                h:remove()
              end
              local mine = ids
              ids = { 8, 3, 61, 12, 44 }
              local theirs = rows("pattern")
              local last = m:run{ tokens = ids, capture = { site = "pattern", layer = 1, pos = { 5, 3 } } }.acts:at(1)
              ids = mine
              h = m:patch{ layer = 1, site = "pattern", pos = { 5, 3 }, value = last }
              local found, own = rows("pattern"), nil
              h:remove()
              own = rows("pattern")
              same(found[1][5], theirs[1][5]) same(found[2][3], theirs[2][3]) same(found[1][4], own[1][4])
              """)
          for (call, part) in [
            ("m:mean_ablate{ layer = 1, site = 'pattern', mean = tensor.ones(5) }", "takes one number"),
            ("m:add{ layer = 1, site = 'pattern', dir = tensor.ones(5) }", "cannot edit pattern"),
            ("m:ablate{ layer = 1, site = 'attn_scores', dir = tensor.ones(5) }", "cannot edit attn_scores"),
            ("m:replace{ layer = 1, site = 'pattern', with = tensor.ones(5, 5) }", "takes [rows"),
            ("m:replace{ layer = 1, site = 'pattern', with = { model = m, layer = 1 } }", "cannot edit pattern"),
            ("m:patch{ layer = 1, site = 'pattern', value = tensor.ones(5, 5) }", "takes [heads ="),
            ("m:patch{ layer = 1, site = 'pattern', value = tensor.ones(m.n_heads, 4, 5) } rows()", "selects 5"),
            (
              "m:patch{ layer = 1, site = 'pattern', pos = -1, value = tensor.ones(m.n_heads, 1, 9) } rows()",
              "fits texts of its own length"
            ),
          ] { try expectFailure(script + call, names: part) }
        }
        try ScriptModels.packaged { models in
          try expectFailure(
            models + "m:mean_ablate{ layer = 1, site = 'pattern', prompts = { 'a b', 'c d' } }",
            names: "takes mean = a number")
        }
      }
    }

    @Test func everySiteThatTakesAnEditChanges() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            local plain = m:run{ tokens = ids }.logits
            local widths = { embed = m.d_model, final_norm = m.d_model, q = m.n_heads * m.d_head, z = m.n_heads * m.d_head,
              k = m.n_kv_heads * m.d_head, v = m.n_kv_heads * m.d_head, mlp_pre = m.d_mlp, mlp_up = m.d_mlp, mlp_post = m.d_mlp }
            for _, site in ipairs{ "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "q", "k", "v", "z", "mlp_pre",
              "mlp_up", "mlp_post", "embed", "final_norm" } do
              local width, layer = widths[site] or m.d_model, site ~= "embed" and site ~= "final_norm" and 1 or nil
              local t = tensor.randn(width, { seed = 6 })
              local value = tensor.randn(#ids, width, { seed = 7 })
              for i, make in ipairs{
                function() return m:add{ site = site, layer = layer, dir = t, coeff = 0.5, scale = "relative" } end,
                function() return m:ablate{ site = site, layers = layer, dir = t } end,
                function() return m:mean_ablate{ site = site, layer = layer, mean = t } end,
                function() return m:mean_ablate{ site = site, layer = layer, mean = 0.5 } end,
                function() return m:patch{ site = site, layer = layer, value = value } end,
                function() return m:replace{ site = site, layer = layer, with = value } end,
                function() return m:hook{ site = site, layer = layer, fn = function(x) return x * 3 end } end,
              } do
                local h <close> = make()
                assert(not m:run{ tokens = ids }.logits:allclose(plain, { atol = 1e-6 }), site .. ": edit " .. i)
                assert(m:hooks()[1].fired == 1 and m:hooks()[1].change > 0, site .. ": edit " .. i)
              end
            end
            """)
      }
    }

    @Test func meansOfSeveralLayersAreTakenAtEach() throws {
      try ScriptModels.packaged { models in
        try printed(
          models + """
            local prompts = { "Some text.", "Another one." }
            local h = m:mean_ablate{ layers = { 4, 7 }, site = "mlp_out", prompts = prompts }
            local capture = { site = "mlp_out", layers = { 4, 7 } }
            local both = m:run{ prompt = "Hello there", capture = capture }.acts
            assert(#m:hooks() == 1)
            h:remove()
            local sum, n = nil, 0
            for _, prompt in ipairs(prompts) do
              local acts = m:run{ prompt = prompt, capture = capture }.acts:at(4)
              for i = 2, acts:shape()[1] do
                sum, n = sum and sum + acts[i] or acts[i], n + 1
              end
            end
            assert(both:at(4)[2]:allclose(sum / n, { atol = 1e-4 * sum:norm() }))
            assert(both:at(7)[1]:allclose(both:at(7)[2]) and not both:at(7)[1]:allclose(both:at(4)[1]))
            """)
      }
    }
  }
}
