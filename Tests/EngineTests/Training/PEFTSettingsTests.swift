import Foundation
import OrderedCollections
import Testing

@testable import Engine

/// What adapters of PEFT are made with, setting by setting: `Tests/Oracles/make_peft.py` says how each was made.
@Suite(.serialized) struct PEFTSettingsTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Oracles/peft").path

  static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted() ?? []

  /// The model that an adapter's name begins with.
  private func golden(_ name: String) throws -> TinyModelTests.Golden? {
    let family = TinyModelTests.families.filter { name.hasPrefix($0 + "-") }.max { $0.count < $1.count }
    return try TinyModelTests.Golden(try #require(family))
  }

  private func logits(_ model: Model, _ prompt: Prompt) throws -> [Float] {
    let all = try #require(try model.run([prompt], logits: .all)[0].logits)
    return Array(all.values.suffix(3 * model.configuration.vocabularySize))
  }

  @Test(arguments: names) func logitsEqualPEFT(name: String) throws {
    guard let model = try golden(name)?.model else { return }
    let path = "\(Self.folder)/\(name)", file = try SafetensorsFile(path: path + "/expected.safetensors")
    let prompt = Prompt(tokens: try file.integers("input_ids")), expected = try file.tensor("logits").values
    let plain = try logits(model, prompt), hash = model.hash
    let adapter = try Adapter(folder: path, for: model)
    #expect(maxDifference("\(name) without", plain, expected) > 0.05)
    try model.attach(adapter)
    #expect(model.hash != hash)
    let attached = try logits(model, prompt)
    #expect(maxDifference("\(name) attached", attached, expected) < TinyModelTests.tolerance)
    let slope = try gradient(model, prompt)
    try model.detach()
    #expect(model.hash == hash)
    #expect(try logits(model, prompt) == plain)
    try checkCopy(adapter, model, name)
    guard name != "llama-lora-bias" else {
      // There is no bias that the adapter's could be added to; PEFT refuses this merge too.
      let error = #expect(throws: EngineError.self) { try model.merged(adapter) }
      #expect(error?.message.contains("lora_bias") == true)
      return
    }
    let merged = try model.merged(adapter)
    #expect(maxDifference("\(name) merged", try logits(merged, prompt), expected) < TinyModelTests.tolerance)
    let others = try gradient(merged, prompt), largest = others.reduce(0) { max($0, abs($1)) }
    #expect(largest > 0 && maxDifference("\(name) gradients", slope, others) < 1e-4 * largest)
    try Files.withFolder { folder in
      try merged.save(folder + "/m")
      let read = try Model.load(path: folder + "/m")
      #expect(maxDifference("\(name) saved", try logits(read, prompt), expected) < TinyModelTests.tolerance)
    }
  }

  /// The same adapter on the same model in a GGUF file, whose tensors have other names and arrangements.
  @Test(arguments: names) func logitsEqualPEFTInGGUF(name: String) throws {
    let family = try #require(TinyGGUF.families.filter { name.hasPrefix($0 + "-") }.max { $0.count < $1.count })
    let path = "\(Self.folder)/\(name)", file = try SafetensorsFile(path: path + "/expected.safetensors")
    let prompt = Prompt(tokens: try file.integers("input_ids")), expected = try file.tensor("logits").values
    try TinyGGUF.withFile(family) { gguf in
      let model = try Model.load(path: gguf)
      try model.attach(Adapter(folder: path, for: model))
      #expect(maxDifference("\(name) gguf", try logits(model, prompt), expected) < TinyModelTests.tolerance)
    }
  }

  /// Of the loss with respect to what enters the second block, `[rows, dModel]`.
  private func gradient(_ model: Model, _ prompt: Prompt) throws -> [Float] {
    var values: [Float] = []
    let capture = CaptureRequest(site: .residPre, layers: [1]) { values += try $0.tensor().values }
    _ = try model.gradients([prompt], scoredFrom: [0], captures: [capture])
    return values
  }

  /// An adapter of many parts is written as it was read.
  private func checkCopy(_ adapter: Adapter, _ model: Model, _ name: String) throws {
    try Files.withFolder { folder in
      try adapter.save(folder + "/a")
      #expect(try Adapter(folder: folder + "/a", for: model).hash == adapter.hash, "\(name)")
    }
  }

  @Test func trainingWhatIsNotTrainedIsRefused() throws {
    guard let model = try golden("llama-dora")?.model else { return }
    let example = SupervisedExample(prompt: Prompt(tokens: [1, 2, 3, 4]), scoredFrom: 1)
    for (name, word) in [
      ("llama-dora", "use_dora"), ("llama-save", "modules_to_save"), ("llama-tokens", "trainable_token_indices"),
      ("llama-lora-bias", "lora_bias"), ("llama-ends", "unembedding"),
    ] {
      let adapter = try Adapter(folder: "\(Self.folder)/\(name)", for: model)
      let error = #expect(throws: EngineError.self) {
        try Trainer(model, adapter: adapter, [example], TrainingOptions())
      }
      #expect(error?.message.contains(word) == true, "\(name): \(error?.message ?? "")")
    }
    // A fresh one is trained beside an attached one that changes weights, which stays.
    let other = try Adapter(folder: "\(Self.folder)/llama-dora", for: model)
    try model.attach(other)
    defer { try? model.detach() }
    let hash = model.hash
    var options = TrainingOptions()
    options.epochs = 2
    let fresh = try Adapter(for: model, rank: 2)
    let last = try Trainer(model, adapter: fresh, [example], options).run()
    #expect((last?.gradientNorm ?? 0) > 0 && model.hash == hash)
  }

  /// Every setting of `LoraConfig` in PEFT 0.21 is on one of the lists, and each list does what it says.
  @Test func everySettingIsReadHarmlessOrRefusedByName() throws {
    guard let model = try golden("llama-regex")?.model else { return }
    let path = "\(Self.folder)/llama-layers"
    let settings = try #require(try ConfigurationFile(path: path + "/adapter_config.json").value.object)
    let lists = [LoraSettings.read, LoraSettings.harmless.map(\.key), LoraSettings.refused.map(\.key)]
    let all = lists.flatMap { $0 }
    #expect(Set(all).count == all.count)
    for key in settings.keys { #expect(all.contains(key), "\(key) is on no list") }
    func load(_ changes: OrderedDictionary<String, JSONValue>) throws -> Adapter {
      try Files.withFolder { folder in
        try FileManager.default.copyItem(
          atPath: path + "/adapter_model.safetensors", toPath: folder + "/adapter_model.safetensors")
        try Data(JSONValue.object(settings.merging(changes) { $1 }).fileContents).write(
          to: URL(fileURLWithPath: folder + "/adapter_config.json"))
        return try Adapter(folder: folder, for: model)
      }
    }
    let plain = try load([:]).hash
    let some = JSONValue.object(["x": .integer(1)])
    for (key, _) in LoraSettings.harmless { #expect(try load([key: some]).hash == plain, "\(key)") }
    for (key, reason) in LoraSettings.refused {
      let error = #expect(throws: EngineError.self, "\(key)") { try load([key: some]) }
      #expect(error?.message.contains(key) == true && error?.message.contains(reason) == true)
      for off: JSONValue in [.null, .bool(false), .array([])] { #expect(try load([key: off]).hash == plain, "\(key)") }
    }
    for start in LoraSettings.starts { #expect(try load(["init_lora_weights": .string(start)]).hash == plain) }
    let refused: [(OrderedDictionary<String, JSONValue>, String)] = [
      (["use_new_thing": .bool(true)], "use_new_thing is not known"),
      (["use_dorra": .bool(true)], "did you mean use_dora"),
      (["peft_type": .string("IA3")], "IA3"), (["peft_type": .string("VERA")], "VERA"),
      (["init_lora_weights": .string("pissa_niter_4")], "pissa_niter_4"),
      (["init_lora_weights": .string("olora")], "olora"), (["init_lora_weights": .string("lora_ga")], "lora_ga"),
      (["use_dora": .bool(true)], "use_dora"), (["lora_bias": .bool(true)], "lora_bias"),
      (["r": .integer(5)], "rank_pattern"), (["rank_pattern": .object(["v_proj": .integer(3)])], "rank_pattern"),
      (["target_modules": .array([.string("q_proj")])], "target_modules"),
      (["layers_to_transform": .array([.integer(0)])], "layers_to_transform"),
      (["layers_to_transform": .integer(2)], "layers_to_transform"),
      (["layers_pattern": .string("h")], "layers_to_transform"),
      (["exclude_modules": .array([.string("v_proj")])], "exclude_modules"),
      (["exclude_modules": .string(".*v_.*")], "exclude_modules"),
      (["modules_to_save": .array([.string("v_proj")])], "modules_to_save"),
      (["target_modules": .string(".*(v_proj")], "no regular expression"),
      (["alpha_pattern": .object(["(": .integer(1)])], "alpha_pattern"), (["bias": .string("some")], "bias"),
    ]
    for (changes, words) in refused {
      let error = #expect(throws: EngineError.self, "\(changes)") { try load(changes) }
      #expect(error?.message.contains(words) == true, "\(changes): \(error?.message ?? "")")
    }
    // Expressions as PEFT matches them: the whole of the rest of the name.
    for (pattern, isMatch) in [
      ("v_proj", true), ("self_attn.v_proj", true), (#"layers\.1\.self_attn\..*"#, true), ("_proj", false),
      ("v_pro", false),
      ("q_proj|v_proj", true), (#"^model\.layers\.[0-2]\..*"#, true), (#"layers\.2\..*"#, false),
    ] {
      let scale = try load(["alpha_pattern": .object([pattern: .integer(7)])]).updates[0].scale
      #expect(scale == (isMatch ? 3.5 : 2), "\(pattern)")
    }
  }
}
