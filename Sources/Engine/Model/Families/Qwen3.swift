/// Qwen 3: a Llama block with an RMS norm on every query and key head, and heads of a size of their own.
/// `config.json` model_type `qwen3`; GGUF architecture `qwen3`.
extension Family {
  static let qwen3 = Family(
    modelTypes: ["qwen3"],
    architecture: "qwen3",
    modelClass: "Qwen3ForCausalLM",
    configuration: { keys in
      let keys = keys.with(defaults: ["head_dim": 128])
      let biases: Set<WeightRole> =
        try keys.bool(ifPresent: "attention_bias") == true ? [.query, .key, .value, .output] : []
      return try .qwen(keys: keys).with(\.family, "qwen3").with(\.queryKeyNorm, true).with(\.biases, biases)
    },
    settings: { $0.qwenSettings.with(["attention_bias": .bool($0.biases.contains(.query))]) },
    tensors: .llama)
}
