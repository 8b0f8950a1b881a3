import CShim
import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Bridge {
    @Test func binaryChunksAreRefused() throws {
      #expect(try printed("print(string.dump, load('\\27Lua', 'x', 'b'))").contains("not supported"))
      #expect(try printed("print(load('\\27Lua'))").contains("attempt to load a binary chunk"))
      #expect(try printed("print(load(function() return nil end, 'x', 'bt', {}))").hasPrefix("function"))
      #expect(try printed("print(load('return x', 'c', 't', { x = 5 })())") == "5\n")
      let (state, _) = try makeState()
      defer { state.close() }
      #expect(throws: LuaError.self) { try state.execute(chunk: [27, 76, 117, 97], name: "=b") }
    }

    @Test func dangerousPartsOfDebugAreGone() throws {
      #expect(try printed("print(debug.sethook, debug.getregistry, string.dump)") == "nil\tnil\tnil\n")
      #expect(try printed("print(debug.getmetatable(probe.new()))") == "false\n")
      #expect(try failure("debug.setmetatable(probe.new(), {})").message.contains("cannot change"))
      #expect(try failure("debug.setupvalue(probe.new, 1, 5)").message.contains("cannot change"))
      #expect(try printed("local p = setmetatable({}, {}) print(debug.setmetatable(p, nil) == p)") == "true\n")
    }

    @Test func optionErrorsNameTheNearest() throws {
      #expect(try printed("print(probe.options{ layer = 3.0, layers = 2 })") == "3 1.0 raw [2]\n")
      #expect(try printed("print(probe.options{ layer = 3, coeff = 2, layers = { 1, 2 } })") == "3 2.0 raw [1, 2]\n")
      for (source, expected) in [
        ("probe.options{ layr = 3 }", "probe.options: unknown option 'layr' (did you mean layer"),
        ("probe.options{}", "probe.options: option 'layer' is missing: the layer"),
        ("probe.options()", "probe.options: option 'layer' is missing"),
        ("probe.options(5)", "expected a table of options { layer =, coeff =, scale =, ... }, found number 5"),
        ("probe.options{ 5 }", "options are named"),
        ("probe.options{ layer = 30 }", "option 'layer': expected an integer from 0 to 29, found number 30"),
        ("probe.options{ layer = 1.5 }", "expected an integer from 0 to 29, found number 1.5"),
        ("probe.options{ layer = '1' }", "found string \"1\""),
        ("probe.options{ layer = 1, coeff = 0/0 }", "expected a finite number, found number"),
        (
          "probe.options{ layer = 1, scale = 'unt' }",
          "\"unt\" is not one of \"raw\", \"unit\", \"relative\" (did you mean unit"
        ),
        (
          "probe.options{ layer = 1, layers = { 1, {} } }", "option 'layers', entry 2: expected an integer, found table"
        ),
      ] {
        let message = try failure(source).message
        #expect(message.contains(expected), "\(source): \(message)")
      }
    }

    @Test func oneObjectIsOneLuaValue() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      try state.execute(
        chunk: Array("p = probe.new() p:keep(function(x) return x + 1 end) print(p:fire(4))".utf8), name: "=t")
      #expect(output.text == "5\n")
    }

    @Test func keptFunctionsDoNotKeepTheirObject() throws {
      let before = Probe.livingCount
      let (state, _) = try makeState()
      // The function refers to its own object: a cycle through the user value.
      try state.execute(
        chunk: Array("for i = 1, 100 do local p = probe.new() p:keep(function() return p end) end".utf8), name: "=t")
      state.collectGarbage()
      state.collectGarbage()
      #expect(Probe.livingCount == before)
      state.close()
    }

    @Test func nothingLivesAfterClose() throws {
      let before = Probe.livingCount
      let (state, _) = try makeState()
      let reference = try state.evaluate("probe.new()")
      try state.execute(chunk: Array("all = {} for i = 1, 1000 do all[i] = probe.new() end".utf8), name: "=t")
      #expect(Probe.livingCount == before + 1001)
      #expect(throws: LuaError.self) {
        try state.execute(chunk: Array("local p = probe.new() error('x')".utf8), name: "=t")
      }
      state.close()
      #expect(Probe.livingCount == before)
      #expect(state.describe(reference[0]) == "(gone)")
    }

    @Test func finalisersMayCallSwiftWhileTheStateGoes() throws {
      let before = Probe.livingCount, output = PlainOutput(keeping: true)
      let source = """
        local p = probe.new()
        kept = setmetatable({}, { __gc = function() print(p.closed, pcall(p.fire, p, 1)) end })
        """
      do {  // dropped without close()
        let state = try LuaState(output: output, modules: Module.standard + [probeModule])
        try state.execute(chunk: Array(source.utf8), name: "=t")
      }
      #expect(output.text.hasPrefix("0\tfalse\t"))
      #expect(Probe.livingCount == before)
    }

    @Test func resultsOfThePromptAreReleased() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      for _ in 0..<1000 { _ = try state.evaluate("1, {}, probe.new()") }
      _ = try state.evaluate("1")
      #expect(state.references.count < 10)
    }

    @Test func closingFreesAndTwiceIsFine() throws {
      #expect(
        try printed("local h = probe.handle() do local k <close> = h end do local k <close> = h end print(h.closed)")
          == "2\n")
      let text = try printed(
        """
        local p = probe.new()
        do local q <close> = p end
        do local q <close> = p end
        print(p, pcall(p.fire, p, 1))
        """)
      #expect(text.hasPrefix("probe (freed)\tfalse\t"))
      #expect(text.contains("probe:fire: this probe has been freed"))
    }

    @Test func methodsNeedTheirColon() throws {
      #expect(try failure("probe.new().fire(1)").message.contains("write object:method()"))
      #expect(try failure("probe.new().fire(io.stdout)").message.contains("expected a probe before the colon"))
    }

    @Test func promptKnowsIncompleteSource() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      func isIncomplete(_ source: String) -> Bool { if case .incomplete = state.check(source) { true } else { false } }
      func isDamaged(_ source: String) -> Bool { if case .damaged = state.check(source) { true } else { false } }
      #expect(isIncomplete("for i = 1, 3 do"))
      #expect(isIncomplete("x = [["))
      #expect(!isIncomplete("1 + 1") && !isDamaged("1 + 1") && !isDamaged("x = 1"))
      #expect(isDamaged("x = = 1"))
      #expect(try state.evaluate("1, nil, 'x'").map { state.describe($0) } == ["1", "nil", "x"])
      #expect(try state.evaluate("local a = 5").isEmpty)
    }

    @Test func scriptsGetArguments() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      state.setArguments(["acthost", "-i", "s.lua", "a", "b"], scriptIndex: 2)
      try state.execute(
        chunk: Array("print(arg[-2], arg[0], #arg, arg[2], ...)".utf8), name: "=s", arguments: ["a", "b"])
      #expect(output.text == "acthost\ts.lua\t2\tb\ta\tb\n")
    }

    @Test func requireFindsModulesAndText() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      try state.require("p=probe")
      try state.execute(chunk: Array("print(p == probe, pcall(require, 'no.such.module'))".utf8), name: "=s")
      #expect(output.text.hasPrefix("true\tfalse"))
    }

    @Test func errorsOfSyntaxAndMissingFilesAreErrors() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      let error = try #require(throws: LuaError.self) { try state.execute(chunk: Array("x = = 1".utf8), name: "=s") }
      #expect(error.kind == "syntax" && error.message.hasPrefix("s:1:"))
      #expect(throws: LuaError.self) { try state.execute(file: "/no/such/file.lua") }
    }
  }
}
