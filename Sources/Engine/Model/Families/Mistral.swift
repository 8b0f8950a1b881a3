/// Mistral: a Llama block whose attention may look back over a window only (v0.1).
/// `config.json` model_type `mistral`; its GGUF files are of architecture `llama` and carry no window.
extension Family {
  static let mistral = Family(
    modelTypes: ["mistral"],
    architecture: nil,
    modelClass: "MistralForCausalLM",
    configuration: { keys in
      let keys = keys.with(
        defaults: ["num_key_value_heads": 8, "max_position_embeddings": 131_072, "sliding_window": 4096],
        sizes: [
          "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
          "num_attention_heads": 32,
        ])
      var configuration = try ModelConfiguration.llama(keys)
      configuration.family = "mistral"
      if let window = try keys.int(ifPresent: "sliding_window") {
        for layer in configuration.layers.indices { configuration.layers[layer].window = window }
      }
      return configuration
    },
    settings: { $0.llamaSettings.with(["sliding_window": $0.windowSettings["sliding_window"] ?? .null]) },
    tensors: .llama)
}
