import CShim
import Engine

extension ModelObject {
  /// What is registered on a model.
  static let hooksRows: [Function] = [
    Function(
      "hooks", "m:hooks()",
      "What every registered intervention did in the last run: how often it fired, rows edited, mean relative change. Each "
        + "entry can be removed: m:hooks()[1]:remove().",
      results: "list of { kind, site, layer, pos, fired, rows, change }, with a method remove",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:add{ dir = tensor.ones(m.d_model), layer = 5 }
        m:run{ prompt = "Hello" }
        show(m:hooks())
        """
    ) { call in call.push(call.hookTables(of: try call.this(ModelObject.self))) },
    Function(
      "remove_hooks", "m:remove_hooks()",
      "Removes all interventions, those of open scopes too. While tokens are generated, the next one knows none.",
      results: "how many there were",
      example: """
        local m = model.load("smollm2-135m-instruct")
        m:add{ dir = tensor.ones(m.d_model), layer = 5 }
        print(m:remove_hooks(), #m:hooks())
        """
    ) { call in
      let object = try call.this(ModelObject.self), count = object.model.interventions.count
      object.removeInterventions()
      return call.push(count)
    },
  ]
}

/// A registered intervention.
public final class InterventionObject: LuaObject {
  let owner: ModelObject
  let id: Int
  private let kind: String

  init(_ owner: ModelObject, id: Int, kind: String) {
    self.owner = owner
    self.id = id
    self.kind = kind
  }

  public var summary: String { "intervention \(kind) on \(owner.model.name)" }

  func remove() { owner.removeIntervention(id) }

  public static let luaType = ObjectType(
    "intervention", "A registered intervention; `local h <close> = m:add{...}` removes it at the end of its block.",
    methods: [
      Function(
        "remove", "h:remove()",
        "Removes the intervention; twice is fine. A forward pass that is under way keeps its interventions to its end, but "
          + "calls a removed function no more.", results: "nothing",
        example:
          "local m = model.load(\"gemma-3-270m\")\nlocal h = m:add{ dir = tensor.ones(m.d_model), layer = 5 }\nh:remove()"
      ) { call in
        try call.intervention.remove()
        return 0
      }
    ],
    close: { call in
      try call.intervention.remove()
      return 0
    })
}

/// An entry of `m:hooks()`: a plain table whose methods are those of the intervention it tells of.
private struct HookEntry: LuaPushable {
  let table: LuaTable
  let handle: InterventionObject

  func push(on stack: LuaStack) {
    lua_checkstack(stack.pointer, 8)
    table.push(on: stack)
    (["__index": handle.asLua] as LuaTable).push(on: stack)
    lua_setmetatable(stack.pointer, -2)
  }
}

extension Call {
  /// The intervention that a method is called on: a handle, or an entry of `m:hooks()`.
  fileprivate var intervention: InterventionObject {
    get throws {
      guard lua_type(stack.pointer, 1) == LUA_TTABLE, lua_checkstack(stack.pointer, 8) != 0,
        lua_getmetatable(stack.pointer, 1) != 0
      else { return try this(InterventionObject.self) }
      stack.push("__index")
      lua_rawget(stack.pointer, -2)
      defer { stack.pop(2) }
      if let handle = stack.object(at: -1, as: InterventionObject.self) { return handle }
      return try this(InterventionObject.self)
    }
  }

  func hookTables(of object: ModelObject) -> LuaList {
    LuaList(
      object.model.interventions.lastReports.map { report in
        let layers = report.layers
        var table: LuaTable = [
          "kind": report.kind, "site": report.site?.rawValue ?? "several", "pos": report.positions.text,
          "fired": report.fired, "rows": report.rows, "change": report.change,
        ]
        if layers.count == 1 {
          table.set("layer", layers[0])
        } else if let first = layers.first, let last = layers.last {
          table.set(
            "layer",
            last - first + 1 == layers.count ? "\(first)-\(last)" : layers.map(String.init).joined(separator: ","))
        }
        if report.skipped > 0 { table.set("skipped", report.skipped) }
        return HookEntry(table: table, handle: InterventionObject(object, id: report.id, kind: report.kind))
      })
  }
}
