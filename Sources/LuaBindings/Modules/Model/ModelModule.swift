import Engine

extension Module {
  static let model = Module(
    "model", "Language models: loading, running, generating, hooks.",
    functions: [
      Function(
        "load", "model.load(name_or_path [, { dtype =, adapter =, template =, ignore_settings = }])",
        "Loads a store name, a .gguf file, a Hugging Face folder, or org/name of the local Hugging Face cache.",
        options: [
          Option(
            "dtype", "string", .string("f32"),
            "weights and products: f32; bf16 (half the memory); native (a .gguf file's quantised weights as they are, "
              + "8-bit activations)",
            choices: WeightPrecision.allCases.map(\.rawValue)),
          Option("adapter", "string", .none, "folder of an adapter (PEFT's LoRA or DoRA) that is attached"),
          Option(
            "template", "string", .computed("the model's own, else the built-in one of its tokens"),
            "one of the model's own by its name (\"tool_use\"), a built-in chat template, or the text of one in Jinja: what "
              + "chat = true means for this model",
            choices: ChatTemplate.builtInNames),
          Option(
            "ignore_settings", "list of names", .none,
            "settings of the file that are passed over: without it, one that is not known, or known and not supported, "
              + "refuses the model"),
        ],
        results: "model", example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(m.n_layers, m.d_model)",
        argumentChoices: { ModelStore().knownNames }
      ) { call in
        let name = try call.argument(1).string()
        let options = try call.options(2)
        let precision = try WeightPrecision(rawValue: options.choice("dtype")) ?? .f32
        let path = try ModelStore().resolve(name)
        let model = try Model.load(
          path: path, name: name.contains("/") ? nil : name, precision: precision,
          template: try options.optional("template")?.string(),
          ignoring: Set(try options.optional("ignore_settings")?.oneOrMany { try $0.string() } ?? []))
        for note in model.notes { call.state.output.note("\(model.name): \(note)") }
        if let folder = try options.optional("adapter")?.path() {
          try model.attach(try Adapter(folder: folder, for: model))
        }
        LoadedModels.add(model)
        if Module.isVerbose {
          call.state.output.note("\(model.name): \(model.precision.rawValue), \(model.memory.summary)")
        }
        return call.push(ModelObject(model))
      },
      Function(
        "inspect", "model.inspect(name_or_path)",
        "Lists what a checkpoint holds without loading it: any name model.load takes, or a .safetensors file.",
        results: "{ path, family, architecture, problem, parameters, settings = { [key] = value }, "
          + "tensors = { { name, type, shape, bytes }, ... } }; without a family, problem says why it cannot be loaded",
        example: """
          local c = model.inspect("smollm2-135m-instruct")
          print(c.family, c.settings["llama.block_count"])
          show(c.tensors, { limit = 5 })
          """,
        argumentChoices: { ModelStore().knownNames }
      ) { call in
        let found = try ModelInspection(path: try ModelStore().resolve(try call.argument(1).string()))
        var settings = LuaTable()
        for (name, value) in found.settings { settings.set(name.printable, value.printable) }
        let tensors = found.tensors.map {
          ["name": $0.name.printable, "type": $0.stored.type, "shape": $0.shape, "bytes": $0.stored.bytes] as LuaTable
        }
        return call.push(
          [
            "path": found.path, "family": found.family, "architecture": found.architecture, "problem": found.problem,
            "parameters": found.parameterCount, "settings": settings, "tensors": tensors,
          ] as LuaTable)
      },
      renderTemplateRow,
    ],
    types: [
      ModelObject.self, ScopeObject.self, InterventionObject.self, ActivationsObject.self, LayersObject.self,
      ReferenceObject.self,
    ],
    topics: [
      Topic(
        "sites",
        """
        Sites, per sequence, with TransformerLens's names and meanings:
          resid_pre resid_mid resid_post attn_out mlp_out   [rows, d_model]; *_out is exactly what is added to the stream
          q k v z                                           [rows, heads, d_head]; q and k before QK-norm and rotary
          attn_scores pattern                               [heads, rows, columns]
          mlp_pre mlp_up mlp_post                           [rows, d_mlp]: gate, up, act(gate) * up
          embed final_norm                                  [rows, d_model], without a layer
        resid_pre of layer L is resid_post of L - 1: Arditi's "layer L" and Hugging Face's hidden_states[L].
        "blocks.7.hook_resid_post" is accepted too.
        head = 3 or heads = { 3, 0 } take some heads, from 0, of q, z, attn_scores and pattern, and key-value heads of k and v:
        rows are then [rows, heads, d_head], in that order, and a direction has d_head values for all of them or [heads, d_head].
        """),
      Topic(
        "positions",
        """
        Positions are absolute and 1-based over prompt and generated tokens, with and without a cache:
          "all" (token 1 included)   "prompt"   "generated"   "last" (= -1, the last prompt token)
          7 or -2                    one token, negative from the end of the prompt
          { from = 3, to = -1 }      inclusive, either end open
          { match = "text" }         all tokens that cover an occurrence of the text
          { 6, 3, -1, 3 }            a list: its order, with repeats
          function(tokens)           any of these but { match = }, from each prompt's ids
        A sequence that lacks the position is skipped and counted; if no sequence has it, that is an error.
        A list is meant as it stands. A capture has its rows in that order, a patch takes them in that order, also where some
        are of tokens still to be generated. An addition or ablation acts once for each entry, so that a position listed twice
        is edited twice; a patch, or a function's answer, must have the same row at both places.
        { match = } looks in the prompt and in what is generated. An occurrence is known when its last token is: tokens it
        began with, which have been read by then, are read again with the edit (and captured again), so that the result is
        that of a run over the whole text.
        Interventions may be registered and removed in a hook or in on_token: from the next token on the list as it is counts.
        """),
    ])
}

extension JSONValue {
  /// With control characters in texts spelt out: a file's metadata are shown, not executed.
  fileprivate var printable: JSONValue {
    switch self {
    case .string(let text): .string(text.printable)
    case .array(let list): .array(list.map(\.printable))
    default: self
    }
  }
}
