import Testing

@testable import LuaBindings

extension LuaTests {
  /// Interventions and captures of some heads, of each sequence, and at positions that a function names.
  @Suite struct Heads {
    private static let start = """
      local ids = { 5, 9, 23, 40, 7, 61 }
      local function acts(site, settings)
        local capture = { site = site, layer = 1 }
        for key, value in pairs(settings or {}) do capture[key] = value end
        return m:run{ tokens = ids, logits = "none", capture = capture }.acts:at(1)
      end
      local function same(a, b) assert(a:allclose(b, { atol = 1e-6 }), tostring(a) .. " is not " .. tostring(b)) end
      local counts = { q = m.n_heads, z = m.n_heads, k = m.n_kv_heads, v = m.n_kv_heads }

      """

    @Test func capturesTakeSomeHeadsInTheirOrder() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.start + """
            for site, n in pairs(counts) do
              local whole, some = acts(site), acts(site, { heads = { n - 1, 0 }, pos = { 4, 2 } })
              assert(some:shape()[1] == 2 and some:shape()[2] == 2 and some:shape()[3] == m.d_head)
              for i, p in ipairs{ 4, 2 } do
                same(some[i][1], whole[p][n]) same(some[i][2], whole[p][1])
              end
              assert(acts(site, { head = 0 }):shape()[2] == 1)
            end
            local whole, some = acts("pattern"), acts("pattern", { heads = { 2, 1 }, pos = { 5, 3 } })
            same(some[1][1], whole[3][5]) same(some[2][2], whole[2][3])
            assert(some:shape()[1] == 2)
            """)
      }
    }

    @Test func editsConcernTheirHeadsAlone() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.start + """
            local v = tensor.randn(m.d_head, { seed = 3 })
            -- Rows of the site under an edit of head `h`, and under a function that does the same by hand.
            local function check(site, h, make, by_hand)
              local plain = acts(site)
              local edit = make()
              local found = acts(site)
              assert(m:hooks()[1].rows == #ids, m:hooks()[1].rows)
              edit:remove()
              for row = 1, #ids do
                for head = 0, counts[site] - 1 do
                  local want = head == h and by_hand(plain[row][head + 1], row) or plain[row][head + 1]
                  assert(found[row][head + 1]:allclose(want, { atol = 1e-5 }), site .. " row " .. row .. " head " .. head)
                end
              end
            end

            """
        try printed(
          script + """
            for site, n in pairs(counts) do
              local h = n - 1
              local place = { site = site, layer = 1, head = h }
              local function with(t)
                for key, value in pairs(place) do t[key] = value end
                return t
              end
              check(site, h, function() return m:add(with{ dir = v, coeff = 2 }) end, function(x) return x + v * 2 end)
              check(site, h, function() return m:add(with{ dir = v, scale = "relative" }) end,
                function(x) return x + v * (x:norm() / v:norm()) end)
              check(site, h, function() return m:ablate(with{ dir = v }) end,
                function(x) local u = v / v:norm() return x - u * (x * u):sum() end)
              check(site, h, function() return m:mean_ablate(with{ mean = 0 }) end, function(x) return x * 0 end)
              check(site, h, function() return m:mean_ablate(with{ mean = v }) end, function() return v end)
              check(site, h, function() return m:hook(with{ fn = function(x)
                assert(x:shape()[2] == 1 and x:shape()[3] == m.d_head)
                return x * -1
              end }) end, function(x) return x * -1 end)
              local value = tensor.randn(#ids, 1, m.d_head, { seed = 8 })
              check(site, h, function() return m:patch(with{ value = value }) end, function(_, row) return value[row][1] end)
            end
            -- Several heads, each with its own direction; in a chosen order.
            local both = tensor.randn(2, m.d_head, { seed = 9 })
            local plain = acts("z")
            local h = m:add{ site = "z", layer = 1, heads = { 2, 0 }, dir = both, scale = "unit", pos = { 3 } }
            local found = acts("z")
            same(found[3][3], plain[3][3] + both[1] / both[1]:norm())
            same(found[3][1], plain[3][1] + both[2] / both[2]:norm())
            same(found[3][2], plain[3][2]) same(found[2], plain[2])
            h:remove()
            -- What was captured of heads goes back into heads, from another text.
            local mine = ids
            ids = { 8, 3, 61, 12, 44, 20 }
            local theirs, part = acts("z"), acts("z", { heads = { 3, 1 }, pos = { 6, 2 } })
            ids = mine
            h = m:patch{ site = "z", layer = 1, heads = { 3, 1 }, pos = { 6, 2 }, value = part }
            found = acts("z")
            same(found[6][4], theirs[6][4]) same(found[2][2], theirs[2][2]) same(found[6][1], plain[6][1])
            h:remove()
            h = m:mean_ablate{ site = "pattern", layer = 1, heads = { 1 }, mean = 0, pos = { 4, 2 } }
            found = acts("pattern")
            assert(found[2][4]:norm() == 0 and found[2][2]:norm() == 0 and found[2][3]:norm() > 0 and found[1][4]:norm() > 0)
            assert(acts("z")[4][2]:norm() == 0 and acts("z")[4][1]:norm() > 0)
            h:remove()
            -- Removing all heads' output is removing z.
            local all = {}
            for head = 0, m.n_heads - 1 do all[#all + 1] = head end
            h = m:mean_ablate{ site = "z", layer = 1, heads = all, mean = 0 }
            assert(acts("attn_out"):norm() < 1e-6)
            """)
        for (call, part) in [
          ("m:add{ site = 'z', layer = 1, head = 99, dir = v }", "head 99 is out of range: z has heads 0 to"),
          ("m:add{ site = 'v', layer = 1, head = m.n_heads - 1, dir = v }", "v has key-value heads 0 to"),
          ("m:add{ layer = 1, head = 0, dir = v }", "resid_post has no heads"),
          ("m:ablate{ head = 0, dir = v }", "has no heads"),
          ("m:add{ site = 'z', layer = 1, heads = { 1, 1 }, dir = v }", "listed twice"),
          ("m:add{ site = 'z', layer = 1, head = 1, heads = { 1 }, dir = v }", "head or heads, not both"),
          ("m:add{ site = 'z', layer = 1, head = 0, dir = tensor.ones(m.d_head + 1) }", "values per head"),
          ("m:patch{ site = 'z', layer = 1, head = 0, value = tensor.ones(2, 3) }", "takes [rows, 1, "),
          ("acts('resid_post', { head = 0 })", "resid_post has no heads"),
          ("acts('z', { head = 0, hads = 1 })", "did you mean head"),
          ("m:replace{ layer = 1, head = 0, with = tensor.ones(6, m.d_model) }", "unknown option 'head'"),
        ] { try expectFailure(script + call, names: part) }
      }
    }

    @Test func patchesTakeAValueForEachSequenceAndRuns() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.start + """
            local lists = { ids, { 8, 3, 61, 12 } }
            local function captured(pos)
              return m:run{ tokens = lists, capture = { site = "resid_post", layers = { 1, 2 }, pos = pos } }
            end

            """
        try printed(
          script + """
            local other = m:run{ tokens = { { 70, 71, 72, 73, 74, 75 }, { 80, 81, 82, 83 } },
              capture = { site = "resid_post", layers = { 1, 2 } } }
            -- Runs, their activations, or tensors; all positions, so that lengths differ.
            for _, value in ipairs{ other, { other[1].acts, other[2].acts }, { other[1].acts:at(1), other[2].acts:at(1) } } do
              local h <close> = m:patch{ layer = 1, value = value }
              local found = captured("all")
              for i = 1, 2 do same(found[i].acts:at(1), other[i].acts:at(1)) end
            end
            -- Each layer of a run goes to its own; one run serves all sequences.
            local h = m:patch{ layers = { 1, 2 }, value = other }
            for i = 1, 2 do same(captured("all")[i].acts:at(2), other[i].acts:at(2)) end
            h:remove()
            local last = m:run{ tokens = { 70, 71, 72 }, capture = { site = "resid_post", layers = { 1, 2 }, pos = -1 } }
            h = m:patch{ layer = 1, pos = -1, value = last }
            for i = 1, 2 do same(captured(-1)[i].acts:at(1), last.acts:at(1)) end
            h:remove()
            h = m:patch{ layer = 1, pos = { 3, 1 }, value = { tensor.stack{ last.acts:at(1)[1], last.acts:at(2)[1] }, tensor.ones(2, m.d_model) } }
            local found = captured{ 3, 1 }
            same(found[1].acts:at(1)[2], last.acts:at(2)[1]) same(found[2].acts:at(1), tensor.ones(2, m.d_model))
            """)
        for (call, part) in [
          ("m:patch{ layer = 1, value = { tensor.ones(6, m.d_model) } } captured('all')", "1 values were given"),
          (
            "m:patch{ layer = 1, value = { tensor.ones(6, m.d_model), tensor.ones(6, m.d_model) } } captured('all')",
            "selects 4 of sequence 2"
          ),
          ("m:patch{ layer = 3, value = captured('all') }", "captured layers are 1, 2"),
          ("m:patch{ layer = 1, site = 'z', value = captured('all')[1] }", "captured sites are resid_post"),
          ("m:patch{ layer = 1, value = m:run{ tokens = ids } }", "a run with captured activations"),
        ] { try expectFailure(script + call, names: part) }
      }
    }

    @Test func aFunctionNamesPositions() throws {
      try ScriptModels.tiny { models in
        let script = models + Self.start
        try printed(
          script + """
            local function after(id)
              return function(tokens)
                local list = {}
                for i, token in ipairs(tokens) do if token == id then list[#list + 1] = i + 1 end end
                return list[1] and list or -1
              end
            end
            local plain = acts("resid_post")
            same(acts("resid_post", { pos = after(23) })[1], plain[4])
            local lists = { { 5, 23, 8, 9 }, { 23, 4, 5, 6, 23, 7 }, { 1, 2, 3 } }
            local h = m:add{ dir = tensor.ones(m.d_model), layer = 1, pos = after(23) }
            collectgarbage()
            local before = {}
            for i, list in ipairs(lists) do before[i] = list end
            local found = m:run{ tokens = lists, capture = { site = "resid_post", layer = 1, pos = after(23) } }
            assert(m:hooks()[1].rows == 4 and m:hooks()[1].pos == "function")
            h:remove()
            local clean = m:run{ tokens = lists, capture = { site = "resid_post", layer = 1 } }
            same(found[1].acts:at(1)[1], clean[1].acts:at(1)[3] + 1)
            same(found[2].acts:at(1)[2], clean[2].acts:at(1)[6] + 1)
            same(found[3].acts:at(1)[1], clean[3].acts:at(1)[3] + 1)
            h = m:hook{ layer = 1, pos = function() return { from = 2, to = 3 } end, fn = function(x, ctx)
              assert(ctx.positions[1] == 2 and ctx.positions[2] == 3)
            end }
            m:run{ tokens = ids }
            assert(m:hooks()[1].fired == 1)
            m:remove_hooks()
            """)
        for (call, part) in [
          ("acts('z', { pos = function() return 'lst' end })", "did you mean last"),
          ("acts('z', { pos = function() return 99 end })", "no sequence has position"),
          ("acts('z', { pos = function() end })", "an integer, { from"),
          ("acts('z', { pos = function() error('mine') end })", "mine"),
          ("acts('z', { pos = function() return function() end end })", "may not answer with a function"),
          (
            "steer.mean_difference(m, { positive = tokens(1, 1), negative = tokens(1, 2), pos = function() return 1 end })",
            "for interventions and captures"
          ),
        ] { try expectFailure(script + call, names: part) }
      }
    }

    @Test func aKnockoutHidesTokensFromTokens() throws {
      try ScriptModels.tiny { models in
        for name in ["m", "other"] {
          let script = models + "m = \(name)\n" + Self.start
          try printed(
            script + """
              local plain = acts("pattern")
              local h = m:knockout{ layer = 1, heads = { 0, 2 }, from = { 6, 4 }, to = { 2, 3 } }
              local found = acts("pattern")
              assert(m:hooks()[1].kind == "knockout" and m:hooks()[1].rows == 2)
              for head = 1, m.n_heads do
                for row = 1, #ids do
                  local hit = (head == 1 or head == 3) and (row == 6 or row == 4)
                  -- The rest is as it was, scaled to sum to one.
                  local kept = 0
                  for column = 1, row do if not (hit and (column == 2 or column == 3)) then kept = kept + plain[head][row][column] end end
                  for column = 1, row do
                    local want = hit and (column == 2 or column == 3) and 0 or plain[head][row][column] / kept
                    assert(math.abs(found[head][row][column] - want) < 1e-5, head .. " " .. row .. " " .. column)
                  end
                end
              end
              h:remove()
              -- What the last token cannot see in any layer does not reach it.
              local function last(list) return m:run{ tokens = list }.logits end
              h = m:knockout{ from = { from = 3 }, to = 2 }
              local a, b = last{ 5, 9, 23, 40 }, last{ 5, 77, 23, 40 }
              assert(a:allclose(b, { atol = 1e-5 }))
              h:remove()
              assert(not last{ 5, 9, 23, 40 }:allclose(last{ 5, 77, 23, 40 }, { atol = 1e-3 }))
              -- With a cache, on new tokens too.
              h = m:knockout{ from = "generated", to = 2 }
              local c = m:generate{ tokens = ids, max_tokens = 5, ignore_eos = true, capture = { site = "pattern", layer = 1 } }
              local p = c.acts:at(1)
              assert(p[1][8][2] == 0 and p[1][8][1] > 0 and p[1][6][2] > 0)
              """)
        }
        for (call, part) in [
          ("m:knockout{ layer = 1, from = 2, to = { 1, 2 } } acts('z')", "leaves position 2 of sequence 1 nothing"),
          ("m:knockout{ layer = 1, from = 2 }", "option 'to' is missing"),
          ("m:knockout{ layer = 1, from = 2, to = 1, head = 99 }", "attn_scores has heads 0 to"),
          ("m:knockout{ layer = 1, from = 2, to = 99 } acts('z')", "no sequence has position 99"),
        ] { try expectFailure(models + Self.start + call, names: part) }
      }
    }
  }
}
