/// Settings of `config.json`. Names, defaults and meanings: transformers' `configuration_*.py` and `modeling_*.py` of the
/// families; what published folders carry besides.
extension KnownSettings {
  static let configuration = KnownSettings(rows: followed + limited + harmless)

  private static let withRotary = "llama mistral qwen2 qwen3 gemma2 gemma3"

  private static let followed: [SettingRow] = [
    SettingRow("model_type tie_word_embeddings vocab_size", .read),
    SettingRow(
      "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
        + "max_position_embeddings rms_norm_eps rope_theta rope_scaling rope_parameters", of: withRotary, .read),
    SettingRow("hidden_act", of: "llama mistral qwen2 qwen3 gpt_neox", .read),
    SettingRow("attention_bias", of: "llama qwen3 gemma2 gemma3 gpt_neox", .read),
    SettingRow("mlp_bias", of: "llama", .read),
    SettingRow("sliding_window", of: "mistral qwen2 qwen3 gemma2 gemma3", .read),
    SettingRow("layer_types", of: "qwen2 qwen3 gemma2 gemma3", .read),
    SettingRow("use_sliding_window max_window_layers", of: "qwen2 qwen3", .read),
    SettingRow("hidden_activation query_pre_attn_scalar final_logit_softcapping", of: "gemma2 gemma3", .read),
    SettingRow("attn_logit_softcapping", of: "gemma2", .read),
    SettingRow(
      "attn_logit_softcapping", of: "gemma3",
      .harmless("a note says so; neither transformers nor llama.cpp applies it in this family")),
    SettingRow("rope_local_base_freq sliding_window_pattern _sliding_window_pattern", of: "gemma3", .read),
    SettingRow(
      "n_embd n_layer n_head n_inner n_positions layer_norm_epsilon activation_function scale_attn_weights", of: "gpt2",
      .read),
    SettingRow(
      "hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings layer_norm_eps "
        + "rotary_pct rotary_emb_base use_parallel_residual rope_scaling rope_parameters", of: "gpt_neox", .read),
  ]

  private static let limited: [SettingRow] = [
    // transformers' classes of these families have no such thing: weights that need it would not fit them.
    SettingRow(
      "attention_bias", of: "qwen2",
      .limited(expected: "true or false", why: "qwen2 has biases on queries, keys and values whatever it says") {
        value, _ in
        value.bool != nil
      }),
    SettingRow("attention_bias", .only(.bool(false), why: "the family has no biases there")),
    SettingRow("mlp_bias bias use_bias", .only(.bool(false), why: "the family has no biases there")),
    SettingRow("qkv_bias", of: "qwen2", .only(.bool(true), why: "the family has these biases")),
    SettingRow("qkv_bias", .only(.bool(false), why: "the family has no biases there")),
    SettingRow(
      "sliding_window", of: "llama",
      .limited(expected: "a window as long as the context", why: "the family sees all earlier tokens") { value, model in
        (value.int ?? 0) >= model.contextLength
      }),
    SettingRow(
      "sliding_window_size", of: "gemma2",
      .equal("the value of sliding_window", why: "the two contradict each other") { model in
        model.layers.lazy.compactMap(\.window).first.map { Double($0) }
      }),
    SettingRow(
      "layer_types", of: "llama mistral",
      .limited(
        expected: "one kind of attention, that of all layers",
        why: "the family has no layers of several kinds"
      ) { value, model in
        let kind = model.layers.first?.window == nil ? "full_attention" : "sliding_attention"
        return value.array?.allSatisfy { $0.string == kind } == true
      }),
    SettingRow(
      "partial_rotary_factor", of: withRotary, .only(.integer(1), why: "the family turns whole heads")),
    SettingRow(
      "partial_rotary_factor", of: "gpt_neox",
      .equal("the value of rotary_pct (0.25 where it is absent)", why: "rotary_pct is what counts") { model in
        (model.layers.first?.rotary).map { Double($0.dimensions) / Double(model.dHead) }
      }),
    SettingRow(
      "rope_theta", of: "gpt_neox",
      .equal("the value of rotary_emb_base (10000 where it is absent)", why: "rotary_emb_base is what counts") {
        model in
        model.layers.first?.rotary?.base
      }),
    SettingRow(
      "head_dim", of: "gpt2 gpt_neox",
      .equal("the width shared by the heads", why: "the family has no other size of heads") { Double($0.dHead) }),
    SettingRow(
      "num_key_value_heads", of: "gpt2 gpt_neox",
      .equal("the number of heads", why: "the family has no grouped heads") { Double($0.headCount) }),
    SettingRow("hidden_size", of: "gpt2", .equal("the value of n_embd", why: "n_embd is read") { Double($0.dModel) }),
    SettingRow(
      "num_hidden_layers", of: "gpt2", .equal("the value of n_layer", why: "n_layer is read") { Double($0.layerCount) }),
    SettingRow(
      "num_attention_heads", of: "gpt2", .equal("the value of n_head", why: "n_head is read") { Double($0.headCount) }),
    SettingRow(
      "max_position_embeddings", of: "gpt2",
      .equal("the value of n_positions", why: "n_positions is read") { Double($0.contextLength) }),
    SettingRow(
      "intermediate_size", of: "gpt2", .equal("the value of n_inner", why: "n_inner is read") { Double($0.dMLP) }),
    SettingRow(
      "scale_attn_by_inverse_layer_idx",
      .only(.bool(false), why: "scores that are scaled layer by layer are not supported")),
    SettingRow("is_encoder_decoder add_cross_attention", .only(.bool(false), why: "only decoders are supported")),
    SettingRow("is_causal", .only(.bool(true), why: "attention looks back only")),
    SettingRow(
      "use_bidirectional_attention use_bidirectional bidirectional is_bidirectional",
      .only(.bool(false), why: "attention looks back only; embedding models that look both ways are not supported")),
    SettingRow("pruned_heads", .only(.object([:]), .array([]), why: "pruned heads are not supported")),
    SettingRow("alibi use_alibi", .only(.bool(false), why: "positions by linear biases are not supported")),
    SettingRow(
      "rope_interleaved rope_interleave", .only(.bool(false), why: "rotary pairs are the halves of a head")),
    SettingRow("use_mrope", .only(.bool(false), why: "rotary embeddings of images are not supported")),
    SettingRow(
      "use_qk_norm qk_norm qk_layernorm", of: "qwen3 gemma3", .only(.bool(true), why: "the family has these norms")),
    SettingRow("use_qk_norm qk_norm qk_layernorm", .only(.bool(false), why: "the family has no such norms")),
    SettingRow(
      "logit_scale logits_scaling embedding_multiplier residual_multiplier",
      .only(.integer(1), why: "such factors are not supported")),
    SettingRow(
      "num_experts num_local_experts n_routed_experts moe_num_experts num_experts_per_tok n_shared_experts",
      .only(.integer(0), why: "a mixture of experts is not supported")),
    SettingRow(
      "quantization_config quantization compression_config",
      .limited(expected: "its absence", why: "quantised weights are read from GGUF files only") { _, _ in false }),
  ]
}
