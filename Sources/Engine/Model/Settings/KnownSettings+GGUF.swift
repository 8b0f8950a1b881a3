/// Metadata of GGUF under the architecture's prefix. Names: gguf-py's `constants.py`; meanings: `llama-model.cpp`.
/// Other keys (`general.*`, `tokenizer.*`, what quantising programs note) are no settings of the computation.
extension KnownSettings {
  static let gguf = KnownSettings(rows: [
    SettingRow(
      "embedding_length block_count attention.head_count attention.head_count_kv attention.key_length "
        + "feed_forward_length vocab_size context_length rope.freq_base", .read),
    SettingRow("attention.layer_norm_rms_epsilon", of: "llama qwen2 qwen3 gemma2 gemma3", .read),
    SettingRow("attention.layer_norm_epsilon", of: "gpt2 gpt_neox", .read),
    SettingRow(
      "rope.scaling.type rope.scaling.factor rope.scaling.original_context_length rope.scaling.attn_factor "
        + "rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow rope.scale_linear",
      .read),
    SettingRow(
      "attention.sliding_window attention.sliding_window_pattern final_logit_softcapping", of: "gemma2 gemma3", .read),
    SettingRow("attn_logit_softcapping", of: "gemma2", .read),
    SettingRow(
      "attn_logit_softcapping", of: "gemma3",
      .harmless("neither transformers nor llama.cpp applies it in this family")),
    SettingRow("rope.freq_base_swa", of: "gemma3", .read),
    SettingRow("rope.dimension_count use_parallel_residual", of: "gpt_neox", .read),
    SettingRow("rope.dimension_count", of: "gpt2", .harmless("the family's positions are learnt")),
    SettingRow(
      "attention.layer_norm_epsilon attention.layer_norm_rms_epsilon", .harmless("the family has the other norm")),
    SettingRow("rope.scaling.finetuned tensor_data_layout pooling_type", .harmless("says how the weights came about")),
    SettingRow("mm.*", .harmless("belongs to images")),
    SettingRow(
      "rope.dimension_count rope.dimension_count_swa attention.value_length attention.key_length_swa "
        + "attention.value_length_swa",
      .equal("the size of a head", why: "the family turns whole heads of one size") { Double($0.dHead) }),
    SettingRow(
      "rope.freq_base_swa",
      .equal("the value of rope.freq_base", why: "the family has one rotary base") { $0.layers.first?.rotary?.base }),
    SettingRow(
      "attention.sliding_window",
      .limited(expected: "0 or the whole context", why: "the architecture sees all earlier tokens") { value, model in
        value.int == 0 || (value.int ?? 0) >= model.contextLength
      }),
    SettingRow("attention.causal", .only(.bool(true), why: "attention looks back only")),
    SettingRow(
      "attention.scale",
      .equal("what follows from the size of a head", why: "the family has no other scale") { $0.scoreScale }
    ),
    SettingRow(
      "expert_count expert_used_count expert_shared_count leading_dense_block_count expert_feed_forward_length "
        + "interleave_moe_layer_step", .only(.integer(0), why: "a mixture of experts is not supported")),
    SettingRow(
      "attention.clamp_kqv attention.max_alibi_bias attention.shared_kv_layers nextn_predict_layers "
        + "rope.scaling.yarn_log_multiplier router_logit_softcapping", .only(.integer(0), why: "it is not supported")),
    SettingRow(
      "logit_scale residual_scale embedding_scale rope.scaling.alpha attention.output_scale attention.temperature_scale",
      .only(.integer(1), why: "such factors are not supported")),
    SettingRow(
      "rope.scaling.yarn_ext_factor", .only(.integer(1), .integer(-1), why: "it is not supported")),
    SettingRow(
      "attn_logit_softcapping final_logit_softcapping", .only(.integer(0), why: "the family has no soft caps")),
  ])
}
