import Foundation
import Testing

@testable import Engine

/// Settings that are passed over, followed, or refused by name.
@Suite struct SettingsTests {
  /// What loading a golden's model with changed settings says; nil where it loads.
  private func refusal(
    _ name: String, _ changes: [String: JSONValue?], ignoring: Set<String> = [], path: Bool = true
  ) throws -> String? {
    let item = try ConfigurationGoldens.named(name)
    let text = try ConfigurationGoldens.changed(item, changes)
    return try ConfigurationGoldens.withFolder(item, configuration: text) { folder in
      do { _ = try Model.load(path: folder, ignoring: ignoring) } catch let error as EngineError {
        return error.message
      }
      return nil
    }
  }

  static let unsupported: [(model: String, key: String, value: JSONValue)] = [
    ("gemma3", "use_bidirectional_attention", .bool(true)), ("llama", "is_causal", .bool(false)),
    ("llama", "partial_rotary_factor", .number(0.5)), ("neox", "partial_rotary_factor", .number(0.25)),
    ("neox", "rope_theta", .number(1_000_000)), ("neox", "head_dim", .integer(8)),
    ("llama", "sliding_window", .integer(8)), ("llama", "layer_types", .array([.string("sliding_attention"), .null])),
    ("mistral", "attention_bias", .bool(true)), ("qwen3", "mlp_bias", .bool(true)),
    ("gpt2", "scale_attn_by_inverse_layer_idx", .bool(true)), ("gpt2", "add_cross_attention", .bool(true)),
    ("gpt2", "hidden_size", .integer(32)), ("gpt2", "rope_theta", .integer(10_000)),
    ("gpt2", "pruned_heads", .object(["0": .array([.integer(1)])])),
    ("llama", "num_local_experts", .integer(8)), ("llama", "logit_scale", .number(0.0625)),
    ("llama", "residual_multiplier", .number(0.22)), ("llama", "alibi", .bool(true)),
    ("llama", "rope_interleaved", .bool(true)), ("qwen2", "use_mrope", .bool(true)),
    ("llama", "use_qk_norm", .bool(true)),
    ("llama", "attn_temperature_tuning", .integer(4)), ("llama", "no_rope_layers", .array([.integer(1)])),
    ("qwen2", "dual_chunk_attention_config", .object(["chunk_size": .integer(8)])),
    ("gemma2", "sliding_window_size", .integer(9)),
    ("llama", "query_pre_attn_scalar", .integer(64)), ("llama", "final_logit_softcapping", .number(30)),
  ]

  @Test(arguments: unsupported) func aSettingThatWouldChangeNumbersIsRefusedByName(
    model: String, key: String, value: JSONValue
  ) throws {
    let message = try #require(try refusal(model, [key: value]), "\(model) loads with \(key) = \(value.text)")
    #expect(message.contains(key) && message.contains(value.shortText), "\(message)")
    #expect(message.contains("ignore_settings = { \"\(key)\" }"), "\(message)")
    #expect(try refusal(model, [key: value], ignoring: [key]) == nil)
  }

  static let off: [(model: String, changes: [String: JSONValue])] = [
    ("gemma3", ["use_bidirectional_attention": .bool(false), "hidden_act": .string("relu")]),
    (
      "llama",
      ["is_causal": .bool(true), "partial_rotary_factor": .number(1), "alibi": .bool(false), "logit_scale": .number(1)]
    ),
    ("llama", ["sliding_window": .integer(4096), "num_local_experts": .integer(0), "use_qk_norm": .bool(false)]),
    ("llama", ["layer_types": .array([.string("full_attention"), .string("full_attention")]), "clip_qkv": .null]),
    ("mistral", ["attention_bias": .bool(false), "mlp_bias": .bool(false)]),
    ("qwen2", ["attention_bias": .bool(true), "use_mrope": .bool(false)]), ("qwen2", ["attention_bias": .bool(false)]),
    ("qwen3", ["use_qk_norm": .bool(true)]),
    ("neox", ["partial_rotary_factor": .number(0.5), "rope_theta": .integer(500), "head_dim": .integer(16)]),
    ("gpt2", ["hidden_size": .integer(16), "n_ctx": .integer(32), "scale_attn_by_inverse_layer_idx": .bool(false)]),
    ("gemma2", ["sliding_window_size": .integer(6), "cache_implementation": .string("hybrid")]),
    (
      "llama",
      [
        "_name_or_path": .string("x"), "transformers_version": .string("4.57.0"), "unsloth_version": .string("2025"),
        "torch_dtype": .string("bfloat16"), "use_cache": .bool(true), "attention_dropout": .number(0.1),
        "initializer_range": .number(0.02), "pretraining_tp": .integer(2), "bos_token_id": .integer(1),
        "image_token_id": .integer(5), "auto_map": .object([:]), "id2label": .object(["0": .string("LABEL_0")]),
        "temperature": .number(0.6), "top_p": .number(0.9), "max_length": .integer(4096),
        "transformers.js_config": .object(["dtype": .string("q4")]), "is_llama_config": .bool(true),
      ]
    ),
  ]

  /// Values that mean off, and settings of Python, training and generation.
  @Test(arguments: off) func whatChangesNothingLoads(model: String, changes: [String: JSONValue]) throws {
    #expect(try refusal(model, changes) == nil)
    let item = try ConfigurationGoldens.named(model)
    let text = try ConfigurationGoldens.changed(item, changes)
    try ConfigurationGoldens.withFolder(item, configuration: text) { folder in
      let logits = try ConfigurationGoldens.logits(try Model.load(path: folder), item)
      #expect(maxDifference(model, logits, try ConfigurationGoldens.logits(model)) < ConfigurationGoldenTests.tolerance)
    }
  }

  @Test func severalUnknownSettingsAreListedTogether() throws {
    let message = try #require(try refusal("llama", ["hiden_act": .string("relu"), "mixed_up": .integer(3)]))
    #expect(
      message.contains("2 settings") && message.contains("hiden_act = \"relu\"") && message.contains("mixed_up = 3"))
    #expect(message.contains("ignore_settings = { \"hiden_act\", \"mixed_up\" }"))
    let one = try #require(try refusal("llama", ["hiden_act": .string("relu")]))
    #expect(one.contains("did you mean hidden_act"))
  }

  @Test func onlySettingsThatAreThereAndNotFollowedCanBeIgnored() throws {
    #expect(try refusal("llama", [:], ignoring: ["no_such"])?.contains("has no setting no_such") == true)
    #expect(try refusal("llama", [:], ignoring: ["rms_norm_ep"])?.contains("did you mean rms_norm_eps") == true)
    #expect(try refusal("llama", [:], ignoring: ["rms_norm_eps"])?.contains("followed, not passed over") == true)
  }

  static let rotary: [(scaling: String, message: String)] = [
    ("{\"rope_type\": \"yarn\"}", "factor"),
    ("{\"rope_type\": \"yarn\", \"factor\": 4.0, \"attn_factor\": 2}", "attn_factor"),
    ("{\"rope_type\": \"longrope\", \"factor\": 2.0, \"short_factor\": [1, 2], \"long_factor\": [1, 2]}", "pairs"),
    ("{\"rope_type\": \"mrope\", \"mrope_section\": [1, 2, 3]}", "mrope"), ("{\"rope_type\": \"dynamic\"}", "factor"),
    ("{\"rope_type\": \"dynamic\", \"factor\": 2.0, \"alpha\": 1000}", "alpha"),
    ("{\"rope_type\": \"yarn\", \"factor\": 4.0, \"partial_rotary_factor\": 0.5}", "partial_rotary_factor"),
    ("{\"rope_type\": \"yarn\", \"factor\": 0}", "factor"),
    ("{\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": -1}", "beta"),
  ]

  @Test(arguments: rotary) func rotaryScalingIsUnderstoodWholeOrRefused(scaling: String, message: String) throws {
    let text = try #require(try refusal("llama", ["rope_scaling": try JSONValue(parsing: scaling)]), "\(scaling) loads")
    #expect(text.contains(message), "\(text)")
  }

  @Test func twoSpellingsOfRotaryScalingAtOnceAreRefused() throws {
    let linear = try JSONValue(parsing: "{\"rope_type\": \"linear\", \"factor\": 2.0}")
    #expect(try refusal("llama", ["rope_scaling": linear, "rope_parameters": linear])?.contains("both") == true)
  }

  @Test func contradictionsAreRefused() throws {
    let types = JSONValue.array([.string("sliding_attention"), .string("full_attention")])
    #expect(try refusal("qwen2", ["layer_types": types])?.contains("use_sliding_window") == true)
    #expect(try refusal("gemma2", ["sliding_window": .null])?.contains("sliding_window is null") == true)
    let pattern: [String: JSONValue?] = ["sliding_window_pattern": nil, "_sliding_window_pattern": .integer(2)]
    #expect(try refusal("gemma3", pattern)?.contains("_sliding_window_pattern is 2") == true)
  }

  /// Scaled rotary embeddings go beyond `max_position_embeddings`; plain ones do not.
  @Test(arguments: [
    ("llama", 32), ("llama-linear", 128), ("llama-dynamic", 96), ("llama-yarn", 128), ("llama-yarn-original", 32),
    ("llama-longrope", 64),
  ]) func theContextIsThatOfTheScaling(name: String, context: Int) throws {
    let item = try ConfigurationGoldens.named(name)
    try ConfigurationGoldens.withFolder(item) { folder in
      let model = try Model.load(path: folder)
      #expect(model.configuration.contextLength == context)
    }
  }

  /// Logits are those of transformers (`gemma3-caps` of the goldens), which passes the cap on scores over in silence.
  @Test func aCapThatTransformersDoesNotApplyIsSaid() throws {
    for (name, count) in [("gemma3-caps", 1), ("gemma3-null", 0), ("gemma2-caps", 0)] {
      let item = try ConfigurationGoldens.named(name)
      let notes = try ConfigurationGoldens.withFolder(item) { try Model.load(path: $0).notes }
      #expect(notes.count == count && notes.allSatisfy { $0.contains("attn_logit_softcapping is 2.0") }, "\(notes)")
    }
  }

  // MARK: Heads

  @Test func aHeadBesideATiedEmbeddingIsUsedAndSaidOnlyWhereItDiffers() throws {
    let item = try ConfigurationGoldens.named("gemma2")
    let embedding = try #require(
      try ConfigurationGoldens.tensors(item).first { $0.name.contains("embed_tokens") }?.tensor)
    var plain: [Float] = []
    try ConfigurationGoldens.withFolder(item, extra: [("lm_head.weight", embedding)]) { folder in
      let model = try Model.load(path: folder)
      plain = try ConfigurationGoldens.logits(model, item)
      #expect(model.notes.isEmpty && model.configuration.tiedEmbedding)
      #expect(
        maxDifference("same", plain, try ConfigurationGoldens.logits("gemma2")) < ConfigurationGoldenTests.tolerance)
    }
    // Only the last value of the last row is another.
    let other = try embedding.cloned()
    other.mutablePointer[other.count - 1] += 1
    try ConfigurationGoldens.withFolder(item, extra: [("lm_head.weight", other)]) { folder in
      let model = try Model.load(path: folder)
      #expect(model.notes.count == 1 && model.notes[0].contains("lm_head.weight"))
      let logits = try ConfigurationGoldens.logits(model, item), width = model.configuration.vocabularySize
      let moved = Set(zip(logits, plain).enumerated().filter { abs($1.0 - $1.1) > 1e-6 }.map { $0.offset % width })
      #expect(moved == [width - 1])
      try model.save("\(folder)/saved")
      let saved = try Model.load(path: "\(folder)/saved")
      #expect(saved.notes.isEmpty && !saved.configuration.tiedEmbedding)
      #expect(try ConfigurationGoldens.logits(saved, item) == logits)
    }
  }

  @Test(arguments: ["lm_head.bias", "model.norm.bias", "model.embed_tokens.bias", "model.extra.weight"])
  func tensorsOutsideTheBlocksThatWouldNotBeUsedAreRefused(name: String) throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item, extra: [(name, try Tensor([1, 2]))]) { folder in
      let error = #expect(throws: EngineError.self) { try Model.load(path: folder) }
      #expect(error?.message.contains(name) == true)
    }
  }

  // MARK: Parts of larger models

  /// LLaVA and its like: a decoder's settings in `text_config`, without what equals the family's defaults.
  @Test(arguments: ["language_model.model.", "model.language_model."]) func theLanguagePartOfAModelIsLoadedAndSaid(
    prefix: String
  ) throws {
    let item = try ConfigurationGoldens.named("llama")
    let text =
      "{\"model_type\": \"llava\", \"vision_config\": {\"depth\": 2}, \"image_token_index\": 7, \"text_config\": "
      + "\(item.configuration)}"
    let tensors = try ConfigurationGoldens.tensors(item).map { name, tensor in
      let inner = name.hasPrefix("model.") ? prefix + name.dropFirst(6) : name
      return (prefix.hasPrefix("language") && !name.hasPrefix("model.") ? "language_model." + name : inner, tensor)
    }
    try Files.withFolder { folder in
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      try Safetensors.write(
        "\(folder)/model.safetensors", tensors: tensors + [("vision_tower.layer.weight", try Tensor([1]))])
      let model = try Model.load(path: folder)
      #expect(model.notes.count == 1 && model.notes[0].contains("language part (llama) of llava"))
      let logits = try ConfigurationGoldens.logits(model, item)
      #expect(
        maxDifference(prefix, logits, try ConfigurationGoldens.logits("llama")) < ConfigurationGoldenTests.tolerance)
      try model.save("\(folder)/saved")
      #expect(try ConfigurationGoldens.logits(try Model.load(path: "\(folder)/saved"), item) == logits)
    }
  }

  @Test func aTextConfigTakesTheFamilysDefaults() throws {
    func configuration(_ text: String) throws -> ModelConfiguration {
      let keys = try ConfigurationFile(JSONValue(parsing: text), source: "text_config")
      let type = try keys.string("model_type")
      return try Family.named(modelType: type, source: "x").configuration(
        ModelKeys(file: keys, architecture: nil, isPart: true))
    }
    let llama = try configuration("{\"model_type\": \"llama\", \"rms_norm_eps\": 1e-5}")
    #expect(llama.dModel == 4096 && llama.headCount == 32 && llama.kvHeadCount == 32 && llama.dMLP == 11_008)
    let gemma = try configuration("{\"model_type\": \"gemma3_text\", \"hidden_size\": 2560, \"num_hidden_layers\": 34}")
    #expect(
      gemma.dHead == 256 && gemma.kvHeadCount == 4 && gemma.layers[0].window == 4096 && gemma.scoreScale == 1 / 16)
    let mistral = try configuration("{\"model_type\": \"mistral\"}")
    #expect(mistral.kvHeadCount == 8 && mistral.layers[0].window == 4096 && mistral.contextLength == 131_072)
  }

  // MARK: What it is

  static let kinds: [(changes: [String: JSONValue], words: [String])] = [
    (["quantization_config": .object(["quant_method": .string("awq"), "bits": .integer(4)])], ["AWQ"]),
    (["quantization_config": .object(["quant_method": .string("gptq")])], ["GPTQ"]),
    (["quantization_config": .object(["load_in_4bit": .bool(true)])], ["bitsandbytes"]),
    (["quantization_config": .object(["quant_method": .string("fp8")])], ["FP8"]),
    (["quantization_config": .object(["quant_method": .string("mxfp4")])], ["MXFP4"]),
    (["quantization_config": .object(["quant_method": .string("brand_new")])], ["brand_new"]),
    (["quantization_config": .object(["group_size": .integer(64), "bits": .integer(4)])], ["MLX"]),
    (["quantization": .object(["group_size": .integer(64), "bits": .integer(4)])], ["MLX"]),
    (["model_type": .string("mixtral")], ["mixtral", "mixture of experts"]),
    (["model_type": .string("qwen3_moe")], ["mixture of experts"]),
    (["model_type": .string("gpt_oss")], ["mixture of experts"]),
    (["model_type": .string("qwen2_5_vl")], ["images"]), (["model_type": .string("mllama")], ["images"]),
    (["model_type": .string("bert")], ["encoder"]), (["model_type": .string("mamba2")], ["recurrent"]),
    (
      ["model_type": .string("paligemma"), "text_config": .object(["model_type": .string("gemma2")])],
      ["paligemma", "images"]
    ),
  ]

  @Test(arguments: kinds) func aModelThatIsNotSupportedIsNamed(changes: [String: JSONValue], words: [String]) throws {
    let message = try #require(try refusal("llama", changes))
    for word in words { #expect(message.contains(word), "\(message)") }
  }

  static let tensorKinds: [(names: [String], word: String)] = [
    (["qweight", "qzeros", "scales", "g_idx"], "GPTQ"), (["qweight", "qzeros", "scales"], "AWQ"),
    (["weight.absmax", "weight.quant_map"], "bitsandbytes"), (["weight.quant_state.bitsandbytes__nf4"], "bitsandbytes"),
    (["weight_scale_inv"], "FP8"), (["scales", "biases"], "MLX"), (["weight_packed"], "compressed-tensors"),
    (["experts.gate_up_proj_blocks", "experts.gate_up_proj_scales"], "MXFP4"),
    (["block_sparse_moe.experts.0.w1.weight"], "mixture of experts"),
  ]

  /// Where `config.json` lost its word about it, tensors tell.
  @Test(arguments: tensorKinds) func quantisedWeightsAreNamedByTheirTensors(names: [String], word: String) throws {
    let item = try ConfigurationGoldens.named("llama"), stem = "model.layers.0.self_attn.q_proj."
    let extra = try names.map { (name: stem + $0, tensor: try Tensor([1, 2])) }
    try ConfigurationGoldens.withFolder(item, extra: extra) { folder in
      let error = #expect(throws: EngineError.self) { try Model.load(path: folder) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  /// An element type that no reader here knows, with and without settings that name it.
  @Test(arguments: [("", "FP8"), ("\"quantization_config\": {\"quant_method\": \"fbgemm_fp8\"}, ", "FBGEMM")])
  func eightBitFloatsAreNamed(setting: String, word: String) throws {
    try Files.withFolder { folder in
      let header = "{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}"
      let bytes = GGUFBuilder.number(UInt64(header.utf8.count)) + Array(header.utf8) + [1, 2]
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/model.safetensors"))
      try Data("{\(setting)\"model_type\": \"llama\"}".utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      let error = #expect(throws: EngineError.self) { try Model.load(path: folder) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  @Test(arguments: ["model.safetensors", "config.json"]) func aPointerOfGitLFSIsNamedWithTheCommand(name: String) throws
  {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      let pointer =
        "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "4", count: 64))\nsize 988097824\n"
      try Data(pointer.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      let error = #expect(throws: EngineError.self) { try Model.load(path: folder) }
      #expect(
        error?.message.contains("git -C '\(folder)' lfs pull --include='\(name)'") == true, "\(error?.message ?? "")")
      #expect(error?.message.contains("988.1 MB") == true)
    }
  }
}
