import Engine

extension ModelObject {
  private static let example = "local m = model.load(\"smollm2-135m-instruct\")\n"

  /// Weights by their checkpoint's names.
  static let weightRows: [Function] = [
    Function(
      "weight", "m:weight(name)",
      "A weight in float32 by its Hugging Face checkpoint's name, shape and order of rows, whatever file it came from. A "
        + "copy: changing it changes nothing in the model. Attached adapters take no part.",
      results: "tensor",
      example: example + "print(m:weight(\"model.layers.3.mlp.down_proj.weight\"))"
    ) { call in call.push(try call.model.weight(call.argument(1).string())) },
    Function(
      "weights", "m:weights()",
      "What weights there are: names and shapes as in the checkpoint, and how the file keeps them.",
      results: "list of { name, shape, type }", example: example + "show(m:weights(), { limit = 5 })"
    ) { call in
      call.push(
        try call.model.weightList().map { ["name": $0.name, "shape": $0.shape, "type": $0.type] as LuaTable })
    },
    Function(
      "head", "m:head(layer, head)",
      "Weights of one attention head, each [d_head, d_model]: its rows of the query, key and value projections, in the "
        + "checkpoint's order, and its columns of the output projection, turned. What it writes for a stream x is "
        + "o^T v x; what it compares is q x and k x, before rotary. Query heads that share keys and values get the same k "
        + "and v.",
      results: "{ q, k, v, o }",
      example: example
        + "local h = m:head(5, 2)\nlocal ov = h.v:transpose():matmul(h.o)  -- [d_model, d_model], in to out"
    ) { call in
      let head = try call.model.headWeights(layer: call.argument(1).integer(), head: call.argument(2).integer())
      return call.push(["q": head.q.asLua, "k": head.k.asLua, "v": head.v.asLua, "o": head.o.asLua] as LuaTable)
    },
    Function(
      "edit", "m:edit{ weights = { [name] = tensor or function } }",
      "A model of its own with other weights: each a tensor of the same shape, or a function that gets the weight and "
        + "returns the new one. It has a hash of its own and is saved as any. A given lm_head of a model that ties it to "
        + "the embedding becomes one of its own; a given embedding alone changes both. Attached adapters take no part.",
      options: [
        Option("weights", "table of tensors or functions by name", .required, "what is changed, by checkpoint names")
      ],
      results: "model",
      example: example + """
        local half = m:edit{ weights = { ["model.layers.3.mlp.down_proj.weight"] = function(w) return w * 0.5 end } }
        print(half.name, half.hash ~= m.hash)
        """
    ) { call in
      let model = try call.model, table = try call.options().required("weights")
      var edits: [String: Tensor] = [:]
      let names = try table.fieldNames()
      guard !names.isEmpty else { throw table.error("names no weight") }
      for name in names {
        guard let entry = table.field(name) else { continue }
        let base = entry.stack.top
        defer { entry.stack.pop(entry.stack.top - base + 1) }
        if entry.isFunction {
          edits[name] = try entry.function().call([model.weight(name).asLua], results: 1) { results in
            guard results[0].isTensor else { throw results[0].mismatch("the new weight, a tensor") }
            return try results[0].detachedTensor().cloned()
          }
        } else {
          guard entry.isTensor else { throw entry.mismatch("a tensor or a function") }
          edits[name] = try entry.detachedTensor().cloned()
        }
      }
      return call.pushMade(try model.edited(edits))
    },
    Function(
      "orthogonalise", "m:orthogonalise{ dir =, layers = \"all\" }",
      "A model of its own that cannot write along a direction: ablation in the weights (Arditi et al. 2024, 4.1). \"all\": "
        + "embedding, learned positions, and every block's attention and MLP output with their biases; else the outputs of "
        + "these blocks alone. Where a norm follows an output (Gemma 2 and 3), the direction times that norm's weight is "
        + "removed, so that nothing is left of it behind the norm; a tied lm_head keeps its values.",
      options: [
        Option("dir", "tensor or vector", .required, "the direction, [d_model]"),
        SharedOptions.layers(.string("all")), anyModel,
      ],
      results: "model", example: example + "print(m:orthogonalise{ dir = tensor.randn(m.d_model) }.name)"
    ) { call in
      let model = try call.model, options = try call.options(), given = try options.required("dir")
      let direction =
        try given.isTensor ? given.tensor() : options.owned(try given.vector(), by: model, given).direction
      let reader = options.optional("layers")
      let isAll = reader == nil || (reader?.isString == true && (try? reader?.string()) == "all")
      let layers = isAll ? nil : try reader?.layers(of: model)
      return call.pushMade(try model.orthogonalised(to: direction, layers: layers))
    },
    Function(
      "unembed", "m:unembed(x [, { norm = true }])",
      "Logits of rows of the residual stream, [rows, d_model] or one row [d_model]: final norm, unembedding, soft cap. "
        + "norm = false for rows that have been through the final norm, such as acts:get(\"final_norm\").",
      options: [Option("norm", "boolean", .boolean(true), "the final norm comes first")],
      results: "tensor [rows, vocab], or [vocab] for one row",
      example: example + """
        local r = m:run{ prompt = "The capital of France is", capture = { site = "resid_post", layers = 20, pos = -1 } }
        print(m:top_tokens(m:unembed(r.acts:at(20))[1], 1)[1].text)
        """, retries: true
    ) { call in
      let model = try call.model, x = try call.argument(1).detachedTensor()
      let rows = x.rank == 1 ? try x.reshaped([1, x.count]) : x
      let logits = try model.unembed(rows, norm: call.options(2).boolean("norm"))
      return call.push(x.rank == 1 ? try logits.reshaped([logits.count]) : logits)
    },
  ]
}

extension Call {
  /// Pushes a model made from another.
  fileprivate func pushMade(_ model: Model) -> Int {
    LoadedModels.add(model)
    return push(ModelObject(model))
  }
}
