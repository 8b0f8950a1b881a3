/// Settings of `config.json` that change nothing in a forward pass of the families here.
extension KnownSettings {
  static let harmless: [SettingRow] = [
    SettingRow(
      "bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id decoder_start_token_id bos_token eos_token "
        + "pad_token unk_token *_token_id *_token_ids *_token_index",
      .harmless("ids of tokens, which tokenizer and generation read")),
    SettingRow(
      "max_length min_length max_new_tokens do_sample early_stopping num_beams temperature top_k top_p min_p typical_p "
        + "repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids "
        + "num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id "
        + "remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens num_beam_groups "
        + "diversity_penalty use_cache cache_implementation generation_config task_specific_params",
      .harmless("defaults of generation in Python")),
    SettingRow(
      "attention_dropout hidden_dropout classifier_dropout resid_pdrop embd_pdrop attn_pdrop embedding_dropout "
        + "residual_dropout dropout layerdrop *_dropout *_pdrop *_dropout_prob", .harmless("acts in training only")),
    SettingRow(
      "initializer_range initializer_factor init_std gradient_checkpointing z_loss_coefficient label_smoothing "
        + "neftune_noise_alpha pad_to_multiple_of",
      .harmless("acts in training only")),
    SettingRow(
      "summary_type summary_use_proj summary_activation summary_first_dropout summary_proj_to_labels summary_*",
      .harmless("a head for classification, which is not used")),
    SettingRow(
      "id2label label2id num_labels problem_type finetuning_task", .harmless("labels of a head for classification")),
    SettingRow(
      "dtype torch_dtype use_bfloat16",
      .harmless("the tensors say their own types; products are in float32 unless asked")),
    SettingRow(
      "return_dict output_hidden_states output_attentions torchscript tf_legacy_loss chunk_size_feed_forward is_decoder "
        + "tie_encoder_decoder use_return_dict torch_compile output_past n_special predict_special_tokens",
      .harmless("how the Python class is called")),
    SettingRow(
      "attn_implementation use_flash_attn use_flash_attention use_flash_attention_2 use_memory_efficient_attention "
        + "flash_attention pretraining_tp reorder_and_upcast_attn", .harmless("another order of the same sums")),
    SettingRow(
      "n_ctx seq_length max_sequence_length max_seq_len model_max_length tokenizer_model_max_length",
      .harmless("a length that transformers does not read; max_position_embeddings counts")),
    SettingRow(
      "original_max_position_embeddings",
      .harmless("read where rotary scaling is longrope, else it says what was before")),
    SettingRow("max_window_layers use_sliding_window", .harmless("says nothing where the family has no such windows")),
    SettingRow("hidden_act", of: "gemma2 gemma3", .harmless("hidden_activation counts, in transformers too")),
    SettingRow(
      "architectures auto_map tokenizer_class prefix transformers_version transformers.js_config transformers_weights "
        + "is_llama_config trust_remote_code custom_pipelines",
      .harmless("which Python code goes with the weights; none is run")),
    SettingRow(
      "name name_or_path model_name base_model license language tags datasets library_name unsloth_version unsloth_fixed "
        + "unsloth_* axolotl* neuron onnx comment version revision author created_date mergekit training_args",
      .harmless("where the weights come from")),
    SettingRow("_*", .harmless("notes of the program that wrote the file")),
  ]
}
