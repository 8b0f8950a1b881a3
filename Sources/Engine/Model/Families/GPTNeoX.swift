/// GPT-NeoX and Pythia: layer norms, rotary embeddings on a part of each head, a plain MLP; attention and MLP read the
/// same input and are added together, unless `use_parallel_residual` is false.
/// `config.json` model_type `gpt_neox`; GGUF architecture `gptneox`.
extension Family {
  static let gptNeoX = Family(
    modelTypes: ["gpt_neox"],
    architecture: "gptneox",
    modelClass: "GPTNeoXForCausalLM",
    configuration: { keys in
      let keys = keys.without("head_dim", "num_key_value_heads", "rope_theta")
      var configuration = try ModelConfiguration.llama(keys.without("rope_scaling", "rope_parameters"))
      configuration.family = "gpt_neox"
      configuration.norm = .layer
      configuration.normEpsilon = try keys.double(ifPresent: "layer_norm_eps") ?? 1e-5
      configuration.activation = try keys.activation("hidden_act", .gelu)
      configuration.isGated = false
      configuration.isParallel = try keys.bool(ifPresent: "use_parallel_residual") ?? true
      configuration.biases = [.output, .up, .down]
      if try keys.bool(ifPresent: "attention_bias") ?? true {
        configuration.biases.formUnion([.query, .key, .value])
      } else {
        configuration.biases.remove(.output)
      }
      let rotary = try keys.partialRotary(headSize: configuration.dHead)
      for layer in configuration.layers.indices { configuration.layers[layer].rotary = rotary }
      configuration.extendContext(by: rotary)
      return configuration
    },
    settings: {
      let rotary = $0.layers.first?.rotary, size = Double($0.dHead)
      // Its product with the head size is cut to a whole number.
      let share = Double(rotary?.dimensions ?? $0.dHead) / size
      let isCut = Int(share * size) < rotary?.dimensions ?? 0
      return (rotary?.settings ?? [:]).with([
        "hidden_size": .integer($0.dModel), "intermediate_size": .integer($0.dMLP),
        "num_hidden_layers": .integer($0.layerCount), "num_attention_heads": .integer($0.headCount),
        "vocab_size": .integer($0.vocabularySize),
        "max_position_embeddings": .integer($0.statedContext ?? $0.contextLength),
        "hidden_act": $0.activation.setting, "layer_norm_eps": .number($0.normEpsilon),
        "rotary_pct": .number(isCut ? share.nextUp : share), "rotary_emb_base": .number(rotary?.base ?? 10_000),
        "use_parallel_residual": .bool($0.isParallel), "attention_bias": .bool($0.biases.contains(.query)),
        "tie_word_embeddings": .bool($0.tiedEmbedding),
      ])
    },
    tensors: TensorNames(
      checkpoint: [
        .embedding: "gpt_neox.embed_in.weight",
        .finalNorm: "gpt_neox.final_layer_norm.weight",
        .unembedding: "embed_out.weight",
        .attentionNorm: "gpt_neox.layers.%.input_layernorm.weight",
        .query: .init("gpt_neox.layers.%.attention.query_key_value.weight", part: 0, of: 3, isPerHead: true),
        .key: .init("gpt_neox.layers.%.attention.query_key_value.weight", part: 1, of: 3, isPerHead: true),
        .value: .init("gpt_neox.layers.%.attention.query_key_value.weight", part: 2, of: 3, isPerHead: true),
        .output: "gpt_neox.layers.%.attention.dense.weight",
        .mlpNorm: "gpt_neox.layers.%.post_attention_layernorm.weight",
        .up: "gpt_neox.layers.%.mlp.dense_h_to_4h.weight",
        .down: "gpt_neox.layers.%.mlp.dense_4h_to_h.weight",
      ],
      gguf: TensorNames.fusedGGUF,
      prefix: "gpt_neox.", otherPrefixes: [""],
      ignoredSuffixes: ["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"]))
}

extension ModelKeys {
  fileprivate func partialRotary(headSize: Int) throws -> Rotary {
    let inner = try object(ifPresent: "rope_parameters")
    let share =
      try inner?.double(ifPresent: "partial_rotary_factor") ?? double(ifPresent: "rotary_pct") ?? 0.25
    guard share > 0, share <= 1 else { throw EngineError(.file, "\(source): rotary_pct is \(share)") }
    let dimensions = try int(ifPresent: "rotary_dimensions") ?? Int(Double(headSize) * share)
    let base = try double(ifPresent: "rotary_emb_base") ?? 10_000
    return try rotary(dimensions: dimensions, base: base, isPartial: true)
  }
}
