import Foundation
import Testing

@testable import Engine

/// `docs/loading.md` lists what the code's tables say, word for word. To write it anew after a table changed:
/// `ACTHOST_WRITE_DOCS=1 swift test --filter LoadingPageTests`.
@Suite struct LoadingPageTests {
  private static let path = Files.root.appendingPathComponent("docs/loading.md").path

  /// The page's tables by the names in its marks, `<!-- table NAME -->` to `<!-- end -->`.
  private static var tables: [(name: String, text: String)] {
    [
      ("config.json", rows(KnownSettings.configuration)), ("GGUF", rows(KnownSettings.gguf)),
      ("rope", "`" + ModelKeys.rotaryKeys.sorted().joined(separator: "` `") + "`\n"),
      ("rope types", ModelKeys.rotaryTypes.map { "`\($0)`" }.joined(separator: ", ") + "\n"),
      ("families", families),
      ("wrappers", "`" + FileKinds.wrappers.keys.sorted().joined(separator: "` `") + "`\n"),
    ]
  }

  private static func rows(_ table: KnownSettings) -> String {
    var text = "| setting | families | what is done |\n|---|---|---|\n"
    for row in table.rows {
      let what: String =
        switch row.treatment {
        case .read: "followed"
        case .harmless(let why): "passed over: \(why)"
        case .limited(let expected, let why, _): "refused unless \(expected): \(why)"
        }
      let keys = row.keys.map { "`\($0)`" }.joined(separator: " ")
      text += "| \(keys) | \(row.families.isEmpty ? "all" : row.families.joined(separator: ", ")) | \(what) |\n"
    }
    return text
  }

  private static var families: String {
    "| family | `model_type` | GGUF architecture |\n|---|---|---|\n"
      + Family.all.map { family in
        "| \(family.modelClass) | `\(family.modelTypes.joined(separator: "` `"))` | "
          + "\(family.architecture.map { "`\($0)`" } ?? "under another family's name") |\n"
      }.joined()
  }

  @Test func thePageListsTheTables() throws {
    var page = try String(contentsOfFile: Self.path, encoding: .utf8)
    for (name, text) in Self.tables {
      let start = try #require(page.firstRange(of: "<!-- table \(name) -->\n"), "no table \(name)")
      let end = try #require(page[start.upperBound...].firstRange(of: "<!-- end -->"))
      if ProcessInfo.processInfo.environment["ACTHOST_WRITE_DOCS"] != nil {
        page.replaceSubrange(start.upperBound..<end.lowerBound, with: text)
      } else {
        #expect(
          page[start.upperBound..<end.lowerBound] == text,
          "table \(name) of docs/loading.md is not the code's; ACTHOST_WRITE_DOCS=1 swift test --filter LoadingPageTests"
        )
      }
    }
    if ProcessInfo.processInfo.environment["ACTHOST_WRITE_DOCS"] != nil {
      try page.write(toFile: Self.path, atomically: true, encoding: .utf8)
    }
  }

  /// A family in a table is one that exists, and no setting stands twice for one family.
  @Test(arguments: [("config.json", KnownSettings.configuration), ("GGUF", KnownSettings.gguf)])
  func theTablesAreConsistent(name: String, table: KnownSettings) {
    let known = Set(["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "gpt_neox"])
    var seen: Set<String> = []
    for row in table.rows {
      #expect(Set(row.families).isSubset(of: known), "\(name): \(row.keys)")
      for family in row.families.isEmpty ? ["all"] : row.families {
        for key in row.keys {
          #expect(seen.insert("\(family) \(key)").inserted, "\(name): \(key) stands twice for \(family)")
        }
      }
    }
  }

  /// Every attribute of transformers 4.57's configuration classes of the families is in the table.
  @Test func everySettingOfTransformersIsKnown() {
    // `vars(Config())` of LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, Gemma2Config, Gemma3TextConfig, GPT2Config
    // and GPTNeoXConfig; `all` are those that PretrainedConfig gives to each.
    let attributes: [(families: String, keys: String)] = [
      (
        "llama mistral qwen2 qwen3 gemma2 gemma3 gpt2 gpt_neox",
        "return_dict output_hidden_states torchscript dtype pruned_heads tie_word_embeddings chunk_size_feed_forward "
          + "is_encoder_decoder is_decoder add_cross_attention tie_encoder_decoder architectures finetuning_task id2label "
          + "label2id task_specific_params problem_type tokenizer_class prefix bos_token_id pad_token_id eos_token_id "
          + "sep_token_id decoder_start_token_id max_length min_length do_sample early_stopping num_beams temperature top_k "
          + "top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size "
          + "bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id "
          + "forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens "
          + "begin_suppress_tokens num_beam_groups diversity_penalty _name_or_path transformers_version tf_legacy_loss "
          + "use_bfloat16 model_type output_attentions vocab_size initializer_range use_cache"
      ),
      (
        "llama mistral qwen2 qwen3 gemma2 gemma3",
        "max_position_embeddings hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
          + "rms_norm_eps rope_theta rope_scaling attention_dropout"
      ),
      ("llama", "hidden_act pretraining_tp attention_bias mlp_bias head_dim"),
      ("mistral", "hidden_act sliding_window head_dim"),
      ("qwen2 qwen3", "hidden_act use_sliding_window sliding_window max_window_layers layer_types"),
      ("qwen3", "head_dim attention_bias"),
      (
        "gemma2 gemma3",
        "head_dim attention_bias hidden_activation query_pre_attn_scalar sliding_window final_logit_softcapping "
          + "attn_logit_softcapping layer_types"
      ),
      ("gemma3", "use_bidirectional_attention rope_local_base_freq _sliding_window_pattern"),
      (
        "gpt2",
        "n_positions n_embd n_layer n_head n_inner activation_function resid_pdrop embd_pdrop attn_pdrop "
          + "layer_norm_epsilon summary_type summary_use_proj summary_activation summary_first_dropout "
          + "summary_proj_to_labels scale_attn_weights scale_attn_by_inverse_layer_idx reorder_and_upcast_attn"
      ),
      (
        "gpt_neox",
        "max_position_embeddings hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act rotary_pct "
          + "partial_rotary_factor rotary_emb_base rope_theta attention_dropout hidden_dropout classifier_dropout "
          + "layer_norm_eps use_parallel_residual rope_scaling attention_bias"
      ),
    ]
    for (families, keys) in attributes {
      for family in families.split(separator: " ") {
        for key in keys.split(separator: " ") {
          #expect(
            KnownSettings.configuration.row(of: String(key), family: String(family)) != nil, "\(key) of \(family)")
        }
      }
    }
  }
}
