import Engine

extension OptionReader {
  /// Site and layers of an intervention: the options', else the vector's, else `otherwise`.
  func places(
    of model: Model, vectorSite: Site?, vectorLayer: Int?, otherwise: [Int]? = nil
  ) throws -> [Intervention.Place] {
    let named = try optional("site")?.site()
    let site = named?.site ?? vectorSite ?? .residPost
    let given = try layers(of: model, at: site, named: named?.layer)
    guard site.hasLayer else { return [.init(site: site, layer: nil)] }
    guard let layers = given ?? vectorLayer.map({ [$0] }) ?? otherwise else {
      throw call.error(
        "option 'layer' is missing: layers go from 0 to \(model.configuration.layerCount - 1)", kind: .layer)
    }
    return layers.map { .init(site: site, layer: $0) }
  }
}

extension Call {
  /// Registers an intervention whose effects may keep Lua functions through `keep`; `positions`: the option that selects
  /// rows. Returns the handle.
  func register(
    _ kind: String, _ places: [Intervention.Place], _ options: OptionReader, _ object: ModelObject,
    _ scope: ScopeObject?, positions name: String? = "pos",
    _ effects: (_ keep: @escaping (LuaFunctionKey) -> Void) throws -> [Intervention.Effect]
  ) throws -> Int {
    var keys: [LuaFunctionKey] = []
    do {
      let keep: (LuaFunctionKey) -> Void = { keys.append($0) }
      let positions = try name.flatMap { try options.optional($0)?.positions(keep: keep, in: object) }
      let intervention = Intervention(
        kind: kind, places: places, positions: positions ?? (name == nil ? .prompt : .all),
        heads: name == nil ? nil : try options.heads(), effects: try effects(keep),
        isStrict: try options.boolean("strict"))
      let id = try object.model.interventions.register(intervention)
      object.functionKeys[id] = keys
      let handle = InterventionObject(object, id: id, kind: kind)
      scope?.handles.append(handle)
      return push(handle)
    } catch {
      for key in keys { key.remove() }
      guard let failure = error as? EngineError else { throw error }
      let message = failure.message
      throw self.error(
        message.hasPrefix(kind + ": ") ? String(message.dropFirst(kind.count + 2)) : message, kind: failure.kind)
    }
  }

  func register(
    _ kind: String, _ places: [Intervention.Place], _ effects: [Intervention.Effect], _ options: OptionReader,
    _ object: ModelObject, _ scope: ScopeObject?, positions: String? = "pos"
  ) throws -> Int {
    try register(kind, places, options, object, scope, positions: positions) { _ in effects }
  }
}

/// `steer.with(m, fn)`, a row of the module `steer`.
let steerWithRow = Function(
  "with", "steer.with(m, fn)",
  "Runs fn(s), where s has the model's intervention methods; what was made on s is removed when fn returns or fails.",
  results: "what fn returns",
  example: """
    local m = model.load("smollm2-135m-instruct")
    local text = steer.with(m, function(s)
      s:add{ dir = tensor.randn(m.d_model), layer = 10, coeff = 0.3, scale = "relative" }
      return m:generate{ prompt = "Once upon a time", max_tokens = 8 }.text
    end)
    """
) { call in
  let scope = ScopeObject(try call.argument(1).object(ModelObject.self))
  let function = try call.argument(2).function()
  defer { for handle in scope.handles { handle.remove() } }
  return try call.pushResults(of: function, [scope.asLua])
}
