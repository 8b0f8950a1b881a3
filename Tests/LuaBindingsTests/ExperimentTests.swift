import Foundation
import Testing

@testable import LuaBindings

extension LuaTests {
  /// Modules data, args, run, sweep, show, progress.
  @Suite struct Experiment {
    /// Runs `body` in a fresh working folder.
    func inFolder(_ body: () throws -> Void) throws {
      let before = FileManager.default.currentDirectoryPath
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent("acthost-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer {
        _ = FileManager.default.changeCurrentDirectoryPath(before)
        try? FileManager.default.removeItem(atPath: folder)
      }
      _ = FileManager.default.changeCurrentDirectoryPath(folder)
      try body()
    }

    func write(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: name))
    }

    @Test func filesBecomeLists() throws {
      try inFolder {
        try write("a.txt", "one\n\n two \r\nthree")
        try write("b.jsonl", "{\"q\": \"x\", \"n\": 3}\n{\"q\": \"y\", \"n\": 4.5}\n")
        try write("c.csv", "name,text\r\na,\"x, \"\"y\"\"\nz\"\r\nb,\r\n")
        let script = """
          print(table.concat(data.lines("a.txt"), "|"), #data.lines("a.txt", { limit = 2 }))
          print(table.concat(data.jsonl("b.jsonl", { field = "q" }), "|"), data.jsonl("b.jsonl")[1].n)
          local rows = data.csv("c.csv")
          print(#rows, rows[1].text, rows[2].text == "")
          local a, b = data.split({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, { 0.7, 0.3 }, 1)
          table.move(b, 1, #b, #a + 1, a) table.sort(a)
          print(#b, table.concat(a, ""))
          """
        #expect(try printed(script) == "one|two|three\t2\nx|y\t3\n2\tx, \"y\"\nz\ttrue\n3\t12345678910\n")
      }
    }

    @Test func damagedFilesNameTheLine() throws {
      try inFolder {
        try write("b.jsonl", "{\"q\": 1}\n{\"q\": \n")
        try write("c.csv", "a,b\n1\n")
        try write("d.csv", "a,b\n\"1,2\n")
        for (script, part) in [
          ("data.jsonl('b.jsonl')", "b.jsonl, line 2"), ("data.jsonl('b.jsonl', { field = 'p' })", "no field 'p'"),
          ("data.csv('c.csv')", "record 2 has 1 fields"), ("data.csv('d.csv')", "not closed"),
          ("data.lines('none.txt')", "none.txt"), ("data.lines('b.jsonl', { limits = 3 })", "did you mean limit"),
        ] {
          let text = try printed("print(select(2, pcall(function() \(script) end)))")
          #expect(text.contains(part), "\(script): \(text)")
        }
      }
    }

    @Test func argumentsFollowTheirDefaults() throws {
      let script = """
        arg = { "--n", "3", "--name=x y", "--no-fast", "--layers", "1,2", "--rate=0.25" }
        local o = args.parse{ n = 1, name = "", fast = true, layers = { 0 }, rate = 1.5, other = "kept" }
        print(o.n, o.name, o.fast, #o.layers, o.layers[2], o.rate, o.other)
        arg = { "--a", "--b", "false", "--c", "true", "--n", "2" }
        o = args.parse{ a = false, b = true, c = false, n = 1 }
        print(o.a, o.b, o.c, o.n)
        arg = { "--a", "no" }
        print(select(2, pcall(args.parse, { a = false })))
        arg = { "--nn", "3" }
        print(select(2, pcall(args.parse, { n = 1 })))
        arg = { "--n", "many" }
        print(select(2, pcall(args.parse, { n = 1 })))
        """
      let text = try printed(script)
      #expect(text.hasPrefix("3\tx y\tfalse\t2\t2\t0.25\tkept\ntrue\tfalse\ttrue\t2\n"))
      #expect(text.contains("unexpected argument 'no'"))
      #expect(text.contains("did you mean n") && text.contains("expects a number, found 'many'"))
    }

    @Test func runsKeepRowsTensorsAndFacts() throws {
      try inFolder {
        let script = """
          local r = run.start("trial", { seed = 4 })
          r:row{ layer = 1, rate = 0.5, list = { 1, 2 } }
          r:row{ layer = 2, name = "a\\nb" }
          r:save("v", tensor.from({ 1, 2, 3 }))
          r:save("both", { a = tensor.ones(2), b = tensor.zeros(2, 2) })
          print(tensor.load(r.folder .. "/v.safetensors").value, #tensor.load(r.folder .. "/both.safetensors").b)
          local rows = data.jsonl(r.folder .. "/rows.jsonl")
          print(#rows, rows[1].list[2], rows[2].name)
          print(data.jsonl(r.folder .. "/run.json")[1].seed)
          print(pcall(r.save, r, "../out", tensor.ones(1)))
          """
        let text = try printed(script)
        #expect(text.contains("[1 2 3]") || text.contains("[3]"))
        #expect(text.contains("\n2\t2\ta\nb\n4\nfalse\t"), "\(text)")
      }
    }

    /// A sweep that stops half-way goes on where it stopped, with the same rows.
    @Test func sweepsResume() throws {
      try inFolder {
        let script = """
          calls = 0
          local function go()
            return sweep{ name = "grid", grid = { layer = { 0, 1, 2 }, coeff = { 1, 2.5 } }, order = { "layer", "coeff" },
              run = function(point)
                calls = calls + 1
                if calls == 5 then error("stopped") end
                return { value = point.layer * 10 + point.coeff }
              end }
          end
          print(pcall(go))
          local rows = go()
          print(calls, #rows, rows[1].value, rows[6].value, rows[2].coeff)
          go()
          print(calls)
          """
        let text = try printed(script)
        #expect(text.contains("stopped") && text.hasSuffix("7\t6\t1\t22.5\t2.5\n7\n"), "\(text)")
        // A row that a crash cut short is made again.
        let path = "runs/grid/rows.jsonl"
        let whole = try String(contentsOfFile: path, encoding: .utf8)
        try write(path, String(whole.dropLast(10)))
        let again = try printed(script)
        #expect(again.hasSuffix("1\t6\t1\t22.5\t2.5\n1\n"), "\(again)")
      }
    }

    @Test func listsOfASplitSayWhatTheyAre() throws {
      for script in [
        "metrics.refusal_rate{ data.split({ 'a', 'b' }, { 0.5, 0.5 }) }",
        "show({}, (data.split({ 'a', 'b' }, { 0.5, 0.5 })))",
        "plot.bar{ labels = { 'a', 'b' }, values = { data.split({ 1, 2 }, { 0.5, 0.5 }) } }",
      ] {
        let error = try failure(script)
        #expect(error.message.contains("one list per fraction"), "\(script): \(error.message)")
      }
    }

    @Test func rowsAreShownWithAllTheyHold() throws {
      #expect(try printed("show({ { layer = 1, 5, 6 }, { layer = 2, 7 } })") == "layer\t1\t2\n1\t5\t6\n2\t7\t\n")
      #expect(try printed("show({ [0] = { a = 1 }, { a = 2 } })") == "key\ta\n0\t1\n1\t2\n")
      #expect(try printed("show({ x = { a = 1 }, y = { b = 2 } })") == "key\ta\tb\nx\t1\t\ny\t\t2\n")
      #expect(try printed("show({ { [0] = 3, 4 } })") == "0\t1\n3\t4\n")
      #expect(try printed("show({ 3, 4 })") == "value\n3\n4\n")
      #expect(try printed("show({ { 1, 2 }, { 3 } }, { sort = '-1' })") == "1\t2\n3\t\n1\t2\n")
      #expect(try printed("show({}, { columns = { 'a' } })") == "a\n")
      let misspelt = try failure("show({ { layer = 1, rate = 2 } }, { columns = { 'layer', 'ratte' } })")
      #expect(misspelt.message.contains("'ratte'") && misspelt.message.contains("did you mean rate"))
      #expect(try failure("show({ { a = 1 }, 5 })").message.contains("single values"))
    }

    @Test func plotsSayWhatDoesNotFit() throws {
      for (script, words) in [
        ("plot.line{ y = { 1, 2 }, x = { 1 } }", "x has 1 values"), ("plot.line{ y = {} }", "no values"),
        ("plot.line{ series = {} }", "no curve"), ("plot.line{ xlabel = 'layer', y = { 1, 2 } }", "x is missing"),
        ("plot.line{ xlabel = 'Layers', series = { a = { 1, 2 } } }", "x is missing"),
        ("plot.line{ series = { a = { 1 }, { label = 'b', y = { 1 } } } }", "not both"),
        ("plot.line{ series = { { label = 'b', y = { 1 }, xs = { 1 } } } }", "did you mean x"),
        ("plot.bar{ labels = { 'a' }, values = { 1, 2 } }", "1 labels do not fit 2 values"),
        ("plot.bar{ labels = { 'a' }, values = { [0] = 1, 2 } }", "[0]"),
        ("plot.heatmap{ values = { { 1, 2 }, { 3 } } }", "row 2 has 1 values"),
        ("plot.heatmap{ values = { { 1, 2 } }, columns = { 'a' } }", "1 labels"),
        ("plot.heatmap{ values = { { 1, 2 } }, rows = { 'a', 'b' } }", "2 labels"),
        ("plot.heatmap{ values = {} }", "no values"),
      ] {
        let error = try failure(script)
        #expect(error.message.contains(words), "\(script): \(error.message)")
      }
      let (state, output) = try makeState()
      defer { state.close() }
      try state.execute(chunk: Array("plot.line{ y = { 0 / 0 } }".utf8), name: "=test")
      #expect(output.notes.contains { $0.contains("finite") })
    }

    /// Without x, places are those of the table: from 0 where it has [0].
    @Test func curvesStandWhereTheirKeysAre() throws {
      final class Capturing: Output {
        let isTerminal = false, width = 80, colour = false
        var plots: [Plot] = []
        func write(_ bytes: [UInt8]) {}
        func note(_ text: String) {}
        func progressBegin(_ label: String, total: Int?) -> Int { 0 }
        func progressUpdate(_ task: Int, done: Int, detail: String) {}
        func progressEnd(_ task: Int, done: Int, completed: Bool) {}
        func show(_ table: DataTable) {}
        func draw(_ plot: Plot, file: String?) throws { plots.append(plot) }
      }
      let output = Capturing()
      let state = try LuaState(output: output)
      defer { state.close() }
      let script = """
        plot.line{ y = { [0] = 5, 6, 7 }, xlabel = "layer" }
        plot.line{ y = { 5, 6 } }
        plot.line{ y = tensor.from({ 5, 6 }), x = { 0, 1 }, xlabel = "layer" }
        plot.line{ series = { a = { [3] = 1, [7] = 2 } }, xlabel = "layer" }
        """
      try state.execute(chunk: Array(script.utf8), name: "=test")
      let x = output.plots.map { plot -> [Double] in
        if case .line(let series) = plot.content { series[0].x } else { [] }
      }
      #expect(x == [[0, 1, 2], [1, 2], [0, 1], [3, 7]])
      #expect(output.plots.map(\.xLabel) == ["layer", "entry, from 1", "layer", "layer"])
    }

    @Test func loopsWithProgressYieldWhatTheyWould() throws {
      let script = """
        local n = 0
        for i, x in progress({ "a", "b", "c" }, "letters") do n = n + i io.write(x) end
        print(n)
        for k in progress(string.gmatch("x y", "%a"), "words") do io.write(k) end
        print()
        for i in progress({}, "none") do print("never") end
        """
      #expect(try printed(script).hasSuffix("6\n\n") || (try printed(script)).contains("6"))
    }
  }
}
