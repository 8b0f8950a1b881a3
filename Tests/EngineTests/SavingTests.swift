import Foundation
import Testing

@testable import Engine

/// A model saved as a Hugging Face folder and loaded again is the same model, whatever it came from.
@Suite(.serialized) struct SavingTests {
  /// Weights come back bit by bit; Gemma's norms, whose 1 is taken off and added again, within a rounding.
  static let tolerance: Float = 2e-5

  /// Saves, loads, and compares settings and logits.
  private func check(
    _ name: String, _ model: Model, _ prompts: [Prompt], settings: ModelConfiguration? = nil,
    also: (Model, String) throws -> Void = { _, _ in }
  ) throws {
    try Files.withFolder { folder in
      try model.save(folder + "/m")
      let copy = try Model.load(path: folder + "/m")
      #expect(copy.configuration == settings ?? model.configuration, "\(name)")
      let expected = try MergeTests.logits(model, prompts), values = try MergeTests.logits(copy, prompts)
      #expect(maxDifference("\(name) saved", values, expected) < Self.tolerance * max(1, MergeTests.scale(expected)))
      try also(copy, folder + "/m")
    }
  }

  @Test(arguments: TinyModelTests.families)
  func foldersAreCopied(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family), let path = Files.fixture("tiny/\(family)") else { return }
    let model = golden.model
    try check(family, model, golden.prompts) { copy, folder in
      let from = try HuggingFaceFolder(path: path), to = try HuggingFaceFolder(path: folder)
      #expect(Set(to.names) == Set(from.names))
      for name in from.names {
        #expect(to.shape(of: name) == from.shape(of: name))
        let difference = try to.tensor(name).maximumDifference(from.tensor(name))
        #expect(difference <= (family.hasPrefix("gemma") && name.contains("norm") ? 1e-6 : 0), "\(name)")
      }
      let own = try #require(from.configuration.value.object)
      for (key, value) in own { #expect(to.configuration.value[key] == value, "\(key)") }
      #expect(to.generation != nil && copy.stopTokens == model.stopTokens)
    }
    try check("\(family) in memory", try model.trainable(), golden.prompts)
    try check("\(family) merged", try model.merged(MergeTests.adapter(for: model)), golden.prompts)
  }

  /// A template that a model is loaded with stands for its own, in copies of the model and in its folder too.
  @Test func aGivenTemplateStaysWithTheModel() throws {
    let text: [UInt8] = Array("Hi".utf8), expected = "### Instruction:\nHi\n\n### Response:\n"
    func printed(_ model: Model) throws -> String {
      let chat = try model.renderChat([ChatMessage(role: "user", content: text)], generationPrompt: true)
      return String(decoding: chat.text, as: UTF8.self)
    }
    try TinyGGUF.withFile("llama") { path in
      let model = try Model.load(path: path, template: "alpaca")
      #expect(try printed(model) == expected)
      #expect(try printed(model.keeping([0])) == expected)
      #expect(try printed(model.trainable()) == expected)
      #expect(try printed(model.merged(MergeTests.adapter(for: model))) == expected)
      try Files.withFolder { folder in
        try model.save(folder + "/m")
        let written = try String(contentsOfFile: folder + "/m/chat_template.jinja", encoding: .utf8)
        #expect(written == model.template?.source)
        let other = try Model.load(path: folder + "/m", template: "{{ messages[0].content }}!")
        #expect(try printed(other) == "Hi!")
      }
      #expect(throws: EngineError.self) { try Model.load(path: path, template: "alpacca") }
    }
  }

  @Test(arguments: TinyGGUF.families)
  func filesBecomeFolders(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try TinyGGUF.withFile(family) { path in
      let model = try Model.load(path: path)
      // Divisors of rotary frequencies come back as the rule that they follow, the one of the family's own folder.
      var settings = model.configuration
      for layer in settings.layers.indices where settings.layers[layer].rotary?.scaling.isDivisors == true {
        settings.layers[layer].rotary = golden.model.configuration.layers[layer].rotary
      }
      try check("\(family) gguf", model, golden.prompts, settings: settings) { copy, folder in
        let fixture = try #require(Files.fixture("tiny/\(family)"))
        let to = try HuggingFaceFolder(path: folder), from = try HuggingFaceFolder(path: fixture)
        #expect(Set(to.names) == Set(from.names))
        #expect(try to.configuration.names("architectures") == from.configuration.names("architectures"))
        #expect(try to.configuration.string("model_type") == from.configuration.string("model_type"))
      }
      try check("\(family) gguf in memory", try model.trainable(), golden.prompts, settings: settings)
      try check(
        "\(family) gguf merged", try model.merged(MergeTests.adapter(for: model)), golden.prompts, settings: settings)
    }
  }

  /// The `config.json` that would be written for each fixture's own configuration reads as the same configuration.
  @Test(arguments: TinyModelTests.families)
  func settingsGiveTheConfigurationBack(family: String) throws {
    guard let path = Files.fixture("tiny/\(family)") else { return }
    let source = try ModelSource(path: path), stated = source.family.settings(source.configuration)
    let keys = ModelKeys(file: try ConfigurationFile(.object(stated), source: "made"), architecture: nil)
    #expect(try source.family.configuration(keys) == source.configuration)
    // What transformers' own config.json says under the same names is said alike.
    let own = try HuggingFaceFolder(path: path).configuration
    for (key, value) in stated where own[key] != nil && key != "hidden_act" && key != "activation_function" {
      let isSame = value.double.map { own[key]?.double == $0 } ?? (own[key]?.sorted == value.sorted)
      #expect(isSame, "\(family) \(key): \(value.text)")
    }
  }

  @Test func everyScalingOfRotaryFrequenciesIsStated() throws {
    let plain = Rotary(base: 500_000, dimensions: 128)
    #expect(plain.stated == plain)
    for context in [32, 8192] {
      var rule = plain, divided = plain
      rule.scaling = .llama3(factor: 32, low: 1, high: 4, originalContext: context)
      divided.scaling = .divisors(zip(plain.frequencies, rule.frequencies).map { $0 / $1 }, factor: 1)
      #expect(divided.stated == rule)
      divided.scaling = .divisors((0..<64).map { 1 + Float($0) }, factor: 1)
      #expect(divided.stated == nil)
    }
  }

  @Test func aPartOfALargerModelIsSavedAsAModel() throws {
    guard let path = Files.fixture("tiny/gemma3"), let golden = try TinyModelTests.Golden("gemma3") else { return }
    let source = try HuggingFaceFolder(path: path)
    try Files.withFolder { folder in
      let tensors = try source.names.map { name in
        StreamedTensor(name: "language_model." + name, tensor: try source.tensor(name))
      }
      let settings: JSONValue = .object(["model_type": .string("gemma3"), "text_config": source.configuration.value])
      try HuggingFaceFolder.write(folder + "/parts", configuration: settings, tensors: tensors)
      try check("gemma3, a part", try Model.load(path: folder + "/parts"), golden.prompts) { _, saved in
        let whole = try HuggingFaceFolder(path: saved)
        #expect(Set(whole.names) == Set(source.names))
        #expect(try whole.configuration.string("model_type") == "gemma3_text")
      }
    }
  }

  @Test func halvesAndRefusals() throws {
    guard let golden = try TinyModelTests.Golden("qwen3") else { return }
    let model = golden.model, adapter = try MergeTests.adapter(for: model)
    try Files.withFolder { folder in
      for (type, name) in [(ScalarType.bf16, "bfloat16"), (.f16, "float16")] {
        try model.save(folder + "/half", type: type)
        let half = try HuggingFaceFolder(path: folder + "/half")
        #expect(half.storage(of: "model.norm.weight")?.type == type.rawValue)
        #expect(try half.configuration.string("dtype") == name)
        _ = try Model.load(path: folder + "/half")
      }
      try model.attach(adapter)
      let error = #expect(throws: EngineError.self) { try model.save(folder + "/attached") }
      #expect(error?.kind == .argument && error?.message.contains("merge") == true)
      #expect(!FileManager.default.fileExists(atPath: folder + "/attached"))
      #expect(throws: EngineError.self) {
        try model.detach(); try model.save(folder + "/half", type: .i8)
      }
    }
  }

  /// A model that was packaged as GGUF, with its tokenizer, template and stop tokens.
  @Test func aPackagedModelBecomesAFolder() throws {
    guard let model = try Models.shared("smollm2-135m-instruct") else { return }
    let prompts = try ["The sky is", "def f(x):"].map { try model.prompt(text: Array($0.utf8)) }
    try check("smollm2", model, prompts) { copy, folder in
      #expect(copy.template?.source == model.template?.source && copy.stopTokens == model.stopTokens)
      let chat = try copy.prompt(text: Array("Hi".utf8), chat: true)
      #expect(chat.tokens == (try model.prompt(text: Array("Hi".utf8), chat: true).tokens))
      #expect(try HuggingFaceFolder(path: folder).configuration.ints("eos_token_id").first == 2)
    }
  }
}

extension Rotary.Scaling {
  fileprivate var isDivisors: Bool { if case .divisors = self { true } else { false } }
}

extension JSONValue {
  /// The value with its members in alphabetical order.
  fileprivate var sorted: JSONValue {
    guard case .object(let members) = self else { return self }
    return .object(ModelSettings(uniqueKeysWithValues: members.sorted { $0.key < $1.key }))
  }
}
