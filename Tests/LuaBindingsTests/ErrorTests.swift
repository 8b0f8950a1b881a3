import CShim
import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Errors {
    @Test func errorOfSwiftHasPositionKindAndTraceback() throws {
      let error = try failure("local x = 1\nprobe.fail('bad shape')")
      #expect(error.description == "test:2: bad shape")
      #expect(error.kind == "shape")
      #expect(error.traceback?.contains("stack traceback:") == true)
      #expect(error.traceback?.contains("probe.fail") == true)
    }

    @Test func errorObjectsHaveFieldsAndText() throws {
      let text = try printed(
        """
        local ok, e = pcall(probe.fail, "bad")
        print(ok, e.message, e.kind, type(e.traceback), tostring(e), "in " .. e)
        print(getmetatable(e))
        """)
      #expect(text == "false\tbad\tshape\tstring\ttest:1: bad\tin test:1: bad\nfalse\n")
    }

    @Test func errorsOfLuaStayStringsInsidePcall() throws {
      let text = try printed("print(pcall(error, 'x')) print(select(2, pcall(function() error('y') end)))")
      #expect(text == "false\tx\ntest:1: y\n")
    }

    @Test func errorsOfLuaGainPositionOnce() throws {
      let error = try failure("error('boom')")
      #expect(error.description == "test:1: boom")
      #expect(error.report.components(separatedBy: "test:1: boom").count == 2)
      #expect(error.report.components(separatedBy: "stack traceback:").count == 2)
    }

    @Test func nestedErrorsAreNotDoubled() throws {
      let error = try failure(
        """
        local function hook() error("boom") end
        probe.apply(function()
          probe.apply(hook, 1)
        end, 2)
        """)
      #expect(error.description == "test:1: boom")
      #expect(error.report.components(separatedBy: "boom").count == 2)
      #expect(error.report.components(separatedBy: "stack traceback:").count == 2)
    }

    @Test func nestedSwiftErrorsKeepTheirPosition() throws {
      let error = try failure("local f = function()\n  probe.fail('inner')\nend\nprobe.apply(f, 1)")
      #expect(error.description == "test:2: inner")
      #expect(error.kind == "shape")
    }

    @Test func wrappedErrorsCarryTheirCause() throws {
      let text = try printed(
        """
        local ok, e = pcall(probe.wrap, function() error("inner") end)
        print(tostring(e)) print(tostring(e.cause)) print(e.kind)
        """)
      #expect(text == "test:1: the outer message\ntest:1: inner\nshape\n")
      let error = try failure("probe.wrap(function() error('inner') end)")
      #expect(error.causes == ["test:1: inner"])
      #expect(error.report.components(separatedBy: "inner").count == 2)
    }

    @Test func tablesThrownThroughSwiftAreTheSameTable() throws {
      let text = try printed(
        """
        local thrown = { code = 7 }
        local ok, e = pcall(probe.apply, function() error(thrown) end, 1)
        print(ok, e == thrown, e.code)
        """)
      #expect(text == "false\ttrue\t7\n")
    }

    @Test func uncaughtTablesHaveAText() throws {
      #expect(
        try failure("error(setmetatable({}, { __tostring = function() return 'custom' end }))").message == "custom")
      #expect(try failure("error(setmetatable({}, { __tostring = error }))").message.isEmpty == false)
      #expect(try failure("error()").message == "nil")
    }

    /// What was thrown is shown, whatever it is, and never an address.
    @Test func uncaughtValuesShowTheirContent() throws {
      for (script, text) in [
        ("error({ code = 2 })", "test:1: { code = 2 }"), ("error('x', 0)", "x"), ("error()", "test:1: nil"),
        ("error(true)", "test:1: true"), ("error(12)", "test:1: 12"), ("assert(false, { a = 1 })", "test:1: { a = 1 }"),
        ("error({})", "test:1: {}"), ("error({ 1, { 2 } })", "test:1: { 1, { 2 } }"),
        ("coroutine.wrap(function() error({ a = 1 }) end)()", "test:1: { a = 1 }"),
        ("pcall(error, 1) error(select(2, pcall(error, { b = { c = 1 } })))", "test:1: { b = { c = 1 } }"),
        ("local x <close> = setmetatable({}, { __close = function() error({ c = 1 }) end })", "test:1: { c = 1 }"),
        ("error(setmetatable({}, { __tostring = function() return 'said' end }))", "said"),
        ("probe.apply(function() error({ d = 1 }) end, 1)", "test:1: { d = 1 }"),
        ("dofile('nowhere.lua')", "test:1: cannot open nowhere.lua"), ("assert(nil, 'msg')", "test:1: msg"),
        ("error(setmetatable({ 1 }, {}))", "test:1: { 1 }"), ("error(false)", "test:1: false"),
      ] {
        let found = try failure(script).description
        #expect(found == text || (script.hasPrefix("dofile") && found.hasPrefix(text)), "\(script): \(found)")
        #expect(!found.contains("0x") && !found.hasPrefix(": "), "\(script): \(found)")
      }
    }

    @Test func unknownMembersNameWhatThereIs() throws {
      #expect(try failure("probe.new():zzzzz()").message.contains("it has .closed :keep() :fire()"))
      #expect(
        try printed("local v = steer.from(tensor.ones(2), { layer = 1 }) print(#v.tensor, #v.direction)") == "2\t2\n")
    }

    @Test func printShowsWhatTablesHold() throws {
      #expect(try printed("print({ 1, b = 'x' }, 'y', nil, 2.0)") == "{ 1, b = \"x\" }\ty\tnil\t2.0\n")
      #expect(try printed("print(setmetatable({}, { __tostring = function() return 'me' end }))") == "me\n")
      #expect(try printed("print(setmetatable({ 3 }, {}))") == "{ 3 }\n")
      #expect(try printed("print(setmetatable({}, { __name = 'thing' }))").hasPrefix("thing: "))
      #expect(
        try printed("print(probe.options, tostring({}):match('^table: 0x') ~= nil)")
          == "function: probe.options{ layer = }\ttrue\n")
      #expect(try printed("local t = {} t.t = t print(t)") == "{ t = (cycle) }\n")
    }

    /// Text of models and files may hold escape sequences; what scripts print on purpose stays as it is.
    @Test func controlCharactersAreSpeltOut() throws {
      #expect(printable("a\u{1b}[2J\tb\n\r\u{7f}\u{85}\u{202e}") == "a\\x1b[2J\tb\n\\r\\x7f\\x85\\u{202e}")
      #expect(printable("héllo ✓ 日本") == "héllo ✓ 日本")
      #expect(try printed("print(select(2, pcall(probe.fail, 'a\\27[2Jb')))") == "test:1: a\\x1b[2Jb\n")
      #expect(try printed("print('\\27[1m')") == "\u{1b}[1m\n")
      #expect(try printed("print({ '\\27[1m' })") == "{ \"\\27[1m\" }\n")
      let (state, _) = try makeState()
      defer { state.close() }
      #expect(try state.evaluate("'a\\27]0;x\\7b\\n'").map { state.describe($0) } == ["a\\x1b]0;x\\x07b\n"])
      #expect(
        try state.evaluate("setmetatable({}, { __tostring = function() return '\\27c' end })").map {
          state.describe($0)
        }
          == ["\\x1bc"])
    }

    @Test func errorsInFinalisersAreWarnings() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      try state.execute(
        chunk: Array("setmetatable({}, { __gc = function() error('in gc') end }) collectgarbage() print('alive')".utf8),
        name: "=test")
      #expect(output.text == "alive\n")
      #expect(output.notes.contains { $0.contains("in gc") })
    }

    @Test func errorsInCoroutinesNameTheirPlace() throws {
      let error = try failure("local f = coroutine.wrap(function() probe.fail('inside') end)\nf()")
      #expect(error.description == "test:1: inside")
      #expect(error.traceback?.contains("resumed from") == true)
    }

    @Test func coroutinesAddNoSecondPosition() throws {
      #expect(
        try printed("print(pcall(coroutine.wrap(function() coroutine.wrap(function() error('x') end)() end)))")
          == "false\ttest:1: x\n")
      #expect(
        try printed("print(pcall(function() coroutine.wrap(function() error('x', 0) end)() end))")
          == "false\ttest:1: x\n")
    }

    @Test func misspeltGlobalsAndFieldsNameTheNearest() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      let error = try #require(throws: LuaError.self) { _ = try state.evaluate("prnt(1)") }
      #expect(error.message.contains("did you mean print"))
      #expect(try failure("probe.optins{}").message.contains("did you mean options"))
      #expect(try failure("probe.new():fir(1)").message.contains("did you mean fire"))
      #expect(try failure("local p = probe.new() p.x = 1").message.contains("read-only"))
    }

    @Test func exitUnwindsThroughPcallAndCoroutines() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      let exit = try #require(throws: LuaExit.self) {
        try state.execute(
          chunk: Array(
            """
            local guard <close> = setmetatable({}, { __close = function() print("closed") end })
            coroutine.wrap(function() pcall(function() xpcall(os.exit, print, 3) end) print("never") end)()
            print("never")
            """.utf8), name: "=test")
      }
      #expect(exit.code == 3)
      #expect(output.text == "closed\n")
      #expect(throws: LuaExit.self) { try state.execute(chunk: Array("probe.apply(os.exit, 4)".utf8), name: "=test") }
    }

    @Test func deepRecursionIsAnError() throws {
      #expect(try failure("local function f() return 1 + f() end f()").message.contains("stack overflow"))
      #expect(try failure("local function f(x) return probe.apply(f, x) end f(1)").message.contains("overflow"))
      #expect(try failure("local t = {} for i = 1, 1e5 do t = { t } end error(tostring(#t))").message == "1")
      #expect(try failure("local s = string.rep('(', 1e5) assert(load('return ' .. s))").message.contains("overflow"))
    }

    @Test func xpcallHandlersSeeErrorObjects() throws {
      #expect(try printed("print(xpcall(probe.fail, function(e) return e.kind end, 'x'))") == "false\tshape\n")
      #expect(try printed("print(xpcall(function(...) return ... end, print, 1, 2))") == "true\t1\t2\n")
      #expect(
        try printed("print(coroutine.wrap(function() return pcall(coroutine.yield, 5) end)())") == "5\n")
    }
  }
}
