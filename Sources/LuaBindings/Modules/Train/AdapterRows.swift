import Engine

extension ModelObject {
  private static let example =
    "local m = model.load(\"smollm2-135m-instruct\")\nlocal a = train.adapter{ model = m, rank = 4 }\n"

  /// What a model does with adapters.
  static let adapterRows: [Function] = [
    Function(
      "attach", "m:attach(adapter | folder)",
      "Lets an adapter take part in every run from now on, after those attached before; m.hash changes with it.",
      results: "the adapter", example: example + "m:attach(a)\nprint(#m:adapters())"
    ) { call in
      let model = try call.model, object = try call.argument(1).adapter(for: model)
      try model.attach(object.adapter)
      return call.push(object)
    },
    Function(
      "detach", "m:detach([adapter])", "Takes one adapter out again, or all.", results: "nothing",
      example: example + "m:attach(a)\nm:detach(a)\nm:detach()"
    ) { call in
      let reader = call.argument(1)
      try call.model.detach(reader.isNil ? nil : reader.object(AdapterObject.self).adapter)
      return 0
    },
    Function(
      "adapters", "m:adapters()", "The attached adapters, in order.", results: "list of adapters",
      example: example + "m:attach(a)\nprint(m:adapters()[1].rank)"
    ) { call in
      call.push(try call.model.adapters.map { AdapterObject($0).asLua })
    },
    Function(
      "merge", "m:merge(adapter | folder)",
      "A model of its own whose weights are this one's plus the adapter's; attached adapters take no part.",
      results: "model", example: example + "print(m:merge(a).name)"
    ) { call in
      let model = try call.model, merged = try model.merged(call.argument(1).adapter(for: model).adapter)
      LoadedModels.add(merged)
      return call.push(ModelObject(merged))
    },
    Function(
      "keep_layers", "m:keep_layers(layers)",
      "A model of its own of some of this one's blocks, in the order given: for ablating depth, and for smaller models of "
        + "the same family (train.full with teacher = mends them). Attached adapters take no part.",
      results: "model", example: example + "print(m:keep_layers{ 0, 1, 2, 3, 27, 28, 29 }.n_layers)"
    ) { call in
      let model = try call.model, kept = try model.keeping(call.argument(1).layers(of: model))
      LoadedModels.add(kept)
      return call.push(ModelObject(kept))
    },
    Function(
      "save", "m:save(folder [, { dtype = \"f32\" }])",
      "Writes a Hugging Face folder: config.json, model.safetensors, tokenizer. A failure leaves what was there. "
        + "A model with adapters attached is refused: m:merge(adapter):save(folder).",
      options: [
        Option("dtype", "string", .string("f32"), "of the weights in the file", choices: ["f32", "bf16", "f16"])
      ],
      results: "nothing",
      example: example + """
        local function export(folder) m:merge(a):save(folder, { dtype = "bf16" }) end
        m:attach(a)
        print(pcall(m.save, m, "tuned"))  -- false: merge it first
        """
    ) { call in
      let folder = try call.argument(1).path(), choice = try call.options(2).choice("dtype")
      try call.model.save(folder, type: ["bf16": .bf16, "f16": .f16][choice] ?? .f32)
      return 0
    },
  ]
}

extension ArgumentReader {
  /// An adapter, or the folder of one.
  fileprivate func adapter(for model: Model) throws -> AdapterObject {
    isString ? AdapterObject(try Adapter(folder: path(), for: model)) : try object(AdapterObject.self)
  }
}
