import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Metrics {
    @Test func ratesTakeStringsAndCompletions() throws {
      let script = """
        local rate, interval = metrics.refusal_rate({ "I cannot do that", { text = "Sure!" }, "I\u{2019}m sorry", "Yes" })
        print(rate, interval.n, string.format("%.4f %.4f", interval.low, interval.high))
        print((metrics.contains_rate({ "a cat", "a dog" }, "cat")), (metrics.refusal_rate("Sorry? No.")))
        print(metrics.distinct_words("no no no no"), metrics.distinct_words({ "a b", { text = "a a" } }))
        """
      // Wilson, 2 of 4: centre 0.5, half width 0.3500 (z = 1.96).
      #expect(try printed(script) == "0.5\t4\t0.1500 0.8500\n0.5\t0.0\n0.25\t0.75\n")
      #expect(
        try printed("local r, i = metrics.wilson(0, 20) print(r, i.low, string.format('%.4f', i.high))")
          == "0.0\t0.0\t0.1611\n")
    }

    @Test func rougeAndDivergence() throws {
      let script = """
        local r = metrics.rouge("the cat sat", { text = "the cat ran away" })
        print(string.format("%.4f %.4f %.4f %.4f", r.rouge1.precision, r.rouge1.recall, r.rouge2.f1, r.rougeL.f1))
        local p, q = tensor.from({ 0, 0 }), tensor.from({ { math.log(3), 0 } })
        print(string.format("%.5f", metrics.kl(p, q:reshape(2))), metrics.kl(p, p))
        print(metrics.cosine(p + 1, tensor.from({ -2, -2 })))
        """
      // KL(1/2, 1/2 || 3/4, 1/4) = ln(2 / sqrt 3).
      #expect(try printed(script).hasPrefix("0.6667 0.5000 0.4000 0.5714\n0.14384\t0.0\n-"))
    }

    @Test func mistakesAreNamed() throws {
      for (script, message) in [
        ("metrics.refusal_rate({})", "the list is empty"),
        ("metrics.refusal_rate(5)", "a list of strings or completions"),
        ("metrics.refusal_rate({ 'a', {} })", "entry 2"), ("metrics.rouge('a')", "argument 2 (reference)"),
        ("metrics.kl(tensor.ones(2), tensor.ones(3))", "[2] and [3]"), ("metrics.wilson(3, 2)", "from 0 to 2"),
        ("metrics.refusalrate({ 'a' })", "did you mean refusal_rate"),
        ("metrics.cosine(tensor.ones(2), 3)", "a tensor or a vector"),
      ] {
        try expectFailure(script, names: message)
      }
    }

    /// The rows of these modules are complete, and their examples parse.
    @Test func everyRowHasDocumentation() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      for module in [Module.steer, .mapper, .metrics] {
        let rows = module.functions + module.types.flatMap { $0.luaType.methods + $0.luaType.operators }
        for row in rows {
          #expect(!row.summary.isEmpty && !row.results.isEmpty && !row.example.isEmpty, "\(module.name).\(row.name)")
          let check = "assert(load(...))"
          #expect(throws: Never.self, "\(row.signature): \(row.example)") {
            try state.execute(
              chunk: Array("local text = [==[\(row.example)]==] \(check.replacing("...", with: "text"))".utf8),
              name: "=t")
          }
        }
      }
    }
  }
}
