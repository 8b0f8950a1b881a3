import Engine
import Foundation
import OrderedCollections
import Transfer

/// Names and fingerprints of the models a program has loaded, for run records.
enum LoadedModels {
  nonisolated(unsafe) private static var list: OrderedDictionary<String, JSONValue> = [:]

  static func add(_ model: Model) { list[model.name] = .string(model.hash) }

  static var json: JSONValue { .object(list) }
}

/// A run's folder as Lua holds it.
final class RunObject: LuaObject {
  let folder: RunFolder
  init(_ folder: RunFolder) { self.folder = folder }

  var summary: String { "run in \(folder.path)" }

  static let luaType = ObjectType(
    "run", "A run's folder: run.json, rows.jsonl, tensors, plots.",
    fields: [
      Field("folder", "string", "Path of the folder.") { call in call.push(try call.this(RunObject.self).folder.path) }
    ],
    methods: [
      Function(
        "row", "r:row{ ... }", "Appends a row to rows.jsonl; it is on disk when the call returns.", results: "nothing",
        example: "local r = run.start(\"sweep\")\nr:row{ layer = 3, rate = 0.5 }"
      ) { call in
        try Interrupt.check()  // what saw an interruption is no row
        try call.this(RunObject.self).folder.row(try call.argument(1).json())
        return 0
      },
      Function(
        "save", "r:save(name, value)",
        "Saves a tensor, or a table of tensors, as NAME.safetensors; text as NAME; anything else as NAME.json.",
        results: "the path", example: "local r = run.start(\"sweep\")\nr:save(\"direction\", tensor.ones(4))"
      ) { call in
        let folder = try call.this(RunObject.self).folder
        let name = try call.argument(1).string(), value = call.argument(2)
        let path: String
        if value.isTensor {
          path = try folder.file(name + ".safetensors")
          try TensorFiles.save(path, [(name: "value", tensor: try value.tensor())])
        } else if value.isTable, let names = try? value.fieldNames(), let first = names.first,
          value.field(first)?.isTensor == true
        {
          path = try folder.file(name + ".safetensors")
          let tensors = try names.map { key -> (name: String, tensor: Tensor) in
            guard let entry = value.field(key) else { throw value.error("lost '\(key)'") }
            return (key, try entry.tensor())
          }
          try TensorFiles.save(path, tensors)
        } else if value.isString {
          path = try folder.file(name)
          try folder.write(name, try value.string())
        } else {
          path = try folder.file(name + ".json")
          try folder.write(name + ".json", try value.json().text + "\n")
        }
        return call.push(path)
      },
      Function(
        "plot", "r:plot{ name =, x =, y = | series = | labels =, values =, ... }",
        "Draws curves or bars into NAME.svg of the folder; without gnuplot, the numbers go into NAME.json with a note.",
        options: [
          Option("name", "string", .required, "file name without extension"),
          Option(
            "x", "list of numbers, tensor or m:layers()", .computed("the keys of y: 1, 2, ... of a list"),
            "shared by all curves; give it for layers and heads, which count from 0"),
          Option("y", "list of numbers or tensor", .none, "one curve"),
          Option("series", "{ [label] = list of numbers } or list of { label =, x =, y = }", .none, "several curves"),
          Option("labels", "list of strings", .none, "bars"), Option("values", "list of numbers", .none, "bars"),
        ] + Module.plotOptions.dropLast(),
        results: "the path", example: "local r = run.start(\"sweep\")\nr:plot{ name = \"rate\", y = { 0.1, 0.5, 0.9 } }"
      ) { call in
        let folder = try call.this(RunObject.self).folder, options = try call.options()
        let name = try options.string("name")
        let isBar = options.isPresent("labels")
        let content: Plot.Content = isBar ? try options.bars() : .line(try options.curves())
        let xLabel = isBar ? nil : try options.xLabel(given: options.hasPlaces)
        let path = try folder.file(name + ".svg")
        do {
          try call.draw(options, content, file: path, xLabel: xLabel)
          return call.push(path)
        } catch let error as EngineError where error.kind == .missing {
          call.state.output.note("\(error.message); the numbers of \(name) are in \(folder.path)/\(name).json")
          try folder.write(name + ".json", try call.argument(1).json().text + "\n")
          return call.push("\(folder.path)/\(name).json")
        }
      },
    ])
}

extension Module {
  static let run = Module(
    "run", "Run folders: what was run, with what, and what came out.",
    functions: [
      Function(
        "start", "run.start(name [, facts])",
        "Makes runs/NAME/TIME with run.json: version, arguments, models with fingerprints, and your facts (seeds, options).",
        results: "run", example: "local r = run.start(\"refusal\", { seed = 0 })\nprint(r.folder)"
      ) { call in
        let name = try call.argument(1).string()
        return call.push(
          RunObject(try RunFolder(name: name, facts: try call.runFacts(try call.optionalArgument(2)?.json()))))
      }
    ], types: [RunObject.self])

  /// Version of the program, for run records.
  public nonisolated(unsafe) static var programVersion = "unknown"
  /// Whether loading and running models say what they hold (`--verbose`).
  public nonisolated(unsafe) static var isVerbose = false
}

extension Call {
  func runFacts(_ more: JSONValue?) throws -> OrderedDictionary<String, JSONValue> {
    var facts: OrderedDictionary<String, JSONValue> = [
      "version": .string(Module.programVersion), "arguments": .array(state.scriptArguments.map { .string($0) }),
      "models": LoadedModels.json,
    ]
    if let members = more?.object { facts.merge(members) { $1 } }
    return facts
  }
}
