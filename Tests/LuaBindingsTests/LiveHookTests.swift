import Testing

@testable import LuaBindings

extension LuaTests {
  /// Interventions and adapters that come and go while a run is on.
  @Suite struct LiveHooks {
    private static let start = """
      local ids = { 5, 9, 23, 40 }
      local v = tensor.randn(m.d_model, { seed = 2 })
      local function generate(settings)
        settings = settings or {}
        settings.tokens, settings.max_tokens, settings.ignore_eos = settings.tokens or ids, 6, true
        settings.capture = { site = "resid_post", layer = 1 }
        return m:generate(settings)
      end
      local function change(a, b)
        local rows = {}
        for i = 1, #a do rows[i] = a[i]:allclose(b[i], { atol = 1e-5 }) and "=" or "x" end
        return table.concat(rows)
      end
      local plain = generate().acts:at(1)

      """

    @Test func aHookMayRemoveItself() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            local calls, h = 0, nil
            h = m:hook{ layers = "all", fn = function(x) calls = calls + 1 h:remove() return x * 2 end }
            local other = m:add{ dir = v, layer = 3, coeff = 0 }
            m:run{ tokens = { ids, ids } }
            assert(calls == 1 and #m:hooks() == 1 and m:hooks()[1].kind == "add", calls)
            m:run{ tokens = ids }
            assert(calls == 1)
            -- By the list, and all at once.
            calls = 0
            other:remove()
            m:hook{ layer = 0, fn = function() calls = calls + 1 m:hooks()[1]:remove() end }
            m:run{ tokens = ids }
            m:hook{ layer = 0, fn = function() calls = calls + 1 m:remove_hooks() end }
            m:hook{ layer = 2, fn = function() calls = calls + 1 end }
            m:run{ tokens = ids }
            assert(calls == 2 and #m:hooks() == 0, calls)
            -- In a generation, at the third token.
            local seen = {}
            h = m:hook{ layer = 1, pos = "generated", fn = function(x, ctx)
              seen[#seen + 1] = ctx.positions[1]
              if #seen == 3 then h:remove() end
            end }
            generate()
            assert(#seen == 3 and seen[3] == #ids + 3)
            -- A scope that ends inside a function.
            h = m:hook{ layer = 1, fn = function()
              steer.with(m, function(s) s:add{ dir = v, layer = 2 } end)
              h:remove()
            end }
            m:run{ tokens = ids }
            assert(#m:hooks() == 0)
            """)
      }
    }

    @Test func theNextTokenTakesTheListAsItIs() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            -- Greedy text that does not change: the additions are small.
            local function at(token, fn)
              local n = 0
              return function()
                n = n + 1
                if n == token then fn() end
              end
            end
            local small = { dir = v, layer = 1, coeff = 1e-3 }
            -- Removed at the second token: rows 7 and on are free of it. Row 6 is the second new token's.
            local h = m:add(small)
            local c = generate{ on_token = at(2, function() h:remove() end) }
            local first = change(c.acts:at(1), plain)
            assert(first:sub(1, 5) == "xxxxx" and first:sub(6) == "====", first)
            assert(#m:hooks() == 0)
            -- Added at the second token: from then on, and not before.
            c = generate{ on_token = at(2, function() h = m:add(small) end) }
            assert(change(c.acts:at(1), plain) == "=====xxxx", change(c.acts:at(1), plain))
            assert(#m:hooks() == 1 and m:hooks()[1].fired == 4 and m:hooks()[1].rows == 4, m:hooks()[1].fired)
            h:remove()
            -- A function that registers: the pass under way keeps its list.
            m:hook{ layer = 0, pos = #ids + 2, fn = function() h = m:add(small) end }
            c = generate{}
            assert(change(c.acts:at(1), plain) == "======xxx", change(c.acts:at(1), plain))
            m:remove_hooks()
            -- Positions that have passed: said, and nothing happens.
            c = generate{ on_token = at(2, function() h = m:add{ dir = v, layer = 1, pos = 2 } end) }
            assert(change(c.acts:at(1), plain) == "=========" and m:hooks()[1].fired == 0)
            m:remove_hooks()
            -- Several sequences.
            c = generate{ tokens = { ids, { 7, 8, 9, 10 } }, on_token = at(4, function() h = m:add(small) end) }
            assert(change(c[1].acts:at(1), plain) == "=====xxxx", change(c[1].acts:at(1), plain))
            """)
        try expectFailure(
          models + Self.start + "generate{ on_token = function() m:add{ dir = v, layer = 1, pos = 99 } end }",
          names: "no sequence has position 99")
        try expectFailure(
          models + Self.start + "generate{ on_token = function() m:generate{ tokens = ids } end }",
          names: "on_token cannot run the model that calls it")
      }
    }

    @Test func handlesOfTheList() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            local a, b = m:add{ dir = v, layer = 1 }, m:ablate{ dir = v }
            local calls = 0
            local c = m:hook{ layer = 2, fn = function() calls = calls + 1 end }
            assert(#m:hooks() == 3)
            local entry = m:hooks()[2]
            assert(entry.kind == "ablate" and rawget(entry, "remove") == nil)
            entry:remove()
            entry:remove()
            b:remove()
            assert(#m:hooks() == 2 and m:hooks()[1].kind == "add" and m:hooks()[2].kind == "hook")
            m:hooks()[2]:remove()
            m:run{ tokens = ids }
            assert(calls == 0 and #m:hooks() == 1)
            c:remove()
            assert(m:remove_hooks() == 1 and m:remove_hooks() == 0 and #m:hooks() == 0)
            a:remove()
            -- Those that a scope made go too, and its end finds nothing to do.
            steer.with(m, function(s)
              s:add{ dir = v, layer = 1 }
              m:remove_hooks()
              assert(#m:hooks() == 0)
            end)
            -- What failed in a run is there, and can be removed.
            m:hook{ layer = 1, fn = function() error("broken") end }
            assert(not pcall(m.run, m, { tokens = ids }) and #m:hooks() == 1)
            m:hooks()[1]:remove()
            m:run{ tokens = ids }
            """)
        try expectFailure(
          models + "local h = m:add{ dir = tensor.ones(m.d_model), layer = 0 }\nh.remove(m:hooks())",
          names: "intervention")
      }
    }

    @Test func adaptersChangeBetweenTokensAndNotWithinOne() throws {
      try ScriptModels.tiny { models in
        let adapter =
          models + Self.start + """
            local a = train.adapter{ model = m, rank = 4, seed = 3 }
            a:save(folder .. "/a")
            local w = tensor.load(folder .. "/a/adapter_model.safetensors")
            for name, t in pairs(w) do if name:find("lora_B") then w[name] = tensor.randn(table.unpack(t:shape())) * 0.01 end end
            tensor.save(folder .. "/a/adapter_model.safetensors", w)
            a = train.load(folder .. "/a", m)

            """
        try printed(
          adapter + """
            local n = 0
            local c = generate{ on_token = function() n = n + 1 if n == 2 then m:attach(a) end end }
            assert(change(c.acts:at(1), plain):find("^=====xx"), change(c.acts:at(1), plain))
            assert(#m:adapters() == 1)
            m:detach()
            """)
        for call in ["m:attach(a)", "m:attach(a) m:detach()"] {
          try expectFailure(
            adapter + "m:hook{ layer = 1, fn = function() \(call) end } m:run{ tokens = ids }",
            names: "in the middle of a forward pass")
        }
        try expectFailure(
          adapter + "m:attach(a) m:hook{ layer = 1, fn = function() m:detach(a) end } m:run{ tokens = ids }",
          names: "in the middle of a forward pass")
      }
    }
  }
}
