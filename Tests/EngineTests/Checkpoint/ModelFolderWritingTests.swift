import CKernels
import Foundation
import Testing

@testable import Engine

/// Model folders written by streaming, and the rounding to half formats.
@Suite struct ModelFolderWritingTests {
  private func tensor(_ name: String, _ shape: [Int], _ seed: Int) throws -> StreamedTensor {
    StreamedTensor(name: name, tensor: try Tensor.normal(shape, seed: seed))
  }

  private func entries(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  private let settings: JSONValue = .object(["model_type": .string("llama"), "layers": .array([.integer(1), .null])])

  @Test func aCopyOfAFixtureIsTheSameModel() throws {
    guard let path = Files.fixture("tiny/llama") else { return }
    let source = try HuggingFaceFolder(path: path)
    let tensors = try source.names.map { try StreamedTensor(name: $0, from: source) }
    try Files.withFolder { folder in
      for (name, limit) in [("whole", HuggingFaceFolder.shardBytes), ("sharded", 200_000)] {
        try HuggingFaceFolder.write(
          "\(folder)/\(name)", configuration: source.configuration.value, tensors: tensors, shardBytes: limit,
          companions: source.companions)
        let copy = try HuggingFaceFolder(path: "\(folder)/\(name)")
        #expect(Set(copy.names) == Set(source.names))
        for name in source.names {
          #expect(copy.shape(of: name) == source.shape(of: name))
          #expect(try copy.tensor(name).values == source.tensor(name).values)
        }
        #expect(try copy.configuration.string("model_type") == "llama" && copy.generation != nil)
      }
      #expect(try entries("\(folder)/whole") == ["config.json", "generation_config.json", "model.safetensors"])
      let sharded = try entries("\(folder)/sharded")
      #expect(sharded.contains("model-00001-of-00005.safetensors") && sharded.contains("model.safetensors.index.json"))
      for name in sharded where name.hasPrefix("model-") {
        #expect(try SafetensorsFile(path: "\(folder)/sharded/\(name)").file.bytes.count < 210_000)
      }
      #expect(try entries(folder) == ["sharded", "whole"])
    }
  }

  @Test func halvesAreTheNearest() throws {
    try Files.withFolder { folder in
      let weight = try Tensor.normal([5, 7], seed: 3)
      for (type, name) in [(ScalarType.f16, "float16"), (.bf16, "bfloat16")] {
        try HuggingFaceFolder.write(
          folder + "/m", configuration: settings, tensors: [StreamedTensor(name: "w", tensor: weight)], as: type)
        let copy = try HuggingFaceFolder(path: folder + "/m")
        #expect(copy.storage(of: "w") == StoredForm(type: type.rawValue, bytes: 70))
        #expect(try copy.configuration.string("torch_dtype") == name)
        let steps: Float = type == .f16 ? 0x1p-11 : 0x1p-8
        for (ours, exact) in zip(try copy.tensor("w").values, weight.values) {
          #expect(abs(ours - exact) <= abs(exact) * steps)
        }
      }
      let huge = StreamedTensor(name: "w", tensor: try Tensor([1, 70000]))
      let error = #expect(throws: EngineError.self) {
        try HuggingFaceFolder.write(folder + "/m", configuration: settings, tensors: [huge], as: .f16)
      }
      #expect(error?.kind == .numeric && error?.message.contains("w has values too large for F16") == true)
      #expect(try HuggingFaceFolder(path: folder + "/m").storage(of: "w")?.type == "BF16")
    }
  }

  /// Every half comes back as itself, and every float is rounded as the processor's own conversion rounds it.
  @Test func everyHalfIsItselfAndRoundingIsTheProcessors() {
    let all = (0...UInt16.max).map { $0 }
    var floats = [Float](repeating: 0, count: all.count), halves = [UInt16](repeating: 0, count: all.count)
    _ = ck_dequantize(UInt32(CK_TYPE_F16), all, all.count, &floats)
    #expect(ck_encode_f16(floats, all.count, &halves) == 0)
    #expect(zip(zip(all, halves), floats).allSatisfy { $0.0.0 == $0.0.1 || $0.1.isNaN })
    #expect(zip(halves, floats).allSatisfy { $1.isNaN == (Float16(bitPattern: $0).isNaN) })
    _ = ck_dequantize(UInt32(CK_TYPE_BF16), all, all.count, &floats)
    #expect(ck_encode_bf16(floats, all.count, &halves) == 0)
    #expect(zip(zip(all, halves), floats).allSatisfy { $0.0.0 == $0.0.1 || $0.1.isNaN })

    var random = SeededRandom(state: 5)
    var values: [Float] = [65519.996, 65520, -65520, .infinity, -.infinity, 0x1p-25, 0x1.000002p-25, -0.0]
    for _ in 0..<200_000 {
      values.append(Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)))
      values.append(Float.random(in: -70000...70000, using: &random))
      values.append(Float.random(in: -0x1p-13...0x1p-13, using: &random))
    }
    for step in 0..<4096 {  // ties
      values.append(Float(step) + 0.5)
      values.append((Float(step) + 0.5) * 0x1p-24)
    }
    halves = Array(repeating: 0, count: values.count)
    let beyond = ck_encode_f16(values, values.count, &halves)
    #expect(beyond == values.count { $0.isFinite && Float16($0).isInfinite })
    let wrong = zip(values, halves).first { !$0.isNaN && Float16($0).bitPattern != $1 }
    #expect(wrong == nil)
    let beyondBrain = ck_encode_bf16(values, values.count, &halves)
    for (value, half) in zip(values, halves) where value.isFinite {
      let rounded = Float(bitPattern: UInt32(half) << 16), below = Float(bitPattern: value.bitPattern & 0xffff_0000)
      let above = Float(bitPattern: (value.bitPattern & 0xffff_0000) &+ 0x10000)
      guard above.isFinite else { continue }
      let low = abs(Double(value) - Double(below)), high = abs(Double(above) - Double(value))
      if low == high {  // the even one of the two
        #expect(half & 1 == 0 && (rounded == below || rounded == above))
      } else {
        #expect(rounded == (low < high ? below : above))
      }
    }
    #expect(beyondBrain < values.count / 100)
  }

  @Test func rowsComeOnceInOrderAndWithoutASecondCopy() throws {
    try Files.withFolder { folder in
      let rows = 3000, width = 1000
      var next = 0, longest = 0
      let big = StreamedTensor(name: "big", shape: [rows / 2, 2, width]) { part, target in
        #expect(part.lowerBound == next)
        next = part.upperBound
        longest = max(longest, part.count * width)
        for place in 0..<part.count * width { target[place] = Float(part.lowerBound * width + place) }
      }
      let empty = StreamedTensor(name: "empty", shape: [0, 4]) { _, _ in Issue.record("no rows to fill") }
      let one = StreamedTensor(name: "one", shape: []) { rows, target in target[0] = Float(rows.count) }
      try HuggingFaceFolder.write("\(folder)/m", configuration: settings, tensors: [big, empty, one])
      #expect(next == rows)
      #expect(longest <= 1 << 20)  // of three million
      let file = try HuggingFaceFolder(path: "\(folder)/m")
      let values = try file.tensor("big").values
      #expect(file.shape(of: "big") == [1500, 2, 1000] && values.count == 3_000_000)
      #expect(values.indices.allSatisfy { values[$0] == Float($0) })
      #expect(file.shape(of: "empty") == [0, 4])
      #expect(try file.tensor("one").values == [1])
    }
  }

  @Test func aFailedWriteLeavesTheOldModel() throws {
    struct Stop: Error {}
    try Files.withFolder { folder in
      let path = "\(folder)/m"
      try HuggingFaceFolder.write(path, configuration: settings, tensors: [tensor("a", [4, 4], 1)])
      let old = try HuggingFaceFolder(path: path).tensor("a").values
      let stopping = StreamedTensor(name: "b", shape: [4]) { _, _ in throw Stop() }
      #expect(throws: Stop.self) {
        try HuggingFaceFolder.write(
          path, configuration: .object([:]), tensors: [tensor("a", [4, 4], 2), stopping], shardBytes: 64)
      }
      for wrong in [
        [try tensor("a", [1], 1), try tensor("a", [1], 1)], [try tensor("", [1], 1)],
        [StreamedTensor(name: "x", shape: [1 << 40, 1 << 40]) { _, _ in }],
        [StreamedTensor(name: "x", shape: [-1]) { _, _ in }],
      ] {
        #expect(throws: EngineError.self) { try HuggingFaceFolder.write(path, configuration: settings, tensors: wrong) }
      }
      #expect(throws: EngineError.self) {
        try HuggingFaceFolder.write(path, configuration: settings, tensors: [tensor("a", [1], 1)], as: .i8)
      }
      #expect(throws: EngineError.self) {
        try HuggingFaceFolder.write(path, configuration: .null, tensors: [tensor("a", [1], 1)])
      }
      #expect(throws: EngineError.self) {
        try HuggingFaceFolder.write(
          path, configuration: settings, tensors: [tensor("a", [1], 1)], companions: ["\(folder)/none.json"])
      }
      #expect(try HuggingFaceFolder(path: path).tensor("a").values == old)
      #expect(try entries(path) == ["config.json", "model.safetensors"] && entries(folder) == ["m"])
    }
  }

  @Test func aNewModelReplacesOldWeightsAndKeepsOtherFiles() throws {
    try Files.withFolder { folder in
      let path = "\(folder)/m/"
      let three = try (0..<3).map { try tensor("t\($0)", [4], $0) }
      try HuggingFaceFolder.write(path, configuration: settings, tensors: three, shardBytes: 16)
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(path)/README.md"))
      #expect(try entries(path).count == 6)
      let open = try HuggingFaceFolder(path: path)
      // The weights that are replaced are the ones being read.
      let streamed = try open.names.map { try StreamedTensor(name: $0, from: open) }
      try HuggingFaceFolder.write(path, configuration: settings, tensors: streamed)
      #expect(try entries(path) == ["README.md", "config.json", "model.safetensors"])
      try HuggingFaceFolder.write(path, configuration: settings, tensors: Array(three.prefix(2)), shardBytes: 16)
      let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
      #expect(try entries(path) == ["README.md", "config.json"] + names + ["model.safetensors.index.json"])
      #expect(try HuggingFaceFolder(path: path).names == ["t0", "t1"])
      #expect(try open.tensor("t2").values == Tensor.normal([4], seed: 2).values)
    }
  }

  @Test func settingsAreReadableAndComeBack() throws {
    try Files.withFolder { folder in
      try HuggingFaceFolder.write("\(folder)/m", configuration: settings, tensors: [tensor("a", [2], 1)])
      let text = try String(contentsOfFile: "\(folder)/m/config.json", encoding: .utf8)
      #expect(
        text == """
          {
            "model_type": "llama",
            "layers": [
              1,
              null
            ],
            "torch_dtype": "float32"
          }

          """)
    }
  }
}
