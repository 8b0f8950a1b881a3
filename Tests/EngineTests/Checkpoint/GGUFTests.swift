import Foundation
import Testing

@testable import Engine

@Suite struct GGUFTests {
  /// Largest difference of each row over the row's largest magnitude.
  private func worst(_ ours: Tensor, _ golden: Tensor) -> Float {
    let width = ours.lastDimension
    return (0..<ours.count / width).map { row in
      let range = row * width..<(row + 1) * width
      let scale = range.map { abs(golden.pointer[$0]) }.max() ?? 1
      return (range.map { abs(ours.pointer[$0] - golden.pointer[$0]) }.max() ?? 0) / scale
    }.max() ?? 0
  }

  /// Tolerance: 1e-6 of the row's largest, from the fixtures' README. The formulas round as the reference does, so the
  /// difference is expected to be nothing.
  @Test func dequantisedValuesMatchTheReference() throws {
    guard let path = Files.fixture("gguf/quants.gguf"), let expected = Files.fixture("gguf/expected.safetensors")
    else { return }
    let file = try GGUFFile(path: path), golden = try SafetensorsFile(path: expected)
    for name in file.names {
      let tensor = try file.tensor(name)
      #expect(tensor.shape == golden.shape(of: name))
      let difference = worst(tensor, try golden.tensor(name))
      print("\(name)  max|diff| \(difference)")
      #expect(difference <= 1e-6, "\(name)")
    }
    #expect(file.names.count == 15)
  }

  @Test func aTypeThatCannotBeReadIsNamedBesideThoseThatCan() throws {
    var builder = GGUFBuilder()
    builder.tensor("t", dimensions: [256], type: GGMLType.iq2_xxs.rawValue, Array(repeating: 0, count: 66))
    try Files.withFolder { folder in
      try Data(builder.bytes).write(to: URL(fileURLWithPath: "\(folder)/x.gguf"))
      let file = try GGUFFile(path: "\(folder)/x.gguf")
      let error = #expect(throws: EngineError.self) { try file.tensor("t") }
      #expect(error?.message.contains("tensor t is stored as IQ2_XXS") == true)
      #expect(error?.message.contains("Q3_K") == true && error?.message.contains("IQ4_XS BF16 can be read") == true)
    }
  }

  @Test func partOfTheRowsEqualsTheWhole() throws {
    guard let path = Files.fixture("gguf/quants.gguf") else { return }
    let file = try GGUFFile(path: path)
    for name in ["t.q4_1", "t.q3_k", "t.q6_k", "t.iq4_xs", "t.f16"] {
      let whole = try file.tensor(name).values
      var part = [Float](repeating: 0, count: 2 * 512)
      try part.withUnsafeMutableBufferPointer { try file.read(name, rows: 1..<3, into: $0.baseAddress!) }
      #expect(part == Array(whole[512..<1536]))
    }
    var one: Float = 0
    #expect(throws: EngineError.self) { try file.read("t.f32", rows: 3..<5, into: &one) }
  }

  @Test func metadataHasTypedAccessors() throws {
    guard let path = Files.model("smollm2-135m-instruct") else { return }
    let file = try GGUFFile(path: path)
    #expect(try file.string("general.architecture") == "llama")
    #expect(try file.int("llama.block_count") == 30)
    #expect(try file.double("llama.rope.freq_base") == 100_000)
    #expect(try file.stringTable("tokenizer.ggml.tokens").count == 49152)
    #expect(try file.strings("tokenizer.ggml.tokens")[1] == Array("<|im_start|>".utf8))
    #expect(try file.ints("tokenizer.ggml.token_type").count == 49152)
    #expect(try file.int(ifPresent: "no.such.key") == nil)
    #expect(file.shape(of: "token_embd.weight") == [49152, 576])
    let missing = #expect(throws: EngineError.self) { try file.int("llama.block_cuont") }
    #expect(missing?.message.contains("llama.block_count") == true)
    let wrong = #expect(throws: EngineError.self) { try file.int("general.architecture") }
    #expect(wrong?.message.contains("expected an integer") == true)
  }

  @Test func tensorNamesAreSuggested() throws {
    guard let path = Files.fixture("gguf/quants.gguf") else { return }
    let error = #expect(throws: EngineError.self) { try GGUFFile(path: path).tensor("t.f23") }
    #expect(error?.message.contains("t.f32") == true)
  }

  @Test func aWrongPathIsNamed() {
    let missing = #expect(throws: EngineError.self) { try GGUFFile(path: "/no/such/model.gguf") }
    #expect(missing?.kind == .missing && missing?.message.contains("/no/such/model.gguf") == true)
    let folder = #expect(throws: EngineError.self) { try GGUFFile(path: "/tmp") }
    #expect(folder?.message.contains("folder") == true)
  }
}
