import Foundation
import Testing

@testable import Engine

@Suite struct DamagedFileTests {
  private func open(_ builder: GGUFBuilder) throws -> GGUFFile {
    try Files.withFolder { folder in
      try Data(builder.bytes).write(to: URL(fileURLWithPath: "\(folder)/x.gguf"))
      return try GGUFFile(path: "\(folder)/x.gguf")
    }
  }

  @Test(arguments: [2, 3] as [UInt32]) func everyKindOfMetadataIsRead(version: UInt32) throws {
    var builder = GGUFBuilder.sample()
    builder.version = version
    let file = try open(builder)
    #expect(try file.string("general.architecture") == "llama")
    #expect(try [0, 1, 2, 3, 5, 11].map { try file.int("scalar.\($0)") } == [200, -56, 60000, -5, -7, -9])
    #expect(try file.double("scalar.6") == 1.5)
    #expect(try file.double("scalar.12") == 2.25)
    #expect(try file.double("scalar.10") == 0x1p64)
    #expect(try file.bool("scalar.7"))
    #expect(throws: EngineError.self) { try file.int("scalar.10") }
    #expect(try file.strings("tokens")[39] == Array("token39".utf8))
    #expect(try file.ints("types")[5...7] == [5, 0, 1])
    #expect(try file.tensor("one").shape == [2, 4])
    #expect(try file.tensor("two").values == (0..<32).map { Float($0) })
  }

  @Test func impossibleTensorsAreRefusedByName() {
    let cases: [(String, (inout GGUFBuilder) -> Void)] = [
      ("offset", { $0.tensor("bad", dimensions: [4], offset: 1 << 62, []) }),
      ("cut short", { $0.tensor("bad", dimensions: [1 << 20], []) }),
      ("multiple of 32", { $0.tensor("bad", dimensions: [4], offset: 4, Array(repeating: 0, count: 64)) }),
      ("overlap", { $0.tensor("bad", dimensions: [4], offset: 0, Array(repeating: 0, count: 64)) }),
      ("twice", { $0.tensor("one", dimensions: [4], Array(repeating: 0, count: 16)) }),
      ("impossible|cannot have shape", { $0.tensor("bad", dimensions: [1 << 39, 1 << 39, 1 << 39], []) }),
      ("dimension of 0", { $0.tensor("bad", dimensions: [4, 0], []) }),
      ("dimension of 1844", { $0.tensor("bad", dimensions: [.max], []) }),
      ("9 dimensions", { $0.tensor("bad", dimensions: Array(repeating: 1, count: 9), []) }),
      ("type 999", { $0.tensor("bad", dimensions: [4], type: 999, []) }),
      ("multiples of 256", { $0.tensor("bad", dimensions: [128], type: 12, Array(repeating: 0, count: 144)) }),
      ("power of two", { $0.add("general.alignment", 48) }),
      ("twice", { $0.add("tokens", 1) }),
      ("unknown type 77", { $0.add("odd", type: 77, []) }),
      ("boolean", { $0.add("odd", type: 7, [9]) }),
    ]
    for (message, change) in cases {
      var builder = message == "power of two" ? GGUFBuilder() : GGUFBuilder.sample()
      change(&builder)
      let error = #expect(throws: EngineError.self) { try open(builder) }
      let text = error?.message ?? ""
      #expect(message.split(separator: "|").contains { text.contains($0) }, "\(message): \(text)")
      #expect(text.contains("x.gguf"))
    }
  }

  /// Counts and lengths beyond what the file can hold are refused before anything is made by them.
  @Test(arguments: [1 << 63, .max, 1 << 40, 1 << 32, 10_000] as [UInt64])
  func absurdCountsAreRefused(count: UInt64) throws {
    let good = GGUFBuilder.sample().bytes, tokens = GGUFBuilder.string("tokens")
    let key = try #require(good.indices.first { good[$0...].starts(with: tokens) })
    let dimension = try #require(good.indices.first { good[$0...].starts(with: GGUFBuilder.string("one")) })
    for (what, place) in [
      ("the tensor count", 8), ("the metadata count", 16), ("metadata key 1 of", 24),
      ("the length of tokens", key + tokens.count + 8), ("the length of tokens", key + tokens.count + 16),
      ("one", dimension + 15), ("one", dimension + 15 + 8 + 8 + 4),
    ] {
      try Files.withFolder { folder in
        var bytes = good
        bytes.replaceSubrange(place..<place + 8, with: GGUFBuilder.number(count))
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/x.gguf"))
        let error = #expect(throws: EngineError.self, "\(what)") { try GGUFFile(path: "\(folder)/x.gguf") }
        let message = error?.message ?? ""
        #expect(message.contains("x.gguf") && message.contains(what), "\(what): \(message)")
      }
    }
  }

  @Test(arguments: [0, 1, 4, 50_331_648] as [UInt32]) func otherVersionsAreNamed(version: UInt32) {
    var builder = GGUFBuilder.sample()
    builder.version = version
    let error = #expect(throws: EngineError.self) { try open(builder) }
    #expect(error?.message.contains(version > 4 ? "big-endian" : "version \(version)") == true)
  }

  /// Reads everything a file offers; what it throws must be an `EngineError` that names the file.
  private func readAll(_ path: String) throws {
    if path.hasSuffix("gguf") {
      let file = try GGUFFile(path: path)
      for value in file.metadata.values {
        switch value {
        case .strings(let list): #expect(list.reduce(0) { $0 + $1.count } <= file.file.bytes.count)
        case .numbers(let list): #expect(list.floats.count <= file.file.bytes.count)
        default: break
        }
      }
      for name in file.names {
        do { _ = try file.tensor(name).values.reduce(0, +) } catch let error as EngineError {
          #expect(error.message.contains("can be read"))
        }
      }
      return
    }
    for (_, tensor) in try TensorFiles.load(path) { _ = tensor.values.reduce(0, +) }
  }

  /// One random fault: bits flipped, a hostile number written, bytes cut off, removed or put in.
  private func damage(_ original: [UInt8], header: Int, _ random: inout SeededRandom) -> [UInt8] {
    var bytes = original
    let place = Int.random(in: 0..<min(header, bytes.count), using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 2:
      let hostile: [UInt64] = [.max, 1 << 63, 1 << 62, 1 << 40, 1 << 32, 0xffff_ffff, 0x7fff_ffff, 0, 1]
      let value = GGUFBuilder.number(hostile[Int.random(in: 0..<hostile.count, using: &random)])
      for (index, byte) in value.enumerated() where place + index < bytes.count { bytes[place + index] = byte }
    case 3: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
    case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &random)))
    default: bytes.insert(contentsOf: (0..<8).map { _ in UInt8.random(in: 0...255, using: &random) }, at: place)
    }
    return bytes
  }

  @Test(.timeLimit(.minutes(5))) func damagedFilesThrowOrStayInBounds() throws {
    var samples: [(name: String, bytes: [UInt8], header: Int)] = [
      ("sample.gguf", GGUFBuilder.sample().bytes, .max), ("golden.npz", Array(NumpyGoldens.stored), .max),
      ("packed.npz", Array(NumpyGoldens.compressed), .max), ("golden.npy", Array(NumpyGoldens.fortranHalves), .max),
    ]
    try Files.withFolder { folder in
      let tensors = try [("a", Tensor([1, 2, 3, 4], shape: [2, 2])), ("b", Tensor([5]))]
      try Safetensors.write("\(folder)/s.safetensors", tensors: tensors, metadata: ["k": "v"])
      samples.append(
        ("own.safetensors", Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/s.safetensors"))), .max))
    }
    if let path = Files.fixture("gguf/quants.gguf") {
      // Its length is a whole number of pages: a read past the end would leave the mapping.
      samples.append(("quants.gguf", Array(try Data(contentsOf: URL(fileURLWithPath: path))), 1200))
    }
    if let path = Files.fixture("gguf/expected.safetensors") {
      samples.append(("expected.safetensors", Array(try Data(contentsOf: URL(fileURLWithPath: path))), 1100))
    }
    try Files.withFolder { folder in
      for (number, sample) in samples.enumerated() {
        var random = SeededRandom(state: UInt64(number)), thrown = 0
        let rounds = 400
        for round in 0..<rounds {
          let path = "\(folder)/\(sample.name)"
          var bytes = damage(sample.bytes, header: sample.header, &random)
          if round % 3 == 0, !bytes.isEmpty { bytes = damage(bytes, header: sample.header, &random) }
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          do { try readAll(path) } catch let error as EngineError {
            thrown += 1
            #expect(error.message.contains(sample.name), "round \(round): \(error.message)")
          }
        }
        print("\(sample.name)  \(thrown) of \(rounds) damaged files refused")
        #expect(thrown > 0)
      }
    }
  }
}
