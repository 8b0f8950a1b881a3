import Engine

/// A loaded model as Lua holds it. One Swift model is one Lua value, which keeps its hook functions alive.
public final class ModelObject: LuaObject {
  public let model: Model
  /// Functions of hooks and positions, by intervention.
  var functionKeys: [Int: [LuaFunctionKey]] = [:]

  public init(_ model: Model) { self.model = model }

  /// Removes an intervention and lets go of its function; twice is fine.
  func removeIntervention(_ id: Int) {
    model.interventions.remove(id)
    for key in functionKeys.removeValue(forKey: id) ?? [] { key.remove() }
  }

  /// Removes all interventions.
  func removeInterventions() {
    model.interventions.removeAll()
    for key in functionKeys.values.joined() { key.remove() }
    functionKeys = [:]
  }

  public var summary: String {
    let c = model.configuration
    return
      "model \(model.name): \(c.family), \(c.layerCount) layers, d_model \(c.dModel), \(c.headCount) heads, \(model.precision.rawValue)"
  }

  public static let luaType = ObjectType(
    "model",
    "A language model with named sites to read and edit. Layers, heads and token ids are names and count from 0.",
    fields: fieldRows,
    methods: runRows + textRows + measureRows + [chooseRow] + interventionRows + hooksRows + weightRows + adapterRows,
    isUnique: true)

  static let fieldRows: [Field] = [
    Field("name", "string", "The name it was loaded by.") { $0.push(try $0.model.name) },
    Field("family", "string", "`llama`, `mistral`, `qwen2`, `qwen3`, `gemma2`, `gemma3`, `gpt2` or `gpt_neox`.") {
      $0.push(try $0.model.configuration.family)
    },
    Field("n_layers", "integer", "Number of blocks.") { $0.push(try $0.model.configuration.layerCount) },
    Field("d_model", "integer", "Width of the residual stream.") { $0.push(try $0.model.configuration.dModel) },
    Field("n_heads", "integer", "Query heads.") { $0.push(try $0.model.configuration.headCount) },
    Field("n_kv_heads", "integer", "Key and value heads.") { $0.push(try $0.model.configuration.kvHeadCount) },
    Field("d_head", "integer", "Width of a head.") { $0.push(try $0.model.configuration.dHead) },
    Field("d_mlp", "integer", "Width of the MLP.") { $0.push(try $0.model.configuration.dMLP) },
    Field("context_length", "integer", "Tokens it was made for, prompt and new ones together.") {
      $0.push(try $0.model.configuration.contextLength)
    },
    Field("vocab_size", "integer", "Rows of the embedding.") { $0.push(try $0.model.configuration.vocabularySize) },
    Field("dtype", "string", "What it computes in.") {
      _ = try $0.model
      return $0.push(try $0.model.precision.rawValue)
    },
    Field("hash", "string", "Fingerprint of the weights, attached adapters included.") { $0.push(try $0.model.hash) },
    Field("template", "string", "Its chat template in Jinja; nil where it has none.") {
      $0.push(try $0.model.template?.source)
    },
    Field("stop_tokens", "list", "Ids that end a generation: eos and the template's end of turn.") {
      $0.push(try $0.model.stopTokens)
    },
  ]
}

/// Interventions of one `steer.with`: the same methods as a model; all are removed when the function returns or fails.
public final class ScopeObject: LuaObject {
  let owner: ModelObject
  var handles: [InterventionObject] = []

  init(_ owner: ModelObject) { self.owner = owner }

  public var summary: String { "scope of \(owner.model.name) with \(handles.count) interventions" }

  public static let luaType = ObjectType(
    "scope", "What `steer.with` hands to its function: interventions made on it end with it.",
    methods: ModelObject.interventionRows)
}

extension Call {
  /// The model a method or field belongs to.
  var model: Model { get throws { try this(ModelObject.self).model } }

  /// The model an intervention is made on, and the scope it ends with.
  func interventionTarget() throws -> (object: ModelObject, scope: ScopeObject?) {
    if let scope = stack.object(at: 1, as: ScopeObject.self) { return (scope.owner, scope) }
    return (try this(ModelObject.self), nil)
  }

  /// Runs long work under a progress line of `total` steps.
  func withProgress<Result>(
    _ label: String, total: Int?, _ body: (_ update: @escaping (Int) -> Void) throws -> Result
  ) rethrows -> Result {
    let output = state.output
    let task = output.progressBegin(label, total: total)
    var done = 0, completed = false
    defer { output.progressEnd(task, done: done, completed: completed) }
    let result = try body { count in
      done = count
      output.progressUpdate(task, done: count)
    }
    completed = true
    return result
  }

  /// The same, without a line for a few prompts.
  func withProgress<Result>(
    _ label: String, prompts: Int, _ body: (_ update: @escaping (Int) -> Void) throws -> Result
  ) rethrows -> Result {
    prompts < 8 ? try body { _ in } : try withProgress(label, total: prompts, body)
  }
}

extension ArgumentReader {
  /// A model argument.
  func model() throws -> Model { try object(ModelObject.self).model }
}
