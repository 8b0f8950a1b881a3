import Foundation
import Testing

@testable import Engine

/// Settings of GGUF metadata: the goldens' models written as llama.cpp's converter writes them.
@Suite struct GGUFSettingsTests {
  private func float(_ value: Float) -> [UInt8] { GGUFBuilder.number(value.bitPattern) }

  /// A golden's model as GGUF. `family`: the conversion; keys go under its architecture.
  private func withGGUF<Result>(
    _ name: String, _ family: String, _ edit: (inout GGUFBuilder) throws -> Void = { _ in },
    _ body: (String, ConfigurationGoldens.Case) throws -> Result
  ) throws -> Result {
    let item = try ConfigurationGoldens.named(name)
    return try ConfigurationGoldens.withFolder(item) { folder in
      let path = "\(folder)/model.gguf"
      try Data(TinyGGUF.gguf(family, folder, edit)).write(to: URL(fileURLWithPath: path))
      return try body(path, item)
    }
  }

  /// A GGUF with these keys has the logits of the golden with the same setting.
  private func check(_ name: String, _ family: String, _ edit: (inout GGUFBuilder) throws -> Void) throws {
    try withGGUF(name, family, edit) { path, item in
      let logits = try ConfigurationGoldens.logits(try Model.load(path: path), item)
      let difference = maxDifference("\(name) in GGUF", logits, try ConfigurationGoldens.logits(name))
      #expect(difference < ConfigurationGoldenTests.tolerance, "\(name)")
    }
  }

  @Test func rotaryScalingOfEveryTypeMatchesTransformers() throws {
    try check("llama-linear", "llama") {
      $0.add("llama.rope.scaling.type", "linear")
      $0.add("llama.rope.scaling.factor", type: 6, float(4))
    }
    // Older files: no type, and a name of its own for the factor.
    try check("llama-linear", "llama") { $0.add("llama.rope.scale_linear", type: 6, float(4)) }
    try check("llama-linear", "llama") { $0.add("llama.rope.scaling.factor", type: 6, float(4)) }
    try check("llama", "llama") {
      $0.add("llama.rope.scaling.type", "none")
      $0.add("llama.rope.scaling.factor", type: 6, float(4))
    }
    try check("llama-yarn-original", "llama") {
      $0.add("llama.rope.scaling.type", "yarn")
      $0.add("llama.rope.scaling.factor", type: 6, float(4))
      $0.add("llama.rope.scaling.original_context_length", 8)
    }
    try check("llama-yarn-attention", "llama") {
      $0.add("llama.rope.scaling.type", "yarn")
      $0.add("llama.rope.scaling.factor", type: 6, float(4))
      $0.add("llama.rope.scaling.original_context_length", 8)
      $0.add("llama.rope.scaling.attn_factor", type: 6, float(1.4 / Float(0.1 * log(4.0) + 1)))
    }
    try check("qwen2-yarn", "qwen2") {
      $0.add("qwen2.rope.scaling.type", "yarn")
      $0.add("qwen2.rope.scaling.factor", type: 6, float(4))
      $0.add("qwen2.rope.scaling.original_context_length", 8)
    }
    try check("llama-dynamic", "llama") {
      $0.add("llama.rope.scaling.type", "dynamic")
      $0.add("llama.rope.scaling.factor", type: 6, float(3))
    }
    try check("llama-llama3", "llama") { _ in }
  }

  /// The factors of longrope are tensors, and its magnitude is stated.
  @Test(arguments: ["llama-longrope-long", "llama-longrope-crossing"]) func longropeMatchesTransformers(name: String)
    throws
  {
    let settings = try JSONValue(parsing: try ConfigurationGoldens.named(name).configuration)
    let original = try #require(settings["original_max_position_embeddings"]?.int)
    func factors(_ key: String) -> [UInt8] {
      (settings["rope_scaling"]?[key]?.array ?? []).flatMap { float(Float($0.double ?? 0)) }
    }
    let magnitude = (1 + log(32 / Double(original)) / log(Double(original))).squareRoot()
    try check(name, "llama") {
      $0.add("llama.rope.scaling.type", "longrope")
      $0.add("llama.rope.scaling.original_context_length", UInt32(original))
      $0.add("llama.rope.scaling.attn_factor", type: 6, float(Float(magnitude)))
      $0.tensor("rope_factors_short.weight", dimensions: [8], factors("short_factor"))
      $0.tensor("rope_factors_long.weight", dimensions: [8], factors("long_factor"))
    }
  }

  @Test func gemmasKeysAreFollowed() throws {
    try check("gemma3-linear", "gemma3") {
      $0.add("gemma3.rope.scaling.type", "linear")
      $0.add("gemma3.rope.scaling.factor", type: 6, float(8))
      $0.add("gemma3.rope.freq_base_swa", type: 6, float(100))
      $0.add("gemma3.attention.sliding_window_pattern", 3)
    }
    // A cap of 0 is none.
    try check("gemma2-logits-null", "gemma2") { $0.add("gemma2.final_logit_softcapping", type: 6, float(0)) }
  }

  static let refused: [(key: String, type: UInt32, payload: [UInt8], word: String)] = [
    ("llama.expert_count", 4, GGUFBuilder.number(UInt32(8)), "mixture of experts"),
    ("llama.attention.causal", 7, [0], "looks back"),
    ("llama.attention.value_length", 4, GGUFBuilder.number(UInt32(8)), "value_length"),
    ("llama.rope.dimension_count", 4, GGUFBuilder.number(UInt32(8)), "dimension_count"),
    ("llama.logit_scale", 6, GGUFBuilder.number(Float(0.5).bitPattern), "logit_scale"),
    ("llama.attention.clamp_kqv", 6, GGUFBuilder.number(Float(8).bitPattern), "clamp_kqv"),
    ("llama.attention.sliding_window", 4, GGUFBuilder.number(UInt32(8)), "sliding_window"),
    ("llama.attention.scale", 6, GGUFBuilder.number(Float(1).bitPattern), "attention.scale"),
    ("llama.rope.scaling.yarn_log_multiplier", 6, GGUFBuilder.number(Float(0.1).bitPattern), "yarn_log_multiplier"),
    ("llama.something.new", 4, GGUFBuilder.number(UInt32(1)), "something.new"),
    ("llama.rope.scaling.type", 8, GGUFBuilder.string("spiral"), "spiral"),
    ("llama.rope.scaling.type", 8, GGUFBuilder.string("longrope"), "rope_factors_short"),
  ]

  @Test(arguments: refused) func aKeyThatWouldChangeNumbersIsRefusedByName(
    key: String, type: UInt32, payload: [UInt8], word: String
  ) throws {
    try withGGUF("llama", "llama") {
      $0.add(key, type: type, payload)
    } _: { path, item in
      let error = #expect(throws: EngineError.self) { try Model.load(path: path) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
      guard error?.message.contains("ignore_settings") == true else { return }
      let model = try Model.load(path: path, ignoring: [key])
      #expect(model.notes.first?.contains(key) == true)
    }
  }

  @Test func whatChangesNothingLoads() throws {
    try check("llama", "llama") {
      $0.add("llama.attention.causal", type: 7, [1])
      $0.add("llama.attention.value_length", 16)
      $0.add("llama.rope.dimension_count", 16)
      $0.add("llama.expert_count", 0)
      $0.add("llama.attention.sliding_window", 0)
      $0.add("general.file_type", 1)
      $0.add("quantize.imatrix.file", "x")
      $0.add("mradermacher.quantize_version", "2")
    }
  }

  @Test(arguments: [("mmproj", "image part"), ("adapter", "LoRA"), ("vocab", "vocabulary"), ("imatrix", "importance")])
  func aFileOfAnotherKindIsNamed(type: String, word: String) throws {
    try withGGUF("llama", "llama") {
      $0.add("general.type", type)
    } _: { path, _ in
      let error = #expect(throws: EngineError.self) { try Model.load(path: path) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  @Test(arguments: [
    ("clip", "image part"), ("qwen3moe", "mixture of experts"), ("gpt-oss", "mixture of experts"), ("bert", "encoder"),
  ])
  func anArchitectureThatIsNotSupportedIsNamed(architecture: String, word: String) throws {
    var builder = GGUFBuilder()
    builder.add("general.architecture", architecture)
    builder.tensor("t", dimensions: [1], float(1))
    try Files.withFolder { folder in
      try Data(builder.bytes).write(to: URL(fileURLWithPath: "\(folder)/m.gguf"))
      let error = #expect(throws: EngineError.self) { try Model.load(path: "\(folder)/m.gguf") }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  @Test(arguments: [
    "output.bias", "output_norm.bias", "token_embd_norm.weight", "blk.0.ffn_gate_exps.weight", "v.blk.0.x",
  ])
  func aTensorThatWouldNotBeUsedIsRefused(name: String) throws {
    try withGGUF("llama", "llama") {
      $0.tensor(name, dimensions: [1], float(1))
    } _: { path, _ in
      let error = #expect(throws: EngineError.self) { try Model.load(path: path) }
      #expect(error?.message.contains(name) == true, "\(error?.message ?? "")")
    }
  }

  // MARK: Several files

  private func withParts(
    _ count: Int, firstIsEmpty: Bool = false,
    _ body: (_ folder: String, _ item: ConfigurationGoldens.Case) throws -> Void
  ) throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      let parts = try TinyGGUF.parts("llama", folder, count: count, firstIsEmpty: firstIsEmpty)
      for (name, bytes) in zip(TinyGGUF.partNames(count), parts) {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      }
      try body(folder, item)
    }
  }

  @Test(arguments: [(3, false), (4, true)]) func aSplitModelLoadsFromAnyPart(count: Int, firstIsEmpty: Bool) throws {
    try withParts(count, firstIsEmpty: firstIsEmpty) { folder, item in
      var hashes: Set<String> = []
      for name in TinyGGUF.partNames(count) {
        let model = try Model.load(path: "\(folder)/\(name)")
        #expect(model.name == "tiny")
        hashes.insert(model.hash)
        let logits = try ConfigurationGoldens.logits(model, item)
        #expect(
          maxDifference(name, logits, try ConfigurationGoldens.logits("llama")) < ConfigurationGoldenTests.tolerance)
        #expect(try ModelInspection(path: "\(folder)/\(name)").tensors.count == item.tensors.count)
      }
      #expect(hashes.count == 1)
    }
  }

  @Test func aPartThatIsMissingIsNamed() throws {
    try withParts(3) { folder, _ in
      let names = TinyGGUF.partNames(3)
      unlink("\(folder)/\(names[1])")
      for name in [names[0], names[2]] {
        let error = #expect(throws: EngineError.self) { try Model.load(path: "\(folder)/\(name)") }
        #expect(error?.kind == .missing && error?.message.contains("one is missing: \(names[1])") == true)
      }
    }
  }

  @Test func partsThatDoNotBelongTogetherAreRefused() throws {
    func refusal(_ make: (_ folder: String, _ names: [String]) throws -> String) throws -> String {
      var message = ""
      try withParts(3) { folder, _ in
        let path = try make(folder, TinyGGUF.partNames(3))
        message = (#expect(throws: EngineError.self) { try Model.load(path: path) })?.message ?? ""
      }
      return message
    }
    let swapped = try refusal { folder, names in
      try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(names[2])")).write(
        to: URL(fileURLWithPath: "\(folder)/\(names[1])"))
      return "\(folder)/\(names[0])"
    }
    #expect(swapped.contains("says that it is part 3 of 3; by its name it is part 2 of 3"), "\(swapped)")
    let renamed = try refusal { folder, names in
      rename("\(folder)/\(names[0])", "\(folder)/model.gguf")
      return "\(folder)/model.gguf"
    }
    #expect(renamed.contains("must be called as it was"), "\(renamed)")
    let counted = try refusal { folder, names in
      rename("\(folder)/\(names[0])", "\(folder)/tiny-00001-of-00002.gguf")
      return "\(folder)/tiny-00001-of-00002.gguf"
    }
    #expect(counted.contains("one of 3 parts by what it says, and of 2 by its name"), "\(counted)")
  }
}
