import Testing

@testable import LuaBindings

extension LuaTests {
  /// The figures themselves are checked in TransferTests; here, that scripts reach them.
  @Suite struct Statistics {
    @Test func testsTakeListsAndTensors() throws {
      try printed(
        """
        local function near(x, y) assert(math.abs(x - y) < 1e-6, x) end
        local a, b = { 3.1, 2.7, 4.4, 5.0, 3.9, 2.2, 4.8, 3.3 }, { 2.9, 2.1, 4.6, 4.1, 3.0, 2.4, 4.0, 2.8 }
        near(metrics.paired{ a = a, b = b }.p, 0.03016841162)
        assert(metrics.paired{ a = tensor.from(a), b = b }.test == "t")
        local yes = metrics.paired{ a = { true, true, true, false }, b = { 1, 0, 0, 0 } }
        assert(yes.test == "mcnemar" and yes.only_a == 2 and yes.only_b == 0 and yes.p == 0.5 and yes.low < 0.5)
        near(metrics.permutation{ a = a, b = b, paired = true }.p, 0.0546875)
        local ratio = metrics.permutation{ a = a, b = b, paired = true, statistic = function(x, y) return x[1] / y[1] - 1 end }
        near(ratio.statistic, 3.1 / 2.9 - 1)
        near(metrics.equivalence{ a = a, b = b, margin = .8, paired = true }.p, 0.02977380756)
        local same = metrics.equivalence{ a = { false, false }, b = { false, false }, margin = .1 }
        assert(same.difference == 0 and same.equivalent == false)
        local area, interval = metrics.auroc{ scores = tensor.from{ 1, 2, 3 }, labels = { 0, 1, 1 } }
        assert(area == 1 and interval.low < 1 and interval.positives == 2)
        """)
    }

    @Test func theBootstrapTakesRowsAndFactors() throws {
      try printed(
        """
        local rows, values, prompt, seed = {}, {}, {}, {}
        for i = 1, 12 do
          for _, s in ipairs{ "a", "b", "c" } do
            local value = i + (s == "a" and 20 or 0)
            rows[#rows + 1] = { prompt = i, seed = s, kl = value }
            values[#values + 1], prompt[#prompt + 1], seed[#seed + 1] = value, i, s
          end
        end
        local r = metrics.bootstrap{ rows = rows, value = "kl", factors = { "prompt", "seed" }, draws = 2000 }
        local v = metrics.bootstrap{ values = values, factors = { prompt = prompt, seed = seed }, draws = 2000 }
        assert(r.estimate == v.estimate and r.low == v.low and r.high == v.high and r.n == 36)
        assert(r.levels.prompt == 12 and r.levels.seed == 3 and r.high - r.low > 15)
        assert(metrics.bootstrap{ values = values }.high - metrics.bootstrap{ values = values }.low < 10)
        assert(metrics.bootstrap{ values = { 1, 2, 9 }, statistic = "median" }.estimate == 2)
        local calls = 0
        local most = metrics.bootstrap{ values = { true, false, true }, draws = 100, statistic = function(list)
          calls = calls + 1
          return math.max(table.unpack(list))
        end }
        assert(most.estimate == 1 and calls == 101)
        """)
    }

    @Test func similaritiesAndWords() throws {
      try printed(
        """
        local x = tensor.randn(40, 6, { seed = 1 })
        for _, name in ipairs{ "cka", "svcca" } do assert(math.abs(metrics[name](x, 3 * x + 1) - 1) < 1e-4, name) end
        assert(metrics.rsa(x, 3 * x, { distance = "euclidean" }) > 0.999)
        assert(metrics.cka(x, tensor.randn(40, 6, { seed = 2 }), { unbiased = true }) < 0.2)
        local f = metrics.token_f1({ text = "The cat sat." }, { "a dog", "cat" })
        assert(f.recall == 1 and f.precision == 0.5 and not f.exact)
        """)
    }

    @Test func whatRowsComeToIsSaid() throws {
      let script = """
        local function outcomes(n) local t = {} for i = 1, 40 do t[i] = i <= n end return t end
        local rows = {
          { name = "unsteered", role = "control", outcomes = outcomes(36) }, { name = "native", role = "native", outcomes = outcomes(1) },
          { name = "ridge", role = "mapped", outcomes = outcomes(1) },
        }
        for i = 1, 19 do rows[#rows + 1] = { name = "draw " .. i, role = "random", kind = "permuted", outcomes = outcomes(30 + i % 8) } end
        local c = metrics.compare{ rows = rows, margin = 0.15 }
        assert(#c.rows == 22 and c.rows[1].high < 1 and c.rows[1].n == 40)
        assert(#c.comparisons == 3 and c.comparisons[3].against == "native" and c.comparisons[3].equivalent == true)
        assert(#c.draws == 2 and c.draws[1].p == 0.05 and #c.sentences == 5)
        print(c.verdict)
        """
      let text = try printed(script)
      #expect(text.contains("native: 90 % to 3 % of 40 prompts") && text.contains("more than any draw"))
    }

    @Test func mistakesAreNamed() throws {
      for (script, message) in [
        ("metrics.paired{ a = { 1, 2 }, b = { 1 } }", "same prompts"),
        ("metrics.paired{ a = {}, b = { 1 } }", "the list is empty"),
        ("metrics.paired{ a = { 'x' }, b = { 1 } }", "entry 1"), ("metrics.paired{ a = { 1, 2 } }", "option 'b'"),
        ("metrics.equivalence{ a = { 1, 2 }, b = { 1, 2 }, margin = 0 }", "margin"),
        ("metrics.bootstrap{ rows = { { kl = 1 } } }", "no 'value'"),
        ("metrics.bootstrap{ rows = { { kl = 1 } }, value = 'kl', factors = { 'seed' } }", "no 'seed'"),
        ("metrics.bootstrap{ values = { 1, 2 }, factors = { seed = { 1 } } }", "1 levels for 2 values"),
        ("metrics.bootstrap{ values = { 1, 2 }, statistic = 'maen' }", "did you mean mean"),
        ("metrics.bootstrap{ values = { 1, 2 }, statistic = function() error('mine') end }", "mine"),
        ("metrics.auroc{ scores = { 1, 2 }, labels = { 1, 1 } }", "both are needed"),
        ("metrics.auroc{ scores = { 1, 2 }, labels = { 1, 3 } }", "only 0 and 1"),
        ("metrics.cka(tensor.ones(3, 2), tensor.ones(4, 2))", "same rows"),
        ("metrics.rsa(tensor.randn(3, 2), tensor.randn(3, 2), { distance = 'cosin' })", "did you mean cosine"),
        (
          "metrics.compare{ rows = { { name = 'a', role = 'controll', outcomes = { true } } } }", "did you mean control"
        ),
        ("metrics.compare{ rows = { { name = 'a', role = 'native', outcomes = { true } } } }", "one control"),
      ] {
        try expectFailure(script, names: message)
      }
    }

    @Test func labelsAreShuffledForAControl() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + """
            local positive, negative = tokens(8, 1), tokens(8, 2)
            local d = steer.mean_difference(m, { positive = positive, negative = negative, layers = 1 })
            local v = d:at(1)
            local w = steer.random_like(v, { kind = "permuted", model = m, texts = { positive, negative }, seed = 4 })
            assert(w.means and w.method == "random permuted" and w.layer == 1 and w.n[1] == 8)
            assert((w.means.positive + w.means.negative):allclose(v.means.positive + v.means.negative, { atol = 1e-4 }))
            local scaled = steer.random_like(v, { kind = "permuted", model = m, texts = { positive, negative }, seed = 4, norm = "equal" })
            assert(math.abs(scaled.norm - v.norm) < 1e-4 and metrics.cosine(scaled, w) > 0.9999)
            local function acts(list) local a = tensor.zeros(#list, m.d_model) local rows = {}
              for i, ids in ipairs(list) do rows[i] = m:run{ tokens = ids, capture = { site = "resid_post", layers = 1, pos = -1 } }.acts:at(1)[1]:to_table() end
              return tensor.from(rows)
            end
            local given = steer.random_like(v, { kind = "permuted", activations = { acts(positive), acts(negative) }, seed = 4 })
            assert(given.direction:allclose(w.direction, { atol = 1e-4 }))
            local none = steer.random_like(v, { kind = "covariance", model = m, texts = tokens(9, 5), orthogonal = true })
            assert(math.abs(metrics.cosine(none, v)) < 1e-5)
            local map = mapper.fit{ from = m, to = other, from_layer = 1, to_layer = 1, texts = tokens(30, 3), align = "index", method = "ridge" }
            assert(#map:vector(w) == other.d_model)
            """)
        let v = models + "local v = steer.from(tensor.ones(m.d_model), { layer = 1 }) "
        for (script, message) in [
          (
            "steer.random_like(v, { kind = 'permuted', activations = tensor.ones(4, m.d_model) })",
            "{ positive, negative }"
          ),
          ("steer.random_like(v, { kind = 'permuted' })", "activations"),
          ("steer.random_like(v, { balanced = true })", "kind = \"permuted\""),
          ("steer.random_like(v, { norm = 'own' })", "no norm of its own"),
          ("steer.random_like(v, { kind = 'permutd' })", "did you mean permuted"),
        ] {
          try expectFailure(v + script, names: message)
        }
      }
    }
  }
}
