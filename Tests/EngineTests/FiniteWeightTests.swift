import CKernels
import Foundation
import Testing

@testable import Engine

/// Values that are no numbers are said where they enter: the tensor, and how many.
@Suite struct FiniteWeightTests {
  static let places: [(tensor: String, values: [Float])] = [
    ("model.layers.1.self_attn.v_proj.weight", [.nan]),
    ("model.layers.0.mlp.gate_proj.weight", [.infinity, -.infinity, .nan]),
    ("model.norm.weight", [.nan]), ("model.layers.0.input_layernorm.weight", [.infinity]),
    ("lm_head.weight", [.nan, .nan]),
    ("model.embed_tokens.weight", [.nan]),
  ]

  @Test(arguments: places, [WeightPrecision.f32, .bf16])
  func aWeightThatIsNoNumberIsNamed(place: (tensor: String, values: [Float]), precision: WeightPrecision) throws {
    let item = try ConfigurationGoldens.named("llama")
    var tensors = try ConfigurationGoldens.tensors(item)
    let index = try #require(tensors.firstIndex { $0.name == place.tensor })
    let damaged = try tensors[index].tensor.cloned()
    // In the row of the first token, so that the embedding is read there.
    let row = place.tensor.contains("embed") ? item.tokens[0] * damaged.shape[1] : 0
    for (i, value) in place.values.enumerated() { damaged.mutablePointer[row + i] = value }
    tensors[index].tensor = damaged
    try Files.withFolder { folder in
      try Data(item.configuration.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      try Safetensors.write("\(folder)/model.safetensors", tensors: tensors)
      let error = #expect(throws: EngineError.self) {
        let model = try Model.load(path: folder, precision: precision)
        _ = try model.run([Prompt(tokens: item.tokens)], logits: .last)
      }
      let count = "\(place.values.count) of \(damaged.count) values of tensor \(place.tensor)"
      #expect(error?.kind == .numeric && error?.message.contains(count) == true, "\(error?.message ?? "")")
    }
  }

  @Test(arguments: ["transformer.h.0.attn.c_attn.weight", "transformer.h.1.attn.c_attn.bias", "transformer.wpe.weight"])
  func soAreTransposedOnesBiasesAndPositions(tensor: String) throws {
    let item = try ConfigurationGoldens.named("gpt2")
    var tensors = try ConfigurationGoldens.tensors(item)
    let index = try #require(tensors.firstIndex { $0.name == tensor })
    let damaged = try tensors[index].tensor.cloned()
    damaged.mutablePointer[damaged.count - 1] = .nan
    tensors[index].tensor = damaged
    try Files.withFolder { folder in
      try Data(item.configuration.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      try Safetensors.write("\(folder)/model.safetensors", tensors: tensors)
      let error = #expect(throws: EngineError.self) { try Model.load(path: folder) }
      #expect(
        error?.message.contains("1 of \(damaged.count) values of tensor \(tensor)") == true, "\(error?.message ?? "")")
    }
  }

  @Test func valuesThatAreNoNumbersAreCounted() {
    var random = RandomGenerator(seed: 5)
    for count in [0, 1, 7, 4095, 4096, 4097, 20_000] {
      var values = (0..<count).map { _ in Float(random.normal()) * 1e38 }
      for i in values.indices where !values[i].isFinite { values[i] = 1 }
      #expect(ck_count_nonfinite(values, count) == 0)
      let wrong = Set((0..<min(count, 5)).map { _ in random.below(max(1, count)) })
      for (i, place) in wrong.enumerated() { values[place] = [Float.nan, .infinity, -.infinity, .signalingNaN][i % 4] }
      #expect(ck_count_nonfinite(values, count) == wrong.count)
    }
  }

  /// Random bytes as blocks of every format with integer products: as many values as dequantising them gives.
  @Test(arguments: [
    (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (12, 256, 144), (13, 256, 176), (14, 256, 210),
  ])
  func scalesThatAreNoNumbersAreFound(type: Int, values: Int, bytes: Int) {
    var random = RandomGenerator(seed: type), found = 0
    for _ in 0..<200 {
      let blocks = 16
      let source = (0..<blocks * bytes).map { _ in UInt8(random.below(256)) }
      var out = [Float](repeating: 0, count: blocks * values)
      #expect(ck_dequantize(UInt32(type), source, out.count, &out))
      let exact = ck_count_nonfinite(out, out.count), quick = ck_count_nonfinite_blocks(UInt32(type), source, out.count)
      // A block whose scale is infinite may hold values of 0 times infinity, NaN, all the same.
      #expect((exact > 0) == (quick > 0) && quick >= exact)
      found += quick
    }
    #expect(found > 0)
  }

  @Test func quantisedWeightsAreCheckedAsTheyAre() throws {
    try Files.withFolder { folder in
      var builder = GGUFBuilder(), blocks: [UInt8] = []
      builder.add("general.architecture", "x")
      for row in 0..<64 {
        blocks += row == 40 ? [0, 0x7e] : [0, 0x3c]  // a scale of NaN, of 1
        blocks += [UInt8](repeating: 3, count: 32)
      }
      builder.tensor("w", dimensions: [32, 64], type: 8, blocks)
      try Data(builder.bytes).write(to: URL(fileURLWithPath: "\(folder)/w.gguf"))
      let file = try GGUFFile(path: "\(folder)/w.gguf")
      let piece = MatrixRows.Piece(place: "w", start: 0, rows: 64, headSize: nil, isInterleaved: false)
      let rows = MatrixRows(weights: file, pieces: [piece], outputs: 64, inputs: 32)
      for precision in [WeightPrecision.native, .f32, .bf16] {
        let error = #expect(throws: EngineError.self) { try precision.pack(rows) }
        #expect(error?.message.contains("32 of 2048 values of tensor w") == true, "\(error?.message ?? "")")
      }
    }
  }

  @Test func anAdapterThatIsNoNumberIsRefused() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    try Files.withFolder { folder in
      let adapter = try Adapter(for: golden.model, rank: 4, seed: 1)
      adapter.updates[0].down.value.mutablePointer[3] = .infinity
      try adapter.save(folder)
      let error = #expect(throws: EngineError.self) { try Adapter(folder: folder, for: golden.model) }
      #expect(
        error?.message.contains("1 of 256 values of tensor base_model.model.model.layers.0") == true,
        "\(error?.message ?? "")")
    }
  }
}
