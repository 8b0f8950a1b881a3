import Engine

extension ModelObject {
  static let textRows: [Function] = [
    Function(
      "layers", "m:layers()", "An iterator over 0 .. n_layers - 1.", results: "iterator",
      example: "local m = model.load(\"gemma-3-270m\")\nfor layer in m:layers() do print(layer) end"
    ) { call in call.push(LayersObject(count: try call.model.configuration.layerCount)) },
    Function(
      "tokens", "m:tokens(text [, { bos =, special = }])", "Token ids of a text.",
      options: Array(SharedOptions.prompts.suffix(2)), results: "list of ids",
      example: "local m = model.load(\"gemma-3-270m\")\nprint(#m:tokens(\"Hello world\"))"
    ) { call in
      let model = try call.model, options = try call.options(2)
      let rule = TextRule(
        bos: try options.optional("bos")?.bosPolicy() ?? .automatic, special: try options.boolean("special"))
      return call.push(try call.argument(1).prompt(of: model, rule).tokens)
    },
    Function(
      "decode", "m:decode(ids)", "The exact bytes of tokens, special ones spelt out.", results: "string",
      example: "local m = model.load(\"gemma-3-270m\")\nprint(m:decode(m:tokens(\"Hello\")))"
    ) { call in
      let model = try call.model
      let ids = try call.argument(1).list { try $0.integer() }
      return call.push(LuaBytes(try model.requireTokenizer().decode(ids)))
    },
    Function(
      "token_strings", "m:token_strings(ids)", "The bytes of each token.", results: "list of strings",
      example:
        "local m = model.load(\"gemma-3-270m\")\nprint(table.concat(m:token_strings(m:tokens(\"Hello world\")), \"|\"))"
    ) { call in
      let model = try call.model
      let ids = try call.argument(1).list { try $0.integer() }
      return call.push(try model.requireTokenizer().tokenStrings(ids).map { LuaBytes($0) })
    },
    Function(
      "chat", "m:chat(text_or_messages [, { system =, generation_prompt =, template =, tools = }])",
      "What the model's template prints for a conversation. A message is { role =, content = } and what else the "
        + "template reads (tool_calls, reasoning_content); content is text or a list of parts { type =, text = }.",
      options: [Option("system", "string", .none, "a system message put first"), SharedOptions.template]
        + SharedOptions.chatVariables,
      results: "string",
      example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(m:chat(\"Hi\"))"
    ) { call in
      let model = try call.model, options = try call.options(2)
      var messages = try call.argument(1).messages()
      let template = try options.optional("template")?.template(of: model)
      if let used = template ?? model.template { try call.argument(1).checkKeys(of: messages, in: used) }
      if let system = options.optional("system") {
        messages.insert(ChatMessage(role: "system", content: try system.bytes()), at: 0)
      }
      let chat = try model.renderChat(
        messages, generationPrompt: try options.boolean("generation_prompt"),
        template: template, variables: try options.chatVariables())
      return call.push(LuaBytes(chat.text))
    },
    Function(
      "top_tokens", "m:top_tokens(logits [, k])", "The likeliest tokens of one row of logits.",
      results: "list of { id, text, logit, p }",
      example: "local m = model.load(\"gemma-3-270m\")\nshow(m:top_tokens(m:run{ prompt = \"Hello\" }.logits, 5))"
    ) { call in
      let model = try call.model, logits = try call.argument(1).logits()
      let size = model.configuration.vocabularySize
      guard logits.count == size else {
        throw call.error(
          "logits have shape \(shapeText(logits.shape)), expected [\(size)]; take one row of [rows, vocab]",
          kind: .shape)
      }
      let k = try call.optionalArgument(2)?.integer(in: 1...size) ?? 10
      let flat = try logits.reshaped([size])
      let top = try flat.topk(k)
      let probabilities = try flat.softmax(dimension: 0)
      return call.push(
        try top.indices.enumerated().map { i, id -> LuaTable in
          var table: LuaTable = ["id": id, "logit": top.values.pointer[i], "p": probabilities.pointer[id]]
          if let tokenizer = model.tokenizer { table.set("text", LuaBytes(try tokenizer.tokenBytes(id))) }
          return table
        })
    },
  ]
}

/// Iterator over layers: `for layer in m:layers() do`.
final class LayersObject: LuaObject {
  let count: Int
  init(count: Int) { self.count = count }
  var summary: String { "layers 0 to \(count - 1)" }

  static let luaType = ObjectType(
    "layers", "Layers of a model, from 0; `for layer in m:layers()`.",
    operators: [
      Function(
        "__call", "layers(_, last)", "The next layer.", results: "integer or nil",
        example: "local m = model.load(\"gemma-3-270m\")\nfor layer in m:layers() do print(layer) end"
      ) { call in
        let layers = try call.this(LayersObject.self)
        let next = try call.optionalArgument(3)?.integer() ?? -1
        return call.push(next + 1 < layers.count ? next + 1 : nil as Int?)
      },
      Function(
        "__len", "#layers", "How many there are.", results: "integer",
        example: "local m = model.load(\"gemma-3-270m\")\nprint(#m:layers())"
      ) { call in call.push(try call.this(LayersObject.self).count) },
    ])
}
