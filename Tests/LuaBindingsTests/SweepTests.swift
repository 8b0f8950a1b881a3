import Engine
import Foundation
import Testing

@testable import LuaBindings
@testable import Transfer

extension LuaTests {
  /// Which rows a sweep takes from disk, and what it says about it.
  @Suite struct Sweeps {
    let experiment = Experiment()

    /// Runs a script in a state of its own; `calls` is what the global of that name ends with.
    private func run(_ source: String, interruptible: Bool = false) throws -> (
      calls: Int, text: String, notes: [String]
    ) {
      let (state, output) = try makeState()
      defer { state.close() }
      let script = "calls = 0\narg = arg or {}\n" + source + "\nprint('calls ' .. calls)"
      try state.execute(chunk: Array(script.utf8), name: "=test")
      let last = output.text.split(separator: "\n").last?.split(separator: " ").last ?? ""
      return (Int(last) ?? -1, output.text, output.notes)
    }

    /// A sweep over three points with `body` in its function, after `before`.
    private func script(_ before: String, _ body: String, more: String = "") -> String {
      """
      \(before)
      rows = sweep{ name = "s", grid = { x = { 1, 2, 3 } }, \(more) run = function(point)
        calls = calls + 1
        \(body)
      end }
      """
    }

    /// Whatever the rows follow from: the other value makes them again, the first finds its rows again.
    @Test(arguments: [
      ("local k = 1", "local k = 2", "return { y = k * point.x }"),
      ("k = 1", "k = 2", "return { y = k * point.x }"),
      ("local function f(x) return x end", "local function f(x) return x + 1 end", "return { y = f(point.x) }"),
      ("function f(x) return x end", "function f(x) return x + 1 end", "return { y = f(point.x) }"),
      (
        "local k = 1 local function g() return k end local function f() return g() end",
        "local k = 2 local function g() return k end local function f() return g() end", "return { y = f() }"
      ),
      ("local M = { a = { b = 1 } }", "local M = { a = { b = 2 } }", "return { y = M.a.b }"),
      ("M = { f = function() return 1 end }", "M = { f = function() return 2 end }", "return { y = M.f() }"),
      ("local t = { [0] = 5 }", "local t = { [0] = 6 }", "return { y = t[0] }"),
      ("local t = tensor.from({ 1, 2 })", "local t = tensor.from({ 1, 3 })", "return { y = t:sum() }"),
      (
        "local v = steer.from(tensor.ones(4), { layer = 1 })", "local v = steer.from(tensor.ones(4), { layer = 2 })",
        "return { y = v.layer }"
      ),
      ("arg = { 'a' }", "arg = { 'b' }", "return { y = arg[1] }"),
      (
        "arg = { '--n', '1' } opt = args.parse{ n = 0 }", "arg = { '--n', '2' } opt = args.parse{ n = 0 }",
        "return { y = opt.n }"
      ),
      (
        "local C = {} C.__index = { m = 1 } local o = setmetatable({}, C)",
        "local C = {} C.__index = { m = 2 } local o = setmetatable({}, C)", "return { y = o.m }"
      ),
      (
        "function string.twice(s) return s .. s end", "function string.twice(s) return s end",
        "return { y = ('a'):twice() .. string.twice('b') }"
      ),
      ("a = 1 b = 5", "a = 2 b = 5", "return { y = _G['a'] }"),
      ("a = 1 local e = _ENV", "a = 2 local e = _ENV", "local name = 'a' return { y = _ENV[name] }"),
      ("local f = load('return 1')", "local f = load('return 2')", "return { y = f() }"),
      ("math.pi = 3", "math.pi = 4", "return { y = math.pi }"),
    ])
    func rowsOfOtherContentAreNotReturned(first: String, second: String, body: String) throws {
      try experiment.inFolder { () throws in
        #expect(try run(script(first, body)).calls == 3)
        let again = try run(script("-- a comment more\n" + first, body))
        #expect(again.calls == 0, "\(again.notes)")
        #expect(again.notes.contains { $0.contains("3 of 3 rows from disk (runs/s)") }, "\(again.notes)")
        let other = try run(script(second, body))
        #expect(other.calls == 3, "\(other.notes)")
        #expect(other.notes.contains { $0.contains("0 of 3 rows") && $0.contains("differs from the last") })
        #expect(try run(script(first, body)).calls == 0)
        #expect(try run(script(second, body)).calls == 0)
      }
    }

    /// `arg` has entries before 1, which the words of a script do not end at.
    @Test func theWordsOfTheCommandLineCount() throws {
      try experiment.inFolder { () throws in
        for body in ["return { y = tonumber(arg[1]) }", "return { y = args.parse{ k = 0 }.k }"] {
          let name = body.contains("parse") ? "parsed" : "plain"
          func words(_ text: String) -> String {
            let first = body.contains("parse") ? "'--k', '\(text)'" : "'\(text)'"
            return script("arg = { [-1] = 'acthost', [0] = 's.lua', \(first) }", body)
              .replacingOccurrences(of: "name = \"s\"", with: "name = \"\(name)\"") + "\nprint('y ' .. rows[1].y)"
          }
          let first = try run(words("1"))
          #expect(first.calls == 3 && first.text.contains("y 1\n"))
          let other = try run(words("5"))
          #expect(other.calls == 3 && other.text.contains("y 5\n"), "\(other.text)")
          #expect(try run(words("1")).calls == 0)
        }
      }
    }

    /// Draws without a seed belong to the point, not to how many points were done before.
    @Test func aResumedSweepDrawsAsAnUndisturbedOne() throws {
      try experiment.inFolder { () throws in
        let body = "return { t = tensor.randn(2):norm(), m = math.random(1000000) }"
        let listing = "\nfor _, r in ipairs(rows) do print('row', r.t, r.m) end"
        let whole = try run(script("", body) + listing).text.split(separator: "\n").filter { $0.hasPrefix("row") }
        #expect(Set(whole).count == 3)
        let path = "runs/s/rows.jsonl", lines = try String(contentsOfFile: path, encoding: .utf8)
        try (lines.split(separator: "\n").first.map { $0 + "\n" } ?? "").write(
          toFile: path, atomically: true, encoding: .utf8)
        let resumed = try run(script("", body) + listing)
        #expect(resumed.calls == 2)
        #expect(resumed.text.split(separator: "\n").filter { $0.hasPrefix("row") } == whole)
        #expect(try run(script("tensor.seed(7)", body)).calls == 3)
      }
    }

    /// Methods of texts, and modules that are loaded or name others.
    @Test func whatIsReachedWithoutItsNameCounts() throws {
      try experiment.inFolder { () throws in
        let body = "return { y = ('x'):twice() }"
        #expect(try run(script("function string.twice(s) return s .. s end", body)).calls == 3)
        #expect(try run(script("function string.twice(s) return s end", body)).calls == 3)
        try experiment.write("outer.lua", "local s = require 'inner' return { f = function() return s.k * HELP end }")
        try experiment.write("inner.lua", "return { k = 1 }")
        let modules = script(
          "HELP = 10 package.path = './?.lua' local early = require 'outer'", "return { y = require('outer').f() }")
        #expect(try run(modules).calls == 3)
        #expect(try run(modules).calls == 0)
        #expect(try run(modules.replacingOccurrences(of: "HELP = 10", with: "HELP = 20")).calls == 3)
        let late = modules.replacingOccurrences(of: "local early = require 'outer'", with: "")
        let first = try run(late)
        #expect(first.calls == 3 && first.notes.contains { $0.contains("module outer") }, "\(first.notes)")
        usleep(20_000)
        try experiment.write("inner.lua", "return { k = 9 }")
        #expect(try run(late).calls == 3)
      }
    }

    @Test func theFunctionsOwnCodeCounts() throws {
      try experiment.inFolder { () throws in
        #expect(try run(script("", "return { y = point.x + 1 }")).calls == 3)
        #expect(try run(script("", "return { y = point.x - 1 }")).calls == 3)
        #expect(try run(script("", "return { y = point.x + 2 }")).calls == 3)
        let first = try run(script("", "return { y = point.x + 1 }") + "\nprint(rows[1].y)")
        #expect(first.calls == 0 && first.text.hasPrefix("2\n"))
        let lines = try String(contentsOfFile: "runs/s/rows.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 9)
      }
    }

    /// Where the script lies and by which path it is called.
    @Test func thePathOfTheScriptDoesNotCount() throws {
      try experiment.inFolder { () throws in
        for body in ["return { y = arg[1] }", "local a = args return { y = a[1] }"] {
          let first = script("arg = { [-1] = 'acthost', [0] = 's.lua', 'a' } args = arg", body)
          #expect(try run(first).calls == 3)
          #expect(try run(first.replacingOccurrences(of: "s.lua", with: "./s.lua")).calls == 0)
        }
      }
    }

    @Test func filesOfDataCount() throws {
      try experiment.inFolder { () throws in
        try experiment.write("a.txt", "one\ntwo\n")
        try experiment.write("b.txt", "three\n")
        let outside = script("local texts = data.lines('a.txt')", "return { y = #texts }")
        let inside = script("", "return { y = #data.lines('b.txt'), z = point.x }")
          .replacingOccurrences(of: "name = \"s\"", with: "name = \"inside\"")
        #expect(try run(outside).calls == 3)
        #expect(try run(outside).calls == 0)
        #expect(try run(inside).calls == 3)
        #expect(try run(inside).calls == 0)
        usleep(20_000)
        try experiment.write("a.txt", "one\nTWO\n")
        try experiment.write("b.txt", "four\n")
        #expect(try run(outside).calls == 3)
        let again = try run(inside)
        #expect(again.calls == 3 && again.notes.contains { $0.contains("b.txt") }, "\(again.notes)")
        #expect(try run(inside).calls == 0)
      }
    }

    /// A file that the run itself writes and reads is no input.
    @Test func filesThatARunMakesAreNoInput() throws {
      try experiment.inFolder { () throws in
        let body = "tensor.save('t.npy', { v = tensor.ones(2) * point.x }) return { y = tensor.load('t.npy'):sum() }"
        #expect(try run(script("", body)).calls == 3)
        #expect(try run(script("", body)).calls == 0)
      }
    }

    @Test func whatCannotBeComparedIsSaid() throws {
      try experiment.inFolder { () throws in
        try experiment.write("log", "x\n")
        for (before, words) in [
          ("local f = io.open('log')", "an open file"), ("local f = coroutine.create(print)", "a coroutine"),
          ("local f = ('a b'):gmatch('%a')", "an iterator"), ("local f = coroutine.wrap(print)", "an iterator"),
          ("local f = probe.new()", "a probe"),
        ] {
          let notes = try run(script(before, "local g = f return { y = 1 }")).notes
          #expect(notes.contains { $0.contains("cannot be compared") && $0.contains(words) }, "\(before): \(notes)")
        }
        #expect(
          !(try run(script("local f = io.stdout", "local g = f return { y = 1 }"))).notes.joined().contains("cannot"))
      }
    }

    /// What the run itself changes (a counter, a cache) is no other definition, neither in this process nor the next.
    @Test func stateOfTheRunItselfIsNoChange() throws {
      try experiment.inFolder { () throws in
        let twice = """
          local cache = {}
          local function go(name)
            return sweep{ name = name, grid = { x = { 1, 2 } }, run = function(point)
              calls = calls + 1
              cache[point.x] = { calls }
              return { y = point.x }
            end }
          end
          go("a") go("a") go("a")
          """
        #expect(try run(twice).calls == 2)
        #expect(try run(twice).calls == 0)
      }
    }

    @Test func freshMakesAllRowsAgainAndKeepsTheOld() throws {
      try experiment.inFolder { () throws in
        #expect(try run(script("", "return { y = os.clock() }")).calls == 3)
        #expect(try run(script("", "return { y = os.clock() }", more: "fresh = true,")).calls == 3)
        #expect(try run(script("", "return { y = os.clock() }")).calls == 0)
        #expect(try String(contentsOfFile: "runs/s/rows.jsonl", encoding: .utf8).split(separator: "\n").count == 6)
      }
    }

    @Test func theFirstRecordIsLeftAlone() throws {
      try experiment.inFolder { () throws in
        _ = try run(script("local k = 1", "return { y = k }"))
        let card = try String(contentsOfFile: "runs/s/run.json", encoding: .utf8)
        _ = try run(script("local k = 1", "return { y = k }"))
        _ = try run(script("local k = 2", "return { y = k }"))
        #expect(try String(contentsOfFile: "runs/s/run.json", encoding: .utf8) == card)
        let resumes = try String(contentsOfFile: "runs/s/resumed.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(resumes.count == 2 && resumes[1].contains("\"definition\""))
      }
    }

    @Test func numbersComeBackAsTheyWere() throws {
      try experiment.inFolder { () throws in
        let body = "return { a = 0 / 0, b = 1 / 0, c = -1 / 0, d = 2.0, e = 2, f = 0.1, g = 'nan', h = { 1 / 0 } }"
        let look = """
          for i = 1, #rows do local r = rows[i]
            print(r.a ~= r.a, r.b == math.huge, r.c == -math.huge, math.type(r.d), math.type(r.e), r.f == 0.1, r.g, r.h[1])
          end
          """
        let first = try run(script("", body) + "\n" + look), again = try run(script("", body) + "\n" + look)
        #expect(again.calls == 0 && first.calls == 3)
        let line = "true\ttrue\ttrue\tfloat\tinteger\ttrue\tnan\tinf\n"
        #expect(first.text.hasPrefix(line + line + line) && again.text.hasPrefix(line + line + line), "\(again.text)")
        let axis = """
          rows = sweep{ name = "axis", grid = { c = { 1 / 0, 0.5, 1, 1.0 } }, run = function(p)
            calls = calls + 1
            return { y = p.c }
          end }
          """
        #expect(try run(axis).calls == 4)
        #expect(try run(axis + "\nassert(rows[1].c == math.huge and rows[1].y == math.huge)").calls == 0)
      }
    }

    @Test func aRunsOwnRowsKeepTheirNumbers() throws {
      try experiment.inFolder { () throws in
        let text = try printed(
          """
          local r = run.start("n")
          r:row{ a = 0 / 0, b = -1 / 0 }
          local row = data.jsonl(r.folder .. "/rows.jsonl")[1]
          print(row.a ~= row.a, row.b)
          """)
        #expect(text == "true\t-inf\n")
      }
    }

    @Test func wrongResultsAreErrors() throws {
      try experiment.inFolder { () throws in
        let axis = try #require(throws: LuaError.self) { try run(script("", "return { x = 5 }")) }
        #expect(axis.message.contains("'x'") && axis.message.contains("axis"))
        let list = try #require(throws: LuaError.self) { try run(script("", "return { [0] = 5 }")) }
        #expect(list.message.contains("[0]"))
        let number = try #require(throws: LuaError.self) { try run(script("", "return 5")) }
        #expect(number.message.contains("table of named results"))
        // Nothing of that is on disk.
        #expect(access("runs/s/rows.jsonl", F_OK) != 0)
      }
    }

    @Test func anotherOrderOfAxesFindsTheSameRows() throws {
      try experiment.inFolder { () throws in
        func sweep(_ order: String) -> String {
          """
          rows = sweep{ name = "o", grid = { a = { 1, 2 }, b = { 3, 4 } }, order = { \(order) }, run = function(p)
            calls = calls + 1
            return { y = p.a * 10 + p.b }
          end }
          print(rows[2].y)
          """
        }
        let first = try run(sweep("'a', 'b'")), second = try run(sweep("'b', 'a'"))
        #expect(first.calls == 4 && first.text.hasPrefix("14\n"))
        #expect(second.calls == 0 && second.text.hasPrefix("23\n"))
      }
    }

    /// Ctrl-C during row 2: rows 1 stays, row 2 is none, and the sweep hands back what there is.
    @Test func aRowThatSawAnInterruptionIsNoRow() throws {
      try experiment.inFolder { () throws in
        for body in [
          "if point.x == 2 then probe.interrupt() end return { y = point.x }",
          "if point.x == 2 then pcall(function() probe.interrupt() probe.poll() end) end return { y = point.x }",
          "local t = point.x == 2 and probe.partial() or 'whole' return { y = t }",
        ] {
          LuaState.installInterruptHandler()
          let (state, output) = try makeState()
          try state.execute(
            chunk: Array(("calls = 0\n" + script("", body) + "\nprint(#rows, rows[1].y)").utf8), name: "=test")
          state.close()
          Interrupt.clear()
          #expect(output.text.hasPrefix("1\t"), "\(body): \(output.text)")
          #expect(output.notes.contains { $0.contains("1 of 3 rows are in runs/s") }, "\(output.notes)")
          let rows = try String(contentsOfFile: "runs/s/rows.jsonl", encoding: .utf8)
          #expect(rows.split(separator: "\n").count == 1)
          try FileManager.default.removeItem(atPath: "runs")
        }
      }
    }

    @Test func aSecondWriterIsTurnedAway() throws {
      try experiment.inFolder { () throws in
        let nested = script("", "sweep{ name = 's', grid = { x = { 1 } }, run = function() return {} end } return {}")
        let inner = try #require(throws: LuaError.self) { try run(nested) }
        #expect(inner.message.contains("runs/s is being written by") && inner.message.contains("\(getpid())"))
        // Freed with its holder, also after an error.
        #expect(try run(script("", "return { y = 1 }")).calls == 3)
        let lock = try FolderLock(folder: "runs/s")
        let outer = try #require(throws: LuaError.self) { try run(script("", "return { y = 1 }")) }
        #expect(outer.message.contains("runs/s is being written by"))
        withExtendedLifetime(lock) {}
      }
    }

    /// Hooks and interventions that are there when it starts.
    @Test func modelsCountWithTheirInterventions() throws {
      try experiment.inFolder { () throws in
        guard let path = try ScriptModels.copyOfTiny(into: "tiny") else { return }
        let load = "local m = model.load('\(path)') "
        let body = "return { y = m:run{ tokens = { 1, 2 } }.logits:sum() }"
        #expect(try run(script(load, body)).calls == 3)
        #expect(try run(script(load, body)).calls == 0)
        for (first, second) in [
          ("m:add{ dir = tensor.ones(m.d_model), layer = 0 }", "m:add{ dir = tensor.ones(m.d_model) * 2, layer = 0 }"),
          ("m:add{ dir = tensor.ones(m.d_model), layer = 0 }", "m:add{ dir = tensor.ones(m.d_model), layer = 1 }"),
          (
            "m:hook{ layer = 0, fn = function(x) return x end }",
            "m:hook{ layer = 0, fn = function(x) return x * 2 end }"
          ),
        ] {
          #expect(try run(script(load + first, body, more: "fresh = true,")).calls == 3)
          #expect(try run(script(load + first, body)).calls == 0)
          #expect(try run(script(load + second, body, more: "fresh = true,")).calls == 3)
          #expect(try run(script(load + second, body)).calls == 0)
        }
        #expect(try run(script(load, body)).calls == 0)
        // One byte of the weights, which a fingerprint of samples may miss.
        let file = path + "/model.safetensors"
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
        bytes[bytes.count - 7] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        #expect(try run(script(load, body)).calls == 3)
      }
    }
  }
}
