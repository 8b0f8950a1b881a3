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
        "Calls a function for every point of a grid and keeps its rows in runs/NAME/rows.jsonl. A rerun skips what is "
          + "there; Ctrl-C keeps what is done. When the function's code has changed, the old rows are put aside.",
        options: [
          Option("name", "string", .required, "folder below runs/"),
          Option("grid", "{ [axis] = list or iterator }", .required, "values of each axis"),
          Option("order", "list of strings", .computed("sorted axis names"), "axes from slowest to fastest"),
          Option("run", "function(point)", .required, "returns a table of results"),
        ],
        results: "list of rows: the point's values and the results together",
        example: """
          local rows = sweep{ name = "squares", grid = { x = { 1, 2, 3 } }, run = function(point)
            return { square = point.x ^ 2 }
          end }
          show(rows)
          """
      ) { call in
        let options = try call.options()
        let function = try options.required("run").function()
        let axes = try options.axes()
        let folder = try RunFolder(
          name: try options.string("name"), isResumable: true,
          facts: try call.runFacts(.object(["grid": .object(axes.mapValues { .array($0) })])))
        let code = String(function.codeHash, radix: 16)
        var known = try folder.rows()
        if known.contains(where: { $0["code"]?.string != code }) {
          call.state.output.note(
            "the sweep's function has changed: earlier rows are in \(folder.path)/rows.before.jsonl")
          try folder.setRowsAside()
          known = []
        }
        var done: [String: JSONValue] = [:]
        for row in known { if let point = row["point"], let result = row["result"] { done[point.text] = result } }
        let points = grid(axes)
        var rows: [JSONValue] = []
        try call.withProgress("sweep", total: points.count) { update in
          for (i, point) in points.enumerated() {
            let key = JSONValue.object(point)
            if done[key.text] == nil {
              try Interrupt.check()
              let result = try function.call([key], results: 1) { try $0[0].json() }
              guard case .object = result else { throw call.error("run must return a table of named results") }
              try folder.row(.object(["code": .string(code), "point": key, "result": result]))
              done[key.text] = result
            }
            var row = point
            if let result = done[key.text]?.object { row.merge(result) { $1 } }
            rows.append(.object(row))
            update(i + 1)
          }
        }
        return call.push(LuaList(rows))
      }
    ])

  /// All points, the last axis fastest.
  private static func grid(_ axes: OrderedDictionary<String, [JSONValue]>) -> [OrderedDictionary<String, JSONValue>] {
    axes.reduce([[:]]) { points, axis in
      points.flatMap { point in
        axis.value.map { value in
          var next = point
          next[axis.key] = value
          return next
        }
      }
    }
  }
}

extension OptionReader {
  fileprivate func axes() throws -> OrderedDictionary<String, [JSONValue]> {
    let table = try required("grid")
    let names = try table.fieldNames(limit: 32)
    let order = try optional("order")?.list { try $0.string() } ?? names
    guard Set(order) == Set(names), order.count == names.count, !names.isEmpty else {
      throw call.error("order must name each axis of the grid once: \(names.joined(separator: ", "))")
    }
    var axes: OrderedDictionary<String, [JSONValue]> = [:]
    var count = 1
    for name in order {
      guard let reader = table.field(name) else { continue }
      var values: [JSONValue] = []
      if reader.isTable {
        values = try reader.list { try $0.json() }
      } else if reader.isObject(LayersObject.self) {
        values = (0..<(try reader.object(LayersObject.self).count)).map { .integer($0) }
      } else {
        let function = try reader.function()
        while values.count < 100_000 {
          let value = try function.call([], results: 1) { $0[0].isNil ? nil : try $0[0].json() }
          guard let value else { break }
          values.append(value)
        }
      }
      count *= max(1, values.count)
      guard !values.isEmpty, count <= 10_000_000 else {
        throw reader.error(values.isEmpty ? "the axis has no values" : "the grid has too many points")
      }
      axes[name] = values
    }
    return axes
  }
}
