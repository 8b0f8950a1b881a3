import Engine

extension Module {
  static let model = Module(
    "model", "Language models: loading, running, generating, hooks.",
    functions: [
      Function(
        "load", "model.load(name_or_path [, { dtype = }])",
        "Loads a store name, a .gguf file, a Hugging Face folder, or org/name of the local Hugging Face cache.",
        options: [Option("dtype", "string", .string("f32"), "what to compute in", choices: ["f32"])],
        results: "model", example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(m.n_layers, m.d_model)",
        argumentChoices: {
          let store = ModelStore()
          return Set(store.installed + PackagedModel.all.map(\.name) + store.huggingFaceModels).sorted()
        }
      ) { call in
        let name = try call.argument(1).string()
        _ = try call.options(2).choice("dtype")
        let path = try ModelStore().resolve(name)
        let model = try Model.load(path: path, name: name.contains("/") ? nil : name)
        LoadedModels.add(model)
        return call.push(ModelObject(model))
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
        """),
      Topic(
        "positions",
        """
        Positions are absolute and 1-based over prompt and generated tokens, with and without a cache:
          "all" (token 1 included)   "prompt"   "generated"   "last" (= -1, the last prompt token)
          7 or -2                    one token, negative from the end of the prompt
          { from = 3, to = -1 }      inclusive, either end open
          { match = "text" }         all tokens that cover an occurrence of the text
          { 1, 4, -1 }               a list
        A sequence that lacks the position is skipped and counted; if no sequence has it, that is an error.
        """),
    ])
}
