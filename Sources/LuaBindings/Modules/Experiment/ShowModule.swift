import Engine
import Foundation

extension Module {
  static let show = Module(
    "show", "Tables for people.",
    globals: [
      Function(
        "show", "show(rows [, { sort =, limit =, columns = }])",
        "Prints rows as a table: a list of tables or of lists (a column for every name, then for every entry), or a table "
          + "of them by key.",
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
          Option(
            "x", "list of numbers, tensor or m:layers()", .computed("the keys of y: 1, 2, ... of a list"),
            "shared by all curves; give it for layers and heads, which count from 0"),
          Option("y", "list of numbers or tensor", .none, "one curve"),
          Option("series", "{ [label] = list of numbers } or list of { label =, x =, y = }", .none, "several curves"),
        ] + plotOptions,
        results: "nothing", example: "plot.line{ title = \"loss\", y = { 3, 2, 1.5, 1.2 } }"
      ) { call in
        let options = try call.options()
        try call.draw(options, .line(try options.curves()), xLabel: try options.xLabel(given: options.hasPlaces))
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
        try call.draw(options, try options.heatmap())
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

extension Call {
  func draw(_ options: OptionReader, _ content: Plot.Content, file: String? = nil, xLabel: String? = nil) throws {
    let plot = Plot(
      title: try options.string("title"), xLabel: try xLabel ?? options.string("xlabel"),
      yLabel: try options.string("ylabel"), content: content)
    if !content.hasValues { state.output.note("\(name): none of the values is a finite number") }
    try state.output.draw(plot, file: try file ?? options.optional("file")?.string())
  }
}
