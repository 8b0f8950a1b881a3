import Engine

extension ModelObject {
  private static let example = "local m = model.load(\"smollm2-135m-instruct\")\nlocal a = train.adapter{ model = m, rank = 4 }\n"

  /// What a model does with adapters.
  static let adapterRows: [Function] = [
    Function(
      "attach", "m:attach(adapter | folder)",
      "Lets an adapter take part in every run from now on, after those attached before; m.hash changes with it.",
      results: "the adapter", example: example + "m:attach(a)\nprint(#m:adapters())"
    ) { call in
      let model = try call.model, reader = call.argument(1)
      let object = reader.isString
        ? AdapterObject(try Adapter(folder: reader.path(), for: model)) : try reader.object(AdapterObject.self)
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
  ]
}
