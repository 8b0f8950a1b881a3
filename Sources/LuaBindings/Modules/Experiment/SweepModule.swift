import CShim
import Engine
import OrderedCollections
import Transfer

extension Module {
  static let sweep = Module(
    "sweep", "Grids of experiments that resume.",
    globals: [
      Function(
        "sweep", "sweep{ name =, grid =, order =, run = function(point) return { ... } end }",
        "Calls a function for every point of a grid and keeps its rows in runs/NAME/rows.jsonl. A rerun takes from there "
          + "what follows from the same things, and says how many rows that are: the code of the function and of all "
          + "it calls, the values of their upvalues and globals (models, adapters, interventions, tensors by content), "
          + "the script's arguments, files read through data, the version. Rows of another definition stay on disk. "
          + "Ctrl-C hands back the rows that are done; the same call goes on from there. Draws without a seed (tensors, "
          + "math.random) start anew at each point, from its values and the number of tensor.seed.",
        options: [
          Option("name", "string", .required, "folder below runs/; one process at a time writes to it"),
          Option("grid", "{ [axis] = list or iterator }", .required, "values of each axis"),
          Option("order", "list of strings", .computed("sorted axis names"), "axes from slowest to fastest"),
          Option("run", "function(point)", .required, "returns a table of results; no key may be an axis"),
          Option("fresh", "boolean", .boolean(false), "makes all rows again; the old ones stay on disk"),
        ],
        results: "list of rows: the point's values and the results together",
        example: """
          local rows = sweep{ name = "squares", grid = { x = { 1, 2, 3 } }, run = function(point)
            return { square = point.x ^ 2 }
          end }
          show(rows)
          """
      ) { call in
        let options = try call.options(), record = call.state.experiments
        let name = try options.string("name")
        let function = try options.required("run").function()
        let grid = try options.grid()
        let state = call.state, stream = state.random
        defer { state.random = stream }
        let now = try call.dependencies(of: function)
        let before = record.sweeps[name].map(now.undoing) ?? now
        let sweep = try call.naming {
          try Sweep(
            name: name, grid: grid, dependencies: before, facts: try call.runFacts(nil),
            fresh: try options.boolean("fresh"), files: record.files)
        }
        call.state.output.note("sweep \(name): " + sweep.notes.joined(separator: "; "))
        defer {
          if let after = try? call.dependencies(of: function) { record.sweeps[name] = (before, after) }
        }
        let outcome = try call.withProgress("sweep \(name)", total: grid.count) { update in
          try sweep.run(interruptions: { call.state.interruptions }, update: update) { point in
            record.running += 1
            defer { record.running -= 1 }
            // A resumed sweep draws what an undisturbed one does.
            let seed = SHA256.number(of: point.text)
            state.random = RandomGenerator(seed: state.randomSeed &+ seed)
            state.seedLuaRandom(seed)
            return try function.call([point], results: 1) { try $0[0].json() }
          }
        }
        if outcome.isInterrupted {
          call.state.output.note(
            "sweep \(name): interrupted; \(outcome.rows.count) of \(grid.count) rows are in \(sweep.folder.path) and "
              + "handed back, the row in progress is not. The same call goes on from there")
          call.state.deferInterruption()
        }
        return call.push(LuaList(outcome.rows))
      }
    ])
}

extension Call {
  /// Errors of `body` with the function's name in front.
  func naming<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let failure as EngineError {
      throw failure.kind == .interrupted ? failure : EngineError(failure.kind, "\(name): \(failure.message)")
    }
  }
}

extension SHA256 {
  /// A number from 0 to 2^48 that a text decides.
  fileprivate static func number(of text: String) -> Int {
    Int(hex(of: Array(text.utf8)).prefix(12), radix: 16) ?? 0
  }
}

extension LuaState {
  /// Starts the stream of `math.random` at a number, as a script's `math.randomseed` does.
  fileprivate func seedLuaRandom(_ seed: Int) {
    guard let stack = currentStack else { return }
    let base = stack.top
    defer { lua_settop(stack.pointer, base) }
    pushGlobals(on: stack)
    for name in ["math", "randomseed"] {
      guard lua_type(stack.pointer, -1) == LUA_TTABLE else { return }
      stack.push(name)
      lua_rawget(stack.pointer, -2)
    }
    guard lua_iscfunction(stack.pointer, -1) != 0 else { return }
    lua_pushinteger(stack.pointer, lua_Integer(seed))
    _ = lua_pcallk(stack.pointer, 1, 0, 0, 0, nil)
  }

  /// How often Ctrl-C was pressed since the host called into Lua.
  var interruptions: Int { current.map { Int(act_interrupt_count($0)) } ?? 0 }
}

extension OptionReader {
  fileprivate func grid() throws -> Grid {
    let table = try required("grid")
    let names = try table.fieldNames(limit: 32)
    let order = try optional("order")?.list { try $0.string() } ?? names
    guard Set(order) == Set(names), order.count == names.count, !names.isEmpty else {
      throw call.error("order must name each axis of the grid once: \(names.joined(separator: ", "))")
    }
    var axes: OrderedDictionary<String, [JSONValue]> = [:]
    for name in order {
      guard let reader = table.field(name) else { continue }
      axes[name] = try reader.axisValues()
      guard axes[name]?.isEmpty == false else { throw reader.error("the axis has no values") }
    }
    return try call.naming { try Grid(axes: axes) }
  }
}

extension ArgumentReader {
  /// Values of an axis: a list, a model's layers, or what an iterator yields.
  fileprivate func axisValues() throws -> [JSONValue] {
    if isTable {
      return try list { value in
        guard !value.isTensor else {
          throw value.error("a tensor has no place in a row: give its number in a list that run knows")
        }
        return try value.json()
      }
    }
    if isObject(LayersObject.self) { return (0..<(try object(LayersObject.self).count)).map { .integer($0) } }
    let function = try function()
    var values: [JSONValue] = []
    while let value = try function.call([], results: 1, { $0[0].isNil ? nil : try $0[0].json() }) {
      guard values.count < 100_000 else { throw error("the iterator yields more than 100,000 values") }
      values.append(value)
    }
    return values
  }
}
