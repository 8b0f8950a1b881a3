import Testing

@testable import Engine

/// A merged model computes what its base computes with the adapter attached, in every arrangement of weights.
@Suite(.serialized) struct MergeTests {
  /// The bar, in units of the largest logit: both sum the same products in another order.
  static let tolerance: Float = 1e-5

  /// An adapter of all linear maps with random B.
  static func adapter(for model: Model, rank: Int = 3) throws -> Adapter {
    let adapter = try Adapter(for: model, rank: rank, alpha: 6, seed: 4)
    for (i, update) in adapter.updates.enumerated() {
      update.setUp(try Tensor.normal(update.up.value.shape, seed: i) * 0.3)
    }
    return adapter
  }

  static func logits(_ model: Model, _ prompts: [Prompt]) throws -> [Float] {
    try model.run(prompts, logits: .all).flatMap { $0.logits?.values ?? [] }
  }

  static func scale(_ values: [Float]) -> Float { values.reduce(0) { max($0, abs($1)) } }

  private func check(_ name: String, _ model: Model, _ prompts: [Prompt]) throws {
    let adapter = try Self.adapter(for: model), plain = try Self.logits(model, prompts), base = model.hash
    let merged = try model.merged(adapter)
    try model.attach(adapter)
    let attached = try Self.logits(model, prompts), scale = Self.scale(attached)
    #expect(merged.hash == model.hash && merged.hash != base && merged.adapters.isEmpty)
    try model.detach()
    let values = try Self.logits(merged, prompts)
    #expect(maxDifference("\(name) merged", values, attached) < Self.tolerance * scale)
    #expect(zip(values, plain).contains { abs($0 - $1) > 0.01 * scale })
    // The copy stays as it is when the adapter is trained on.
    for update in adapter.updates { update.up.value.mutablePointer.update(repeating: 1, count: update.up.value.count) }
    let again = try Self.logits(merged.trainable(), prompts)
    #expect(maxDifference("\(name) merged, then all weights in memory", again, values) < Self.tolerance * scale)
  }

  @Test(arguments: TinyModelTests.families)
  func mergeEqualsAttach(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try check(family, golden.model, golden.prompts)
    try check("\(family) in memory", try golden.model.trainable(), golden.prompts)
  }

  @Test(arguments: TinyGGUF.families)
  func mergeEqualsAttachInGGUF(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try TinyGGUF.withFile(family) { try check("\(family) gguf", try Model.load(path: $0), golden.prompts) }
  }

  @Test func mergesStackAndRefuseAdaptersOfOthers() throws {
    guard let golden = try TinyModelTests.Golden("llama"), let other = try TinyModelTests.Golden("qwen2") else {
      return
    }
    let first = try Self.adapter(for: golden.model), merged = try golden.model.merged(first)
    let second = try Self.adapter(for: merged, rank: 2), twice = try merged.merged(second)
    try merged.attach(second)
    let attached = try Self.logits(merged, golden.prompts), values = try Self.logits(twice, golden.prompts)
    #expect(maxDifference("twice", values, attached) < Self.tolerance * Self.scale(attached))
    #expect(throws: EngineError.self) { try other.model.merged(first) }
    #expect(throws: EngineError.self) { try merged.merged(first) }
  }

  /// Quantised products cannot hold the sum; a merged copy of such a model multiplies in float32.
  @Test func aQuantisedModelMergesInFloat32() throws {
    guard let path = Files.model("smollm2-135m-instruct") else { return }
    let model = try Model.load(path: path, precision: .native)
    let adapter = try Adapter(for: model, rank: 4, targets: ["q_proj", "down_proj"], layers: [1, 20])
    for (i, update) in adapter.updates.enumerated() {
      update.setUp(try Tensor.normal(update.up.value.shape, seed: i) * 0.1)
    }
    let merged = try model.merged(adapter), float = try Model.load(path: path)
    #expect(merged.precision == .f32)
    try float.attach(adapter)
    let prompts = [try float.prompt(text: Array("The sky is".utf8))]
    let attached = try Self.logits(float, prompts), values = try Self.logits(merged, prompts)
    #expect(maxDifference("smollm2 merged", values, attached) < Self.tolerance * Self.scale(attached))
  }
}

extension LowRankUpdate {
  /// Gives B other values.
  func setUp(_ values: Tensor) {
    // A tensor may be freed after its last use, which its pointer is not.
    withExtendedLifetime(values) { up.value.mutablePointer.update(from: values.pointer, count: values.count) }
    refresh()
  }
}
