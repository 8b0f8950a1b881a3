import Foundation
import OrderedCollections
import Testing

@testable import Engine

/// `config.json` with missing, absurd or inconsistent settings beside good weights, through the public way to a model.
@Suite(.serialized) struct DamagedConfigurationTests {
  /// The settings of a fixture and `body` with a folder that has its weights; `body` gets a way to load it with others.
  private func withModel(
    _ family: String, _ body: (OrderedDictionary<String, JSONValue>, (String) throws -> Void) throws -> Void
  ) throws {
    guard let path = Files.fixture("tiny/\(family)") else { return }
    let settings = try ConfigurationFile(path: "\(path)/config.json").value.object ?? [:]
    try Files.withFolder { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/model.safetensors", withDestinationPath: "\(path)/model.safetensors")
      try body(settings) { text in
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
        _ = try Model.load(path: folder)
      }
    }
  }

  /// `KEY = VALUE` with a JSON value, or nothing for its removal.
  private func text(_ settings: OrderedDictionary<String, JSONValue>, _ changes: [String]) -> String {
    var members = settings.mapValues(\.text)
    for change in changes {
      let parts = change.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      if parts.count == 2 { members[parts[0]] = parts[1] } else { members[parts[0]] = nil }
    }
    return "{" + members.map { "\(jsonQuoted($0.key)): \($0.value)" }.joined(separator: ", ") + "}"
  }

  @Test func goodSettingsLoad() throws {
    try withModel("llama") { settings, load in
      try load(text(settings, []))
      try load(text(settings, ["head_dim"]))
      try load(text(settings, ["hidden_size = 64.0", "vocab_size = 3.2e2"]))
    }
  }

  static let refused: [([String], String)] = [
    (["hidden_size = 1000000000000"], "hidden"), (["hidden_size = 1e300"], "hidden_size"),
    (["hidden_size = 0"], "hidden"), (["hidden_size = -64"], "hidden"), (["hidden_size"], "hidden_size"),
    (["hidden_size = \"64\""], "hidden_size"), (["hidden_size = null"], "hidden_size"),
    (["hidden_size = 64.5"], "hidden_size"), (["hidden_size = 128"], "shape"),
    (["hidden_size = 9223372036854775807"], "hidden"), (["hidden_size = NaN"], "hidden_size"),
    (["num_attention_heads = 0"], "heads"), (["num_attention_heads = -4"], "heads"),
    (["num_attention_heads = 3"], "heads"), (["num_attention_heads = -9223372036854775808"], "heads"),
    (["num_attention_heads = 9223372036854775807", "head_dim"], "head"),
    (["num_key_value_heads = 0"], "heads"), (["num_key_value_heads = 3"], "heads"),
    (["num_key_value_heads = -1"], "heads"), (["num_key_value_heads = 8"], "heads"),
    (["head_dim = 0"], "head"), (["head_dim = 15"], "head"), (["head_dim = -16"], "head"),
    (["head_dim = 4096"], "shape"),
    (["num_hidden_layers = 0"], "layers"), (["num_hidden_layers = 1000000000"], "layers"),
    (["num_hidden_layers = -1"], "layers"), (["num_hidden_layers = 5"], "layers.4"),
    (["num_hidden_layers = true"], "num_hidden_layers"),
    (["intermediate_size = 0"], "MLP"), (["intermediate_size = 1000000000000"], "MLP"),
    (["intermediate_size = 161"], "shape"), (["intermediate_size"], "intermediate_size"),
    (["vocab_size = 0"], "vocab"), (["vocab_size = 321"], "shape"), (["vocab_size = -320"], "vocab"),
    (["vocab_size = 1000000000000"], "vocab"),
    (["max_position_embeddings = 0"], "context"), (["max_position_embeddings = -1"], "context"),
    (["max_position_embeddings = 1000000000000000"], "context"),
    (["rms_norm_eps = NaN"], "eps"), (["rms_norm_eps = Infinity"], "eps"), (["rms_norm_eps = -1"], "eps"),
    (["rms_norm_eps = \"small\""], "eps"),
    (["rope_theta = NaN"], "rotary"), (["rope_theta = Infinity"], "rotary"), (["rope_theta = 0"], "rotary"),
    (["rope_theta = -10000"], "rotary"), (["rope_theta = [1]"], "rope_theta"),
    (["tie_word_embeddings = \"no\""], "tie_word_embeddings"),
    (["model_type = \"lama\""], "did you mean llama"), (["model_type"], "model_type"),
    (["model_type = 3"], "model_type"),
    (["model_type = \"\""], "model_type"), (["model_type = \"../llama\""], "model_type"),
  ]

  @Test(arguments: refused) func impossibleSettingsAreRefusedByName(changes: [String], message: String) throws {
    try withModel("llama") { settings, load in
      let error = #expect(throws: EngineError.self, "\(changes)") { try load(text(settings, changes)) }
      #expect(error?.message.contains(message) == true, "\(changes): \(error?.message ?? "loaded")")
    }
  }

  static let refusedWindows: [([String], String)] = [
    (["sliding_window = 0"], "window"), (["sliding_window = -8"], "window"), (["sliding_window = \"wide\""], "window"),
    (["layer_types = []"], "layer_types"), (["layer_types = [\"full_attention\"]"], "layer_types"),
    (["layer_types = [1, 2]"], "layer_types"), (["layer_types = \"full_attention\""], "layer_types"),
    (["query_pre_attn_scalar = 0"], "query_pre_attn_scalar"), (["query_pre_attn_scalar = -1"], "query_pre_attn_scalar"),
    (["query_pre_attn_scalar = NaN"], "query_pre_attn_scalar"),
    (["rope_local_base_freq = 0"], "rotary"), (["rope_local_base_freq = NaN"], "rotary"),
  ]

  @Test(arguments: refusedWindows) func impossibleWindowsScalesAndCapsAreRefused(
    changes: [String], message: String
  ) throws {
    try withModel("gemma3") { settings, load in
      let error = #expect(throws: EngineError.self, "\(changes)") { try load(text(settings, changes)) }
      #expect(error?.message.contains(message) == true, "\(changes): \(error?.message ?? "loaded")")
    }
  }

  /// Settings that change what a model computes: to be followed or refused, never passed over.
  static let thatMatter: [(String, [String], String)] = [
    ("llama", ["hidden_act = \"no_such\""], "no_such"), ("llama", ["hidden_act = 3"], "hidden_act"),
    ("llama", ["attention_bias = true"], "bias"), ("llama", ["mlp_bias = true"], "bias"),
    ("llama", ["rope_scaling = {\"rope_type\": \"no_such\", \"factor\": 2}"], "no_such"),
    ("llama", ["rope_scaling = {\"rope_type\": \"llama3\"}"], "factor"),
    ("llama", ["rope_scaling = {\"rope_type\": \"linear\", \"factor\": 0}"], "factor"),
    ("llama", ["rope_scaling = {\"rope_type\": \"linear\", \"factor\": NaN}"], "factor"),
    ("llama", ["rope_scaling = {\"rope_type\": \"linear\", \"factor\": \"x\"}"], "factor"),
    ("llama", ["rope_scaling = 7"], "rope_scaling"),
    ("llama", ["head_dim", "num_attention_heads = 5", "num_key_value_heads = 5"], "heads"),
    ("gemma3", ["query_pre_attn_scalar = Infinity"], "query_pre_attn_scalar"),
    ("gemma3", ["final_logit_softcapping = -30"], "softcap"), ("gemma3", ["final_logit_softcapping = NaN"], "softcap"),
    ("gemma3", ["attn_logit_softcapping = Infinity"], "softcap"),
    ("gemma3", ["hidden_activation = \"no_such\""], "no_such"),
  ]

  @Test(arguments: thatMatter) func settingsThatMatterAreFollowedOrRefused(
    family: String, changes: [String], message: String
  ) throws {
    try withModel(family) { settings, load in
      let error = #expect(throws: EngineError.self, "\(changes)") { try load(text(settings, changes)) }
      #expect(error?.message.contains(message) == true, "\(changes): \(error?.message ?? "loaded")")
    }
  }

  @Test(arguments: [
    "", "[]", "3", "{", "{\"model_type\": \"llama\",}", "{\"a\":" + String(repeating: "[", count: 100_000),
    String(repeating: "{\"a\":", count: 5000), "\u{feff}{}", "{\"model_type\": \"llama\", \"model_type\": \"llama\"}",
  ]) func textThatIsNoObjectIsRefused(text: String) throws {
    try withModel("llama") { _, load in
      let error = #expect(throws: EngineError.self) { try load(text) }
      #expect(error?.message.contains("config.json") == true)
    }
  }

  /// Any setting of any fixture set to any hostile value: the model loads or the error is ours.
  @Test(arguments: ["gemma2", "gemma3", "gpt2", "llama", "llama3-rope", "mistral", "pythia", "qwen2", "qwen3"])
  func hostileValuesLoadOrAreRefused(family: String) throws {
    let hostile = [
      "0", "-1", "1", "3", "1e30", "-1e30", "1e-320", "NaN", "Infinity", "-Infinity", "9223372036854775807",
      "-9223372036854775808", "1000000000000", "4294967296", "true", "null", "\"\"", "\"x\"", "[]", "[0, -1, 1e30]",
      "[\"full_attention\"]", "{}", "{\"rope_type\": \"llama3\", \"factor\": -1}", "{\"type\": \"dynamic\"}",
    ]
    var random = SeededRandom(state: 3), loaded = 0, refused = 0
    let start = ContinuousClock.now
    try withModel(family) { settings, load in
      let keys = Array(settings.keys)
      for _ in 0..<120 {
        let changes = (0...Int.random(in: 0..<2, using: &random)).map { _ in
          let value = hostile[Int.random(in: 0..<hostile.count, using: &random)]
          return "\(keys[Int.random(in: 0..<keys.count, using: &random)]) = \(value)"
        }
        do {
          try load(text(settings, changes))
          loaded += 1
        } catch is EngineError { refused += 1 }
      }
      print("\(family): \(loaded) loaded, \(refused) refused, \(ContinuousClock.now - start)")
    }
  }
}
