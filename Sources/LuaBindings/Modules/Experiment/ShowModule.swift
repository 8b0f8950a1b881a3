import Engine
import Foundation

extension Module {
  static let show = Module(
    "show", "Tables for people.",
    globals: [
      Function(
        "show", "show(rows [, { sort =, limit =, columns = }])",
        "Prints rows as a table: a list of tables with the same keys, or a list of lists.",
        options: [
          Option("sort", "string", .none, "column to sort by; a leading - sorts downwards"),
          Option("limit", "integer", .none, "rows shown at most"),
          Option("columns", "list of strings", .none, "columns and their order"),
        ],
        results: "nothing",
        example: "show({ { layer = 1, rate = 0.5 }, { layer = 2, rate = 0.75 } }, { sort = \"-rate\" })"
      ) { call in
        let options = try call.options(2)
        var table = try call.argument(1).dataTable(columns: try options.optional("columns")?.list { try $0.string() })
        if let sort = try options.optional("sort")?.string() { try table.sort(by: sort) }
        table.limit = try options.optional("limit")?.integer(in: 1...Int.max)
        call.state.output.show(table)
        return 0
      }
    ])

  static let plot = Module(
    "plot", "Plots in the terminal, or in a file when file = \"name.png\" or \".svg\" is given (gnuplot).",
    functions: [
      Function(
        "line", "plot.line{ x =, y = | series =, ... }", "Curves: one from x and y, or several in series.",
        options: [
          Option("x", "list of numbers", .computed("1, 2, ..."), "shared by all curves"),
          Option("y", "list of numbers", .none, "one curve"),
          Option("series", "{ [label] = list of numbers } or list of { label =, x =, y = }", .none, "several curves"),
        ] + plotOptions,
        results: "nothing", example: "plot.line{ title = \"loss\", y = { 3, 2, 1.5, 1.2 } }"
      ) { call in
        let options = try call.options()
        try call.draw(options, .line(try options.curves()))
        return 0
      },
      Function(
        "bar", "plot.bar{ labels =, values =, ... }", "One bar for each label.",
        options: [
          Option("labels", "list of strings", .required, "one per bar"),
          Option("values", "list of numbers", .required, "one per bar"),
        ] + plotOptions,
        results: "nothing", example: "plot.bar{ labels = { \"a\", \"b\" }, values = { 0.2, 0.7 } }"
      ) { call in
        let options = try call.options()
        try call.draw(options, try options.bars())
        return 0
      },
      Function(
        "heatmap", "plot.heatmap{ values =, rows =, columns =, ... }", "A matrix as shades.",
        options: [
          Option("values", "nested lists or tensor [rows, columns]", .required, "first row at the top"),
          Option("rows", "list of strings", .none, "labels of rows"),
          Option("columns", "list of strings", .none, "labels of columns"),
        ] + plotOptions,
        results: "nothing", example: "plot.heatmap{ values = { { 0, 1 }, { 1, 0 } } }"
      ) { call in
        let options = try call.options()
        let reader = try options.required("values")
        let values: [[Double]]
        if reader.isTensor {
          let tensor = try reader.tensor()
          guard tensor.rank == 2 else { throw reader.mismatch("a tensor [rows, columns]") }
          let flat = tensor.values, width = tensor.shape[1]
          values = (0..<tensor.shape[0]).map { row in flat[row * width..<(row + 1) * width].map(Double.init) }
        } else {
          values = try reader.list { try $0.list { try $0.number(finite: false) } }
        }
        guard let first = values.first, !first.isEmpty, values.allSatisfy({ $0.count == first.count }) else {
          throw reader.error("rows must have the same number of values, at least one")
        }
        try call.draw(
          options,
          .heatmap(
            values: values, rowLabels: try options.optional("rows")?.list { $0.caption } ?? [],
            columnLabels: try options.optional("columns")?.list { $0.caption } ?? []))
        return 0
      },
    ])

  static let plotOptions: [Option] = [
    Option("title", "string", .string(""), "above the plot"),
    Option("xlabel", "string", .string(""), "below the x axis"),
    Option("ylabel", "string", .string(""), "beside the y axis"),
    Option("file", "string", .none, "writes a .png or .svg instead of drawing in the terminal"),
  ]

  static let progress = Module(
    "progress", "Progress of loops.",
    globals: [
      Function(
        "progress", "progress(list | iterator [, label] [, ...])",
        "Goes through a list (index, value) or what an iterator yields, with a progress line and the time left. What "
          + "else an iterator comes with, as from io.lines, may follow.",
        results: "iterator", example: "for i, text in progress({ \"a\", \"b\" }, \"texts\") do print(i, text) end"
      ) { call in
        let label = try call.optionalArgument(2)?.string() ?? ""
        let reader = call.argument(1)
        if reader.isTable { try call.limitArguments(2) }
        let count =
          reader.isTable
          ? reader.listCount : (reader.isObject(LayersObject.self) ? try reader.object(LayersObject.self).count : nil)
        let state = ProgressObject(output: call.state.output, label: label, count: count)
        call.push(state)
        call.pushArgument(1)
        return 2
      }
    ], types: [ProgressObject.self])
}

/// The iterator behind `progress`.
final class ProgressObject: LuaObject {
  private let output: any Output
  private var task: Int?
  private var done = 0

  init(output: any Output, label: String, count: Int?) {
    self.output = output
    task = output.progressBegin(label, total: count)
  }

  deinit { finish(completed: false) }

  func step() {
    if let task { output.progressUpdate(task, done: done) }
    done += 1
  }

  func finish(completed: Bool) {
    guard let task else { return }
    output.progressEnd(task, done: completed ? max(0, done - 1) : done, completed: completed)
    self.task = nil
  }

  var summary: String { "progress after \(done) steps" }

  static let luaType = ObjectType(
    "progress", "The iterator of `progress`.",
    operators: [
      Function(
        "__call", "next(list, last)", "The next entry.", results: "index, value",
        example: "for i, x in progress({ 1, 2 }) do print(i, x) end"
      ) { call in
        let progress = try call.this(ProgressObject.self)
        progress.step()
        let source = call.argument(2)
        if source.isTable {
          let place = (try call.optionalArgument(3)?.integer() ?? 0) + 1
          guard source.entry(place) != nil else {
            progress.finish(completed: true)
            return call.push(LuaNil())
          }
          call.push(place)
          call.stack.copy(-2)
          return 2
        }
        // A function, or an object that can be called: layers go on from the last one.
        let last = source.isObject(LayersObject.self) ? try call.optionalArgument(3)?.integer() : nil
        let count = try call.callValue(at: 2, last.map { [LuaNil(), $0] } ?? [])
        if count == 0 || call.stack.isNil(at: -Int32(count)) { progress.finish(completed: true) }
        return count
      }
    ])
}

extension OptionReader {
  func curves() throws -> [Plot.Series] {
    let shared = try optional("x")?.list { try $0.number(finite: false) }
    func series(_ label: String, _ y: [Double], at x: [Double]? = nil) throws -> Plot.Series {
      let places = x ?? shared ?? y.indices.map { Double($0 + 1) }
      guard places.count == y.count else {
        throw call.error("x has \(places.count) values, y\(label.isEmpty ? "" : " of " + label) has \(y.count)")
      }
      return Plot.Series(label: label, x: places, y: y)
    }
    let (name, value) = try oneOf(["y", "series"])
    if name == "y" { return [try series("", try value.list { try $0.number(finite: false) })] }
    if value.listCount > 0 {
      return try value.list { curve in
        if curve.isTable { try curve.checkKeys(["label", "x", "y"]) }
        guard let label = curve.field("label"), let y = curve.field("y") else {
          throw curve.error("a curve needs label and y")
        }
        return try series(
          label.caption, y.list { try $0.number(finite: false) },
          at: curve.field("x")?.list { try $0.number(finite: false) })
      }
    }
    return try value.fieldNames().map { label in
      try series(label, try value.field(label)?.list { try $0.number(finite: false) } ?? [])
    }
  }

  func bars() throws -> Plot.Content {
    let labels = try required("labels").list { $0.caption }
    let values = try required("values").list { try $0.number(finite: false) }
    guard labels.count == values.count, !labels.isEmpty else {
      throw call.error("\(labels.count) labels do not fit \(values.count) values")
    }
    return .bar(labels: labels, values: values)
  }
}

extension ArgumentReader {
  /// What a label shows: strings as they are, numbers as Lua writes them.
  var caption: String { isString ? ((try? string()) ?? "") : stack.number(at: index) }

  var cell: DataTable.Cell {
    if isNil { return .empty }
    if isBoolean { return .boolean((try? boolean()) ?? false) }
    if isNumber {
      if let value = try? integer() { return .integer(value) }
      return .number((try? number(finite: false)) ?? .nan)
    }
    if isString { return .text((try? string()) ?? "") }
    if isTable, let list = try? list({ $0.isNumber || $0.isString ? $0.caption : "..." }) {
      return .text("{" + list.prefix(6).joined(separator: ", ") + (list.count > 6 ? ", ..." : "") + "}")
    }
    return .text(stack.found(at: index))
  }

  /// A list of tables (columns by key, in `columns`' order, else "name" and "row" first, then sorted) or of lists.
  func dataTable(columns: [String]?) throws -> DataTable {
    guard isTable else { throw mismatch("a list of rows") }
    let count = listCount
    var keys = columns ?? []
    if columns == nil {
      var seen = Set<String>()
      for place in 1..<(count + 1) {
        guard let row = entry(place) else { continue }
        guard row.isTable else { throw row.mismatch("a row (a table)") }
        for name in try row.fieldNames(limit: 1000, allowList: true) where seen.insert(name).inserted {
          keys.append(name)
        }
        stack.pop()
      }
      keys.sort()
    }
    if keys.isEmpty {
      let rows = try list { try $0.list { $0.cell } }
      let width = rows.map(\.count).max() ?? 0
      return DataTable(
        columns: (1..<(width + 1)).map(String.init),
        rows: rows.map { $0 + Array(repeating: .empty, count: width - $0.count) })
    }
    let rows = try list { row in
      keys.map { key -> DataTable.Cell in
        guard let value = row.field(key) else { return .empty }
        defer { row.stack.pop() }
        return value.cell
      }
    }
    return DataTable(columns: keys, rows: rows)
  }
}

extension DataTable {
  mutating func sort(by name: String) throws {
    let isDown = name.hasPrefix("-"), column = isDown ? String(name.dropFirst()) : name
    guard let place = columns.firstIndex(of: column) else {
      throw EngineError(.argument, "show: no column '\(column)'\(suggestion(for: column, in: columns)) to sort by")
    }
    func value(_ cell: Cell) -> (Double, String) {
      switch cell {
      case .integer(let value): (Double(value), "")
      case .number(let value): (value.isNaN ? .infinity : value, "")
      case .boolean(let value): (value ? 1 : 0, "")
      case .text(let text): (0, text)
      case .empty: (.infinity, "")
      }
    }
    let order = rows.enumerated().sorted { a, b in
      let x = value(a.element[place]), y = value(b.element[place])
      if x == y { return a.offset < b.offset }
      return isDown ? x > y : x < y
    }
    rows = order.map(\.element)
  }
}

extension Call {
  func draw(_ options: OptionReader, _ content: Plot.Content, file: String? = nil) throws {
    let plot = Plot(
      title: try options.string("title"), xLabel: try options.string("xlabel"), yLabel: try options.string("ylabel"),
      content: content)
    try state.output.draw(plot, file: try file ?? options.optional("file")?.string())
  }
}
