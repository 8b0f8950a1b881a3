import OrderedCollections

/// The members of a `config.json`.
typealias ModelSettings = OrderedDictionary<String, JSONValue>

/// The way back from a configuration to `config.json`, under Llama's names; a family's table adds its own.
extension ModelConfiguration {
  /// What `ModelConfiguration.llama` reads. Rotary embeddings are those of layers that see all earlier positions.
  var llamaSettings: ModelSettings {
    let settings: ModelSettings = [
      "hidden_size": .integer(dModel), "intermediate_size": .integer(dMLP), "num_hidden_layers": .integer(layerCount),
      "num_attention_heads": .integer(headCount), "num_key_value_heads": .integer(kvHeadCount),
      "head_dim": .integer(dHead), "vocab_size": .integer(vocabularySize),
      "max_position_embeddings": .integer(statedContext ?? contextLength), "hidden_act": activation.setting,
      "rms_norm_eps": .number(normEpsilon), "tie_word_embeddings": .bool(tiedEmbedding),
    ]
    return settings.with((layers.first { $0.window == nil } ?? layers.first)?.rotary?.settings ?? [:])
  }

  /// Which layers attend to a window only, and how long it is.
  var windowSettings: ModelSettings {
    [
      "sliding_window": layers.lazy.compactMap(\.window).first.map { .integer($0) } ?? .null,
      "layer_types": .array(layers.map { .string($0.window == nil ? "full_attention" : "sliding_attention") }),
    ]
  }
}

extension ModelSettings {
  /// The same settings and others, which go before.
  func with(_ others: ModelSettings) -> ModelSettings { merging(others) { $1 } }
}

extension ModelConfiguration.Activation {
  /// transformers' name.
  var setting: JSONValue { .string(self == .geluTanh ? "gelu_pytorch_tanh" : rawValue) }
}

extension Rotary {
  /// `rope_theta` and `rope_scaling`; divisors have no place there (`stated`).
  var settings: ModelSettings {
    let rule: ModelSettings? =
      switch scaling {
      case .none, .divisors: nil
      case .dynamic(let factor, _): ["rope_type": .string("dynamic"), "factor": .number(factor)]
      case .yarn(let yarn):
        [
          "rope_type": .string("yarn"), "factor": .number(yarn.factor), "beta_fast": .number(yarn.fast),
          "beta_slow": .number(yarn.slow), "truncate": .bool(yarn.truncates),
          "attention_factor": .number(yarn.magnitude),
          "original_max_position_embeddings": .integer(yarn.originalContext),
        ]
      case .longrope(let rule):
        [
          "rope_type": .string("longrope"), "short_factor": .array(rule.short.map { .number(Double($0)) }),
          "long_factor": .array(rule.long.map { .number(Double($0)) }), "attention_factor": .number(rule.magnitude),
          "factor": .number(rule.factor),
        ]
      case .linear(let factor): ["rope_type": .string("linear"), "factor": .number(factor)]
      case .llama3(let factor, let low, let high, let originalContext):
        [
          "rope_type": .string("llama3"), "factor": .number(factor), "low_freq_factor": .number(low),
          "high_freq_factor": .number(high), "original_max_position_embeddings": .integer(originalContext),
        ]
      }
    var settings: ModelSettings = ["rope_theta": .number(base), "rope_scaling": rule.map { .object($0) } ?? .null]
    if case .longrope(let rule) = scaling {
      settings["original_max_position_embeddings"] = .integer(rule.originalContext)
    }
    return settings
  }

  /// The same rotary embedding by a rule that `config.json` can state: divisors, which GGUF has in its place, are those
  /// of Llama 3.1's rule for some length of context. nil where they are not.
  var stated: Rotary? {
    guard case .divisors(let divisors, let factor) = scaling else { return self }
    guard factor == 1 else { return nil }
    let own = frequencies
    for power in 5...20 {
      var rotary = self
      rotary.scaling = .llama3(factor: Double(divisors.max() ?? 1), low: 1, high: 4, originalContext: 1 << power)
      // Divisors are rounded to float32, and computed from wavelengths in another order.
      if zip(rotary.frequencies, own).allSatisfy({ abs($0 - $1) <= 1e-5 * $1 }) { return rotary }
    }
    return nil
  }
}
