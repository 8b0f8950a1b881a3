import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  /// Where interventions and captures act: order, repeats, texts that grow.
  @Suite struct Positions {
    private static let all = """
      local ids = { 5, 9, 23, 40, 7, 61, 12, 33 }
      local function rows(pos, site, layer)
        return m:run{ tokens = ids, logits = "none",
          capture = { site = site or "resid_post", layers = layer or 1, pos = pos } }.acts:at(layer or 1)
      end
      local function same(a, b) assert(a:allclose(b, { atol = 0, rtol = 0 }), tostring(a) .. " is not " .. tostring(b)) end

      """

    @Test func aTextThatHasNoTokenToScoreIsSaid() throws {
      try ScriptModels.packaged { models in
        let (state, output) = try makeState()
        defer { state.close() }
        try state.execute(
          chunk: Array(
            (models + """
              local one = m:nll{ texts = { "a", "The sky is blue." } }
              assert(one.per_text[1] ~= one.per_text[1] and one.mean == one.per_text[2])
              local text = { "Hello <|im_end|> there" }
              assert(m:nll{ texts = text, chat = true, special = false }.tokens > m:nll{ texts = text, chat = true }.tokens)
              local kept = m:reference{ texts = text }
              assert(m:kl{ reference = kept }.mean == 0 and not pcall(m.kl, m, { reference = kept, texts = text }))
              """).utf8), name: "=test")
        #expect(output.notes.contains { $0.contains("1 of 2 texts have no token to score") })
      }
    }

    @Test func aPositionOfAListThatNoSequenceHasIsRefused() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + """
            local capture = { site = "resid_post", layers = 1, pos = { 1, -9 } }
            local ok, e = pcall(m.run, m, { tokens = { 1, 2 }, capture = capture })
            assert(not ok and tostring(e):find("no sequence has position -9", 1, true), tostring(e))
            local r = m:run{ tokens = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { 1, 2 } }, capture = { site = "resid_post", layers = 1, pos = { -9, 9 } } }
            assert(r[1].acts:at(1):shape()[1] == 2 and r[2] ~= nil)
            for _, list in ipairs{ { [0] = 5, 1, 2 }, { 1, 2, x = 3 }, { { 1, 2, y = 1 } } } do
              assert(not pcall(tensor.from, list))
            end
            assert(#tensor.from(table.pack(1, 2, 3)) == 3 and #m:run{ tokens = table.pack(1, 2, 3) }.tokens == 3)
            assert(not pcall(data.split, { [0] = "z", "a", "b" }, { 0.5, 0.5 }, 0))
            """)
      }
    }

    @Test func aCaptureHasItsRowsInTheOrderOfTheList() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.all + """
            for _, site in ipairs{ "resid_post", "z", "mlp_pre", "v" } do
              local whole = rows("all", site)
              for _, pos in ipairs{ { 6, 3 }, { -1, 2 }, { 3, 3 }, { 4, 5, 6, 2, 3, 4 }, { 8, 7, 6 }, { -2, 7, -8 } } do
                local found = rows(pos, site)
                assert(found:shape()[1] == #pos)
                for i, p in ipairs(pos) do same(found[i], whole[p > 0 and p or #ids + 1 + p]) end
              end
            end
            local pattern, found = rows("all", "pattern"), rows({ 6, 3, 6 }, "pattern")
            for head = 1, m.n_heads do
              for i, p in ipairs{ 6, 3, 6 } do same(found[head][i], pattern[head][p]) end
            end
            -- In a batch each sequence counts for itself, and one that lacks an entry has the others.
            local batch = m:run{ tokens = { ids, { 8, 3, 6, 4 } }, logits = "none",
              capture = { site = "resid_post", layers = 1, pos = { -1, 6, 2 } } }
            same(batch[1].acts:at(1)[1], rows(8)[1])
            same(batch[1].acts:at(1)[2], rows(6)[1])
            same(batch[1].acts:at(1)[3], rows(2)[1])
            assert(batch[2].acts:at(1):shape()[1] == 2)
            ids = { 8, 3, 6, 4 }
            same(batch[2].acts:at(1)[1], rows(4)[1])
            same(batch[2].acts:at(1)[2], rows(2)[1])
            """)
      }
    }

    @Test func aPatchTakesItsRowsInTheOrderOfTheList() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.all + """
            local a, b = tensor.ones(m.d_model) * 3, tensor.ones(m.d_model) * -2
            local function patched(pos, value)
              local h <close> = m:patch{ layer = 1, pos = pos, value = value }
              return rows("all")
            end

            """
        try printed(
          script + """
            local plain = rows("all")
            local found = patched({ 6, 3 }, tensor.stack{ a, b })
            same(found[6], a) same(found[3], b) same(found[5], plain[5])
            found = patched({ -1, 2 }, tensor.stack{ a, b })
            same(found[8], a) same(found[2], b)
            found = patched({ 4, 2, 3 }, tensor.stack{ a, b, a })
            same(found[4], a) same(found[2], b) same(found[3], a)
            -- Twice the same row at one position is no contradiction.
            same(patched({ 3, 6, -3 }, tensor.stack{ b, a, a })[6], a)
            -- Another run's rows in another order: the rows change places.
            found = patched({ 6, 3 }, rows({ 3, 6 }))
            same(found[6], plain[3]) same(found[3], plain[6])
            """)
        for (call, part) in [
          ("patched({ 6, 6 }, tensor.stack{ a, b })", "position 6 of sequence 1 is listed twice"),
          ("patched({ 6, -3 }, tensor.stack{ a, b })", "rows (1 and 2 of the value)"),
          ("patched({ 6, 9 }, tensor.stack{ a, b })", "selects 1 of sequence 1"),
        ] { try expectFailure(script + call, names: part) }
      }
    }

    @Test func editsActOncePerEntry() throws {
      try ScriptModels.tiny { models in
        let script =
          models + Self.all + """
            local v = tensor.randn(m.d_model, { seed = 2 })
            local function with(make)
              local h <close> = make()
              return rows("all"), m:hooks()[1]
            end

            """
        try printed(
          script + """
            local twice, report = with(function() return m:add{ dir = v, layer = 1, pos = { 6, 3, 6 } } end)
            assert(report.rows == 3 and report.pos == "{6, 3, 6}", report.pos)
            local once = with(function() return m:add{ dir = v, layer = 1, pos = { 3, 6 } } end)
            local double = with(function() return m:add{ dir = v, layer = 1, pos = 6, coeff = 2 } end)
            assert(twice[6]:allclose(double[6], { atol = 1e-5 }))
            same(twice[3], once[3])
            -- Ablating again takes away what is no longer there.
            local a = with(function() return m:ablate{ dir = v, layer = 1, site = "resid_post", pos = { 5, 5, 2 } } end)
            local b = with(function() return m:ablate{ dir = v, layer = 1, site = "resid_post", pos = { 2, 5 } } end)
            assert(a:allclose(b, { atol = 1e-5 }))
            -- A function sees rows and positions in the list's order.
            local seen, order
            local c = with(function()
              return m:hook{ layer = 1, pos = { 6, 3, 6 }, fn = function(x, ctx)
                seen, order = x:clone(), ctx.positions
                return x * 2
              end }
            end)
            local plain = rows("all")
            same(seen[1], plain[6]) same(seen[2], plain[3]) same(seen[3], plain[6])
            assert(order[1] == 6 and order[2] == 3 and order[3] == 6)
            same(c[6], plain[6] * 2) same(c[3], plain[3] * 2)
            """)
        try expectFailure(
          script + """
            m:hook{ layer = 1, pos = { 6, 3, 6 }, fn = function(x) return tensor.randn(3, m.d_model) end }
            rows("all")
            """, names: "different rows (1 and 3) for position 6")
      }
    }

    /// Prompt and new tokens of one list come at different times.
    @Test func listsReachAcrossThePromptsEnd() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.all + """
            local function generate(settings)
              settings.tokens, settings.max_tokens, settings.ignore_eos = settings.tokens or ids, 6, true
              return m:generate(settings)
            end
            local whole = generate{ capture = { site = "resid_post", layers = 1 } }.acts:at(1)
            assert(whole:shape()[1] == #ids + 5)
            local some = generate{ capture = { site = "resid_post", layers = 1, pos = { 11, 3, 10, -1, 11 } } }.acts:at(1)
            for i, p in ipairs{ 11, 3, 10, 8, 11 } do assert(some[i]:allclose(whole[p], { atol = 1e-5 }), i) end
            local matrix = generate{ capture = { site = "pattern", layers = 1, pos = { 10, 2 } } }.acts:at(1)
            assert(matrix:shape()[2] == 2 and matrix:shape()[3] == 10 and matrix[1][2][2] > 0 and matrix[1][2][3] == 0)
            local a, b = tensor.ones(m.d_model) * 3, tensor.ones(m.d_model) * -2
            local h = m:patch{ layer = 1, pos = { 10, 2 }, value = tensor.stack{ a, b } }
            local patched = generate{ capture = { site = "resid_post", layers = 1 } }.acts:at(1)
            same(patched[10], a) same(patched[2], b)
            h:remove()
            -- One value for a token to come.
            h = m:patch{ layer = 1, pos = 12, value = a }
            same(generate{ capture = { site = "resid_post", layers = 1 } }.acts:at(1)[12], a)
            -- A batch does as its sequences alone.
            h:remove()
            local capture = { site = "resid_post", layers = 1, pos = { 9, 1, -1 } }
            local lists = { ids, { 8, 3, 6, 4, 11 } }
            local batch = generate{ tokens = lists, capture = capture }
            for i = 1, 2 do
              local one = generate{ tokens = lists[i], capture = capture }
              assert(batch[i].acts:at(1):allclose(one.acts:at(1), { atol = 1e-5 }))
            end
            """)
      }
    }

    @Test func differencesAndGradientsKeepTheOrder() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + Self.all + """
            local d = steer.mean_difference(m, { positive = tokens(3, 1), negative = tokens(3, 2), layer = 1, pos = { -1, 2, -2 } })
            assert(d.positions[1] == -1 and d.positions[2] == 2 and d.positions[3] == -2)
            for _, p in ipairs{ -1, 2, -2 } do
              local e = steer.mean_difference(m, { positive = tokens(3, 1), negative = tokens(3, 2), layers = 1, pos = p })
              assert(d:at(1, p).direction:allclose(e:at(1).direction, { atol = 1e-5 }))
            end
            local function gradients(pos)
              return train.gradients{ model = m, tokens = ids, capture_gradients = { site = "resid_post", layer = 1, pos = pos } }
                .acts:at(1)
            end
            local whole, some = gradients("all"), gradients{ 5, 2, 5 }
            same(some[1], whole[5]) same(some[2], whole[2]) same(some[3], whole[5])
            """)
      }
    }

    /// `{ match = }` while tokens are generated: the kept activations are those of one run over the whole text.
    @Test func aMatchGrowsWithTheText() throws {
      try ScriptModels.packaged { models in
        try printed(
          models + """
            local prompt = "Count: one, two, three,"
            local v = tensor.randn(m.d_model, { seed = 5 })
            local plain = m:generate{ prompt = prompt, max_tokens = 10, ignore_eos = true }
            assert(plain.text:find("four, five"), plain.text)
            local sites = { site = "resid_post", layers = { 3, 12, 29 } }
            -- In new tokens alone, over the prompt's end, over several tokens, in both, a token's part, and nowhere.
            for i, text in ipairs{ "four, five", "three, four", ", ", "two", "iv", "three, four, fi" } do
              local fired = 0
              local add = m:add{ dir = v, layer = 3, coeff = 0.02, scale = "relative", pos = { match = text } }
              local count = m:hook{ layer = 20, pos = { match = text }, fn = function(x, ctx) fired = fired + #ctx.positions end }
              local c = m:generate{ prompt = prompt, max_tokens = 10, ignore_eos = true, capture = sites }
              local ids = m:tokens(prompt)
              for j = 1, #c.tokens - 1 do ids[#ids + 1] = c.tokens[j] end
              local whole = m:run{ tokens = ids, capture = sites }
              for _, layer in ipairs{ 3, 12, 29 } do
                local a, b = c.acts:at(layer), whole.acts:at(layer)
                assert(a:shape()[1] == #ids and a:allclose(b, { atol = 2e-3 * b:norm() / #ids }), text .. " at " .. layer)
              end
              assert(m:top_tokens(whole.logits, 1)[1].id == c.tokens[#c.tokens] and fired > 0)
              add:remove() count:remove()
              -- The same with rows of the match itself captured, and every step against a run without a cache.
              local h = m:add{ dir = v, layer = 3, coeff = 0.05, scale = "relative", pos = { match = text } }
              local own = m:generate{ prompt = prompt, max_tokens = 8, ignore_eos = true,
                capture = { site = "resid_post", layer = 12, pos = { match = text } } }
              ids = m:tokens(prompt)
              for j, id in ipairs(own.tokens) do
                local ok, r = pcall(m.run, m, { tokens = ids, capture = { site = "resid_post", layer = 12, pos = { match = text } } })
                if not ok then
                  assert(tostring(r):find("no sequence has position"), tostring(r))
                  h:remove()
                  r = m:run{ tokens = ids }
                  h = nil
                end
                assert(m:top_tokens(r.logits, 1)[1].id == id, text .. " at token " .. j)
                if j == #own.tokens then
                  assert(own.acts:at(12):allclose(r.acts:at(12), { atol = 2e-3 * r.acts:at(12):norm() }))
                end
                ids[#ids + 1] = id
                h = h or m:add{ dir = v, layer = 3, coeff = 0.05, scale = "relative", pos = { match = text } }
              end
              m:remove_hooks()
            end
            -- What never comes is reported, not refused: it might have come.
            local h = m:add{ dir = v, layer = 3, pos = { match = "seventeen" } }
            local c = m:generate{ prompt = prompt, max_tokens = 3 }
            assert(#c.tokens == 3 and m:hooks()[1].fired == 0)
            h:remove()
            """)
        try expectFailure(
          models + """
            m:add{ dir = tensor.ones(m.d_model), layer = 3, strict = true, pos = { match = "seventeen" } }
            m:generate{ prompt = "Count: one, two, three,", max_tokens = 3 }
            """, names: "fired zero times")
      }
    }

    /// Each sequence of a batch grows for itself.
    @Test func matchesInABatchAreThoseOfSingleRuns() throws {
      try ScriptModels.packaged { models in
        try printed(
          models + """
            local prompts = { "Count: one, two, three,", "Say: a, b, c,", "Days: Monday, Tuesday, Wednesday," }
            m:add{ dir = tensor.randn(m.d_model, { seed = 5 }), layer = 3, coeff = 0.05, scale = "relative", pos = { match = ", " } }
            local capture = { site = "resid_post", layer = 12, pos = { match = ", " } }
            local batch = m:generate{ prompts = prompts, max_tokens = 8, ignore_eos = true, capture = capture }
            for i, prompt in ipairs(prompts) do
              local one = m:generate{ prompt = prompt, max_tokens = 8, ignore_eos = true, capture = capture }
              assert(one.text == batch[i].text)
              local a, b = one.acts:at(12), batch[i].acts:at(12)
              assert(a:allclose(b, { atol = 1e-4 * a:norm() }))
            end
            """)
      }
    }
  }
}
