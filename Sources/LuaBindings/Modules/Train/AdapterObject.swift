import Engine

/// An adapter as Lua holds it.
public final class AdapterObject: LuaObject {
  public let adapter: Adapter
  /// What training it took; nil for one that was loaded.
  let history: TrainingHistory?

  public init(_ adapter: Adapter, history: TrainingHistory? = nil) {
    self.adapter = adapter
    self.history = history
  }

  public var summary: String {
    let base = adapter.baseName.isEmpty ? "" : " for \(adapter.baseName)"
    return "adapter\(base): LoRA rank \(adapter.rank), alpha \(numberText(adapter.alpha)), "
      + "\(adapter.targets.joined(separator: " ")), \(adapter.parameterCount) parameters"
  }

  public static let luaType = ObjectType(
    "adapter", "Low-rank updates of a model's linear maps (LoRA), attached and detached while it runs.",
    fields: [
      Field("rank", "integer", "Rank of its updates.") { $0.push(try $0.adapter.adapter.rank) },
      Field("alpha", "number", "Updates are scaled by alpha / rank.") { $0.push(try $0.adapter.adapter.alpha) },
      Field("targets", "list", "Linear maps it changes, by PEFT's names.") { $0.push(try $0.adapter.adapter.targets) },
      Field("parameters", "integer", "Trainable values.") { $0.push(try $0.adapter.adapter.parameterCount) },
      Field("hash", "string", "Fingerprint of its values.") { $0.push(try $0.adapter.adapter.hash) },
      Field("base", "string", "Name of the model it was made for.") {
        $0.push(try $0.adapter.adapter.baseName.printable)
      },
      Field(
        "history", "table",
        "What training it took: { losses = {...}, steps, tokens, seconds, tokens_per_second, truncated, dropped, cached, interrupted, folder }; nil if loaded."
      ) { $0.push(try $0.adapter.history?.table) },
    ],
    methods: [
      Function(
        "save", "adapter:save(folder)",
        "Writes PEFT's folder: adapter_config.json and adapter_model.safetensors. A crash leaves what was there.",
        results: "nothing",
        example: """
          local m = model.load("smollm2-135m-instruct")
          local a = train.adapter{ model = m, rank = 4 }
          a:save(os.tmpname() .. "-adapter")
          """
      ) { call in
        try call.adapter.adapter.save(call.argument(1).path())
        return 0
      }
    ])
}

extension Call {
  fileprivate var adapter: AdapterObject { get throws { try this(AdapterObject.self) } }
}

/// What a training went through.
public struct TrainingHistory: Sendable {
  var losses: [Double] = []
  var steps = 0
  var tokens = 0
  var seconds = 0.0
  var truncated = 0
  var dropped = 0
  /// Read from the store instead of trained.
  var isCached = false
  /// Went through to its last step.
  var isWhole = false
  /// Ctrl-C ended it.
  var isInterrupted = false
  /// Where the store keeps the result.
  var folder: String?

  var table: LuaTable {
    [
      "losses": losses, "steps": steps, "tokens": tokens, "seconds": seconds, "truncated": truncated,
      "dropped": dropped, "tokens_per_second": seconds > 0 ? Double(tokens) / seconds : 0, "cached": isCached,
      "folder": folder, "interrupted": isInterrupted,
    ]
  }
}
