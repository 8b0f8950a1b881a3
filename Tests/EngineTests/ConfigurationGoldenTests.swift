import Foundation
import OrderedCollections
import Testing

@testable import Engine

/// Tiny random models under one changed setting each, against transformers (`Tests/Oracles/configurations.py`).
struct ConfigurationGoldens {
  struct Case: Sendable {
    let name: String
    let family: String
    /// `config.json` as transformers read it.
    let configuration: String
    /// Names in the folder, and in the file of goldens.
    let tensors: [(name: String, stored: String)]
    let tokens: [Int]
    /// Rows of the sequence whose logits are kept.
    let rows: [Int]
    let greedy: [Int]
    /// How far transformers' logits move from those of the family's plain settings.
    let change: Double
  }

  static let folder = Files.root.appendingPathComponent("Tests/EngineTests/Goldens").path

  static let cases: [Case] = {
    guard let file = try? JSONValue(path: "\(folder)/configurations.json") else { return [] }
    let groups = (file["groups"]?.array ?? []).map { ($0.array ?? []).compactMap(\.string) }
    return (file["cases"]?.array ?? []).compactMap { value in
      guard let name = value["name"]?.string, let family = value["family"]?.string, let group = value["tensors"]?.int
      else { return nil }
      func ints(_ key: String) -> [Int] { (value[key]?.array ?? []).compactMap(\.int) }
      return Case(
        name: name, family: family, configuration: value["config"]?.string ?? "",
        tensors: groups[group].map { (String($0.prefix { $0 != "/" }), "\(family)/\($0)") }, tokens: ints("ids"),
        rows: ints("rows"), greedy: ints("greedy"), change: value["change"]?.double ?? 0)
    }
  }()

  static func named(_ name: String) throws -> Case { try #require(cases.first { $0.name == name }) }

  static func logits(_ name: String) throws -> [Float] { try file().tensor("logits/\(name)").values }

  private static func file() throws -> SafetensorsFile {
    try SafetensorsFile(path: "\(folder)/configurations.safetensors")
  }

  /// The tensors of a case under a checkpoint's names.
  static func tensors(_ item: Case) throws -> [(name: String, tensor: Tensor)] {
    let file = try file()
    return try item.tensors.map { ($0.name, try file.tensor($0.stored)) }
  }

  /// Calls `body` with a folder that holds a case's model, with `configuration` or its own.
  static func withFolder<Result>(
    _ item: Case, configuration: String? = nil, extra: [(name: String, tensor: Tensor)] = [],
    _ body: (String) throws -> Result
  ) throws -> Result {
    try Files.withFolder { folder in
      try Data((configuration ?? item.configuration).utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      try Safetensors.write("\(folder)/model.safetensors", tensors: try tensors(item) + extra)
      return try body(folder)
    }
  }

  /// A case's `config.json` with members replaced, or removed where the value is nil.
  static func changed(_ item: Case, _ changes: [String: JSONValue?]) throws -> String {
    var members = try JSONValue(parsing: item.configuration).object ?? [:]
    for (key, value) in changes { members[key] = value }
    return JSONValue.object(members).text
  }

  /// The kept rows' logits of a model.
  static func logits(_ model: Model, _ item: Case) throws -> [Float] {
    let all = try #require(try model.run([Prompt(tokens: item.tokens)], logits: .all)[0].logits)
    let width = model.configuration.vocabularySize
    return item.rows.flatMap { all.values[$0 * width..<($0 + 1) * width] }
  }
}

@Suite struct ConfigurationGoldenTests {
  /// Rounding in float32 differs by up to 3e-5 at logits of 10.
  static let tolerance: Float = 1e-4

  @Test func theGoldensAreThere() {
    #expect(ConfigurationGoldens.cases.count >= 60)
    #expect(Set(ConfigurationGoldens.cases.map(\.family)).count == 8)
  }

  @Test(arguments: ConfigurationGoldens.cases.map(\.name))
  func logitsUnderASettingMatchTransformers(name: String) throws {
    let item = try ConfigurationGoldens.named(name)
    try ConfigurationGoldens.withFolder(item) { folder in
      let model = try Model.load(path: folder)
      let logits = try ConfigurationGoldens.logits(model, item)
      #expect(maxDifference(name, logits, try ConfigurationGoldens.logits(name)) < ConfigurationGoldenTests.tolerance)
      guard !item.greedy.isEmpty else { return }
      var options = GenerationOptions()
      options.maxTokens = item.greedy.count
      options.ignoreEnd = true
      #expect(try model.generate([Prompt(tokens: item.tokens)], options: options)[0].tokens == item.greedy)
    }
  }

  /// A model that is written anew states the same settings.
  @Test(arguments: ConfigurationGoldens.cases.map(\.name))
  func aSavedModelComputesTheSame(name: String) throws {
    let item = try ConfigurationGoldens.named(name)
    try ConfigurationGoldens.withFolder(item) { folder in
      try Model.load(path: folder).save("\(folder)/saved")
      let logits = try ConfigurationGoldens.logits(try Model.load(path: "\(folder)/saved"), item)
      #expect(maxDifference(name, logits, try ConfigurationGoldens.logits(name)) < ConfigurationGoldenTests.tolerance)
    }
  }

  /// transformers 5 writes rotary settings into one object; its meaning is that of the older keys.
  @Test(arguments: [
    "llama-yarn", "llama-linear", "llama-dynamic", "llama-llama3", "neox-yarn", "gemma3-linear", "neox",
  ])
  func theNewerSpellingOfRotarySettingsMeansTheSame(name: String) throws {
    let item = try ConfigurationGoldens.named(name)
    let old = try JSONValue(parsing: item.configuration)
    var inner = old["rope_scaling"]?.object ?? ["rope_type": .string("default")]
    inner["rope_theta"] = old["rope_theta"] ?? old["rotary_emb_base"] ?? .number(500)
    if let share = old["rotary_pct"] { inner["partial_rotary_factor"] = share }
    var parameters = JSONValue.object(inner)
    if item.family == "gemma3_text" {
      parameters = .object([
        "full_attention": parameters,
        "sliding_attention": .object(["rope_type": .string("default"), "rope_theta": .number(100)]),
      ])
    }
    let text = try ConfigurationGoldens.changed(
      item,
      [
        "rope_scaling": nil, "rope_theta": nil, "rotary_emb_base": nil, "rotary_pct": nil, "rope_local_base_freq": nil,
        "rope_parameters": parameters,
      ])
    try ConfigurationGoldens.withFolder(item, configuration: text) { folder in
      let logits = try ConfigurationGoldens.logits(try Model.load(path: folder), item)
      #expect(maxDifference(name, logits, try ConfigurationGoldens.logits(name)) < ConfigurationGoldenTests.tolerance)
    }
  }

  /// A batch whose sequences are of different lengths computes what each does alone, where frequencies depend on the length.
  @Test(arguments: ["llama-dynamic", "llama-longrope-crossing", "neox-dynamic"])
  func aBatchEqualsSingleRunsWhereLengthsMatter(name: String) throws {
    let item = try ConfigurationGoldens.named(name)
    try ConfigurationGoldens.withFolder(item) { folder in
      let model = try Model.load(path: folder)
      let tokens = Array((item.tokens + item.tokens).prefix(40))  // one beginning, which may be computed only once
      let prompts = [10, 40, 20, 33].map {
        Prompt(tokens: Array(tokens.prefix(min($0, model.configuration.contextLength))))
      }
      let batch = try model.run(prompts, logits: .all)
      // All begin with 30 tokens or more, which must not be computed once for sequences of different lengths.
      let long = [40, 31, 36].map { Prompt(tokens: Array(tokens.prefix(min($0, model.configuration.contextLength)))) }
      let last = try model.run(long, logits: .last)
      for (i, prompt) in long.enumerated() {
        let alone = try model.run([prompt], logits: .last)[0].logits?.values ?? []
        #expect(maxDifference("\(name) last \(i)", last[i].logits?.values ?? [], alone) < 1e-5)
      }
      for (i, prompt) in prompts.enumerated() {
        let alone = try model.run([prompt], logits: .all)[0].logits?.values ?? []
        #expect(maxDifference("\(name) \(i)", batch[i].logits?.values ?? [], alone) < 1e-5)
      }
    }
  }

  /// The gradient of the loss along a direction against a difference quotient, where rotary embeddings are scaled.
  @Test(arguments: ["llama-dynamic", "llama-yarn-attention", "llama-longrope-attention"])
  func gradientsPassScaledRotaryEmbeddings(name: String) throws {
    let item = try ConfigurationGoldens.named(name), weight = "model.layers.0.self_attn.k_proj.weight"
    let tokens = Array(item.tokens.prefix(40))
    func loss(_ shift: Float, _ body: ((Model) throws -> Void)? = nil) throws -> Double {
      var config = item.tensors
      config.removeAll { $0.name == weight }
      let kept = ConfigurationGoldens.Case(
        name: name, family: item.family, configuration: item.configuration, tensors: config, tokens: item.tokens,
        rows: item.rows, greedy: [], change: 0)
      let plain = try #require(try ConfigurationGoldens.tensors(item).first { $0.name == weight }?.tensor)
      let moved = try Tensor(plain.values.enumerated().map { $1 + shift * Float(($0 % 5) - 2) }, shape: plain.shape)
      return try ConfigurationGoldens.withFolder(kept, extra: [(weight, moved)]) { folder in
        let model = try Model.load(path: folder)
        try body?(model)
        let part = try model.negativeLogLikelihood([Prompt(tokens: tokens)], scoredFrom: [0])[0]
        return part.sum / Double(part.tokens)
      }
    }
    var slope = 0.0
    _ = try loss(0) { model in
      let result = try model.gradients([Prompt(tokens: tokens)], scoredFrom: [0], parameters: [weight])
      let gradient = try #require(result.parameters[weight]).values
      for (i, value) in gradient.enumerated() { slope += Double(value) * Double(i % 5 - 2) }
    }
    let quotient = (try loss(1e-3) - (try loss(-1e-3))) / 2e-3
    #expect(abs(slope - quotient) <= 2e-2 * max(1, abs(quotient)), "\(slope) and \(quotient)")
  }
}
