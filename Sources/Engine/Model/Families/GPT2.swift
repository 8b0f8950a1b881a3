/// GPT-2: layer norms, learned positions, one bias-carrying matrix for queries, keys and values, a plain MLP.
/// Checkpoints store matrices as `[inputs, outputs]`.
/// `config.json` model_type `gpt2`; GGUF architecture `gpt2`.
extension Family {
  static let gpt2 = Family(
    modelTypes: ["gpt2"],
    architecture: "gpt2",
    modelClass: "GPT2LMHeadModel",
    configuration: { keys in
      let keys = keys.renamed([
        "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
        "intermediate_size": "n_inner", "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
        "hidden_act": "activation_function",
      ])
      .with(defaults: ["max_position_embeddings": 1024])
      // What Llama's files may say and GPT-2's do not.
      .without("head_dim", "num_key_value_heads", "rope_theta", "rope_scaling", "rope_parameters")
      var configuration = try ModelConfiguration.llama(keys) { 4 * $0 }
      configuration.family = "gpt2"
      configuration.norm = .layer
      configuration.normEpsilon = try keys.double(ifPresent: "layer_norm_eps") ?? 1e-5
      configuration.activation = try keys.activation("hidden_act", .geluTanh)
      configuration.isGated = false
      configuration.biases = [.query, .key, .value, .output, .up, .down]
      for layer in configuration.layers.indices { configuration.layers[layer].rotary = nil }
      configuration.learnedPositions = true
      if try keys.bool(ifPresent: "scale_attn_weights") == false { configuration.scoreScale = 1 }
      configuration.tiedEmbedding = try keys.bool(ifPresent: "tie_word_embeddings") ?? true
      return configuration
    },
    settings: {
      [
        "n_embd": .integer($0.dModel), "n_layer": .integer($0.layerCount), "n_head": .integer($0.headCount),
        "n_inner": .integer($0.dMLP), "n_positions": .integer($0.contextLength),
        "vocab_size": .integer($0.vocabularySize),
        "layer_norm_epsilon": .number($0.normEpsilon), "activation_function": $0.activation.setting,
        "scale_attn_weights": .bool($0.scoreScale != 1), "tie_word_embeddings": .bool($0.tiedEmbedding),
      ]
    },
    tensors: TensorNames(
      checkpoint: [
        .embedding: "transformer.wte.weight",
        .positionEmbedding: "transformer.wpe.weight",
        .finalNorm: "transformer.ln_f.weight",
        .unembedding: "lm_head.weight",
        .attentionNorm: "transformer.h.%.ln_1.weight",
        .query: .init("transformer.h.%.attn.c_attn.weight", part: 0, of: 3, isTransposed: true),
        .key: .init("transformer.h.%.attn.c_attn.weight", part: 1, of: 3, isTransposed: true),
        .value: .init("transformer.h.%.attn.c_attn.weight", part: 2, of: 3, isTransposed: true),
        .output: .init("transformer.h.%.attn.c_proj.weight", isTransposed: true),
        .mlpNorm: "transformer.h.%.ln_2.weight",
        .up: .init("transformer.h.%.mlp.c_fc.weight", isTransposed: true),
        .down: .init("transformer.h.%.mlp.c_proj.weight", isTransposed: true),
      ],
      gguf: TensorNames.fusedGGUF.merging([.positionEmbedding: "position_embd.weight"]) { $1 },
      prefix: "transformer.", otherPrefixes: [""],
      ignoredSuffixes: ["attn.bias", "attn.masked_bias"]))
}
