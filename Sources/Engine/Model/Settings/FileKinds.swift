/// Kinds of model that people have and that are no decoders of the families here: named in errors, so that a reader
/// learns what the file is, and not only what it is not.
enum FileKinds {
  /// What `quantization_config` and its like say of a folder's weights; nil where they are plain numbers.
  static func quantization(_ settings: ConfigurationFile) -> String? {
    if let method = settings["quantization_config"]?["quant_method"]?.string {
      return quantizations[method.lowercased()] ?? method
    }
    if let own = settings["quantization_config"] {
      if own["load_in_4bit"] != nil || own["load_in_8bit"] != nil { return "bitsandbytes" }
      return own["group_size"] != nil && own["bits"] != nil ? "MLX" : "a method that it does not name"
    }
    // MLX writes its settings twice, once under this name.
    return settings["quantization"].map { $0["group_size"] == nil && $0["bits"] == nil ? $0.shortText : "MLX" }
  }

  private static let quantizations = [
    "awq": "AWQ", "gptq": "GPTQ", "bitsandbytes": "bitsandbytes", "fp8": "FP8", "fbgemm_fp8": "FP8 (FBGEMM)",
    "mxfp4": "MXFP4", "compressed-tensors": "compressed-tensors", "hqq": "HQQ", "aqlm": "AQLM", "eetq": "EETQ",
    "quanto": "Quanto", "torchao": "torchao", "bitnet": "BitNet", "vptq": "VPTQ", "spqr": "SpQR",
    "auto-round": "AutoRound",
    "modelopt": "ModelOpt", "exl2": "EXL2", "exl3": "EXL3",
  ]

  /// The same by the tensors that such weights are kept in.
  static func quantization(ofTensors names: [String]) -> String? {
    var ends: Set<Substring> = []
    for name in names {
      ends.insert(name.suffix(from: name.lastIndex(of: ".").map(name.index(after:)) ?? name.startIndex))
    }
    if ends.contains("qweight") { return ends.contains("g_idx") ? "GPTQ" : "AWQ or GPTQ" }
    if ends.contains("absmax") || ends.contains("SCB") || ends.contains(where: { $0.hasPrefix("bitsandbytes__") }) {
      return "bitsandbytes"
    }
    if ends.contains("weight_packed") { return "compressed-tensors" }
    if ends.contains("weight_scale_inv") || ends.contains("weight_scale") { return "FP8" }
    if ends.contains(where: { $0.hasSuffix("_blocks") }), ends.contains(where: { $0.hasSuffix("_scales") }) {
      return "MXFP4"
    }
    return ends.contains("scales") && ends.contains("biases") ? "MLX" : nil
  }

  static func quantized(_ path: String, by method: String) -> EngineError {
    EngineError(
      .file,
      "\(path) holds weights quantised by \(method), which only its own libraries read. Load the model it was made from, or "
        + "a .gguf file of it: those keep quantised weights that are read here (dtype = \"native\")")
  }

  /// What a `model_type` or GGUF architecture that is no supported family is; nil where nothing is known.
  static func kind(_ name: String) -> String? {
    let plain = name.lowercased().replacing("-", with: "_")
    if experts.contains(plain) || plain.hasSuffix("moe") || plain.hasSuffix("_moe_text") {
      return "a mixture of experts"
    }
    if images.contains(plain) || plain.hasSuffix("_vl") || plain.hasSuffix("vl") || plain.hasSuffix("_vl_text") {
      return "a model of images and text whose language part is of no supported family"
    }
    switch plain {
    case "clip", "mmproj": return "the image part of a model; its language part is another .gguf file"
    case "mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv6", "rwkv7", "jamba": return "a state-space or recurrent model"
    case "bert", "nomic_bert", "modernbert", "roberta", "xlm_roberta", "distilbert":
      return "an encoder, which sees both ways"
    case "t5", "bart", "whisper", "mt5", "umt5", "t5encoder": return "a model with an encoder"
    default: return nil
    }
  }

  private static let experts: Set<String> = [
    "mixtral", "deepseek", "deepseek_v2", "deepseek_v3", "deepseek2", "gpt_oss", "gptoss", "olmoe", "dbrx", "llama4",
    "llama4_text", "grok", "arctic", "jetmoe", "ernie4_5_moe", "minimax", "hunyuan_moe", "dots1", "bailingmoe",
  ]
  private static let images: Set<String> = [
    "mllama", "mllama_text_model", "idefics", "idefics2", "idefics3", "smolvlm", "paligemma", "gemma3n", "gemma3n_text",
    "phi3_v", "phi4_multimodal", "fuyu", "kosmos_2", "blip_2", "instructblip", "chameleon", "florence2", "molmo",
  ]

  /// `model_type` of models of several parts whose `text_config` is the decoder as it stands, and as it is used for text.
  /// Each with the `model_type` that a `text_config` without one has.
  static let wrappers: [String: String] = [
    "gemma3": "gemma3_text", "llava": "llama", "llava_next": "llama", "llava_next_video": "llama", "vipllava": "llama",
    "video_llava": "llama", "llava_onevision": "qwen2", "mistral3": "mistral", "internvl": "qwen2",
    "qwen2_audio": "qwen2",
    "voxtral": "llama",
  ]

  static func unsupported(_ name: String, what: String, source: String, known: [String]) -> EngineError {
    let kind = kind(name).map { " (\($0))" } ?? ""
    return EngineError(
      .file,
      "\(source) has \(what) \(name)\(kind), which is not supported (supported: \(known.joined(separator: ", ")))"
        + suggestion(for: name, in: known))
  }
}
