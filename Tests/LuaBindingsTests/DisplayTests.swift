import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Display {
    private func shown(_ source: String) throws -> String {
      let (state, _) = try makeState()
      defer { state.close() }
      return try state.evaluate(source).map { state.describe($0, width: 80) }.joined(separator: "\n")
    }

    @Test func valuesAreSummarised() throws {
      #expect(try shown("1, 2.5, 3.0, true, nil, 'text'") == "1\n2.5\n3.0\ntrue\nnil\ntext")
      #expect(try shown("{}") == "{}")
      #expect(try shown("{ 1, 2, b = 'x\\n', a = { true } }") == #"{ 1, 2, a = { true }, b = "x\n" }"#)
      #expect(try shown("{ [10] = 1, ['a b'] = 2, [2.5] = 3 }") == #"{ [2.5] = 3, [10] = 1, ["a b"] = 2 }"#)
      #expect(try shown("probe.new(), { probe.new() }") == "probe\n{ probe }")
      #expect(try shown("probe.options") == "function: probe.options{ layer = }")
    }

    @Test func depthCyclesAndLengthAreBounded() throws {
      #expect(try shown("{ { { { 1 } } } }") == "{ { { {... 1 item} } } }")
      #expect(try shown("(function() local t = { 1 } t.me = t return t end)()") == "{ 1, me = (cycle) }")
      let long = try shown("(function() local t = {} for i = 1, 1000 do t[i] = i end return t end)()")
      #expect(long.contains("30,") && !long.contains("31,") && long.contains("... 970 more"))
      #expect(
        try shown("(function() local t = {} for i = 1, 20000 do t['k' .. i] = i end return t end)()").count < 1500)
      #expect(try shown("{ string.rep('x', 1e6) }").count < 300)
      #expect(
        try shown("setmetatable({}, { __tostring = function() error('no') end })").contains("error in __tostring"))
      #expect(try shown("setmetatable({}, { __index = function() error('no') end, __pairs = error })") == "{}")
    }
  }

  @Suite struct Completing {
    private func items(_ line: String, prepare: String = "") throws -> [String] {
      let (state, _) = try makeState()
      defer { state.close() }
      if !prepare.isEmpty { try state.execute(chunk: Array(prepare.utf8), name: "=t") }
      return state.complete(line: line, cursor: line.utf8.count).items
    }

    @Test func globalsFieldsAndMethods() throws {
      #expect(try items("pri") == ["print"])
      #expect(try items("x = probe.op") == ["options"])
      #expect(try items("p.", prepare: "p = probe.new()") == ["closed"])
      #expect(try items("p:", prepare: "p = probe.new()") == ["fire", "keep"])
      #expect(try items("t.a.", prepare: "t = { a = { deep = 1, ['not a name'] = 2 } }") == ["deep"])
      #expect(try items("s:up", prepare: "s = 'x'") == ["upper"])
      #expect(try items("x = 1 .. pri") == ["print"])
      #expect(try items("-- pri") == [])
      #expect(try items("f(pri") == ["print"])
      #expect(try items("wh") == ["while"])
    }

    @Test func optionKeysAndChoices() throws {
      #expect(try items("probe.options{ ") == ["coeff = ", "fn = ", "layer = ", "layers = ", "scale = ", "site = "])
      #expect(try items("probe.options{ layer = 3, la") == ["layers = "])
      #expect(try items("probe.options({ sc") == ["scale = "])
      #expect(try items("probe.options{ scale = \"") == ["raw", "relative", "unit"])
      #expect(try items("probe.options{ site = \"resid_p") == ["resid_post", "resid_pre"])
      #expect(try items("probe.options{ site = { \"q\", 'resid_m") == ["resid_mid"])
      #expect(try items("probe.options{ layer = pri") == ["print"])
      let (state, _) = try makeState()
      defer { state.close() }
      #expect(state.complete(line: "probe.options{ sc = 1", cursor: 17) == Completions(start: 15, items: ["scale = "]))
    }

    @Test func filesInsideStrings() throws {
      #expect(try items("dofile('/et") == ["etc/"])
      #expect(try items("dofile(\"/etc/host").contains("hosts"))
    }

    @Test func metamethodsNeverRun() throws {
      let prepare = """
        t = setmetatable({ a = setmetatable({}, { __index = function() ran = true end }) },
          { __index = function() ran = true end })
        setmetatable(_G, { __index = function() ran = true end })
        """
      let (state, output) = try makeState()
      defer { state.close() }
      try state.execute(chunk: Array(prepare.utf8), name: "=t")
      for line in ["t.x.", "t.a.b.", "zz", "zz.", "t:", "f{ x = \""] {
        _ = state.complete(line: line, cursor: line.utf8.count)
      }
      try state.execute(chunk: Array("print(rawget(_G, 'ran'))".utf8), name: "=t")
      #expect(output.text == "nil\n")
    }

    @Test func helpKnowsNamesVariablesAndWords() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      try state.execute(chunk: Array("p = probe.new()".utf8), name: "=t")
      #expect(state.helpText(for: "probe.options").contains("coeff   number, default 1.0. the factor"))
      #expect(state.helpText(for: "p:fire").contains("Calls the kept function."))
      #expect(state.helpText(for: "p").contains("An object of the tests."))
      #expect(state.helpText(for: "kept").contains("probe:fire"))
      #expect(state.helpText(for: "optoins").contains("options"))
      #expect(state.help.overview.contains("probe.new"))
    }
  }
}
