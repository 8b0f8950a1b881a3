import Foundation
import Testing

@testable import Engine

@Suite struct TensorFilesTests {
  private func load(_ data: Data, _ name: String) throws -> [(name: String, tensor: Tensor)] {
    try Files.withFolder { folder in
      try data.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      return try TensorFiles.load("\(folder)/\(name)")
    }
  }

  @Test func numpyArraysInFortranOrderBecomeRowMajor() throws {
    let doubles = try load(NumpyGoldens.fortranDoubles, "steps.npy")
    #expect(doubles.map(\.name) == ["steps"] && doubles[0].tensor.shape == [2, 3])
    #expect(doubles[0].tensor.values == (0..<6).map { Float($0) / 4 - 0.5 })
    let halves = try load(NumpyGoldens.fortranHalves, "halves.npy")[0].tensor
    #expect(halves.shape == [2, 3, 4] && halves.values == (0..<24).map { Float($0) })
  }

  @Test func numpyArchivesStoredAndCompressed() throws {
    let stored = try load(NumpyGoldens.stored, "x.npz")
    #expect(stored.map(\.name) == ["a", "b"])
    #expect(stored[0].tensor.values == [-1, 0, 1] && stored[1].tensor.values == [1, 0])
    let compressed = try load(NumpyGoldens.compressed, "x.npz")
    #expect(compressed[0].tensor.values == Array(repeating: 1.5, count: 64))
    #expect(compressed[1].tensor.shape == [] && compressed[1].tensor.values == [7])
  }

  @Test(arguments: ["safetensors", "npz"]) func whatIsSavedIsLoaded(kind: String) throws {
    var random = SeededRandom(state: 7)
    let shapes = [("a", [3, 5]), ("scalar", []), ("empty", [0, 4]), ("näme \"q\"", [2, 2, 2])]
    let tensors = try shapes.map { name, shape in
      let count = shape.reduce(1, *)
      return (
        name: name, tensor: try Tensor((0..<count).map { _ in Float.random(in: -1...1, using: &random) }, shape: shape)
      )
    }
    try Files.withFolder { folder in
      let path = "\(folder)/x.\(kind)"
      try TensorFiles.save(path, tensors)
      let loaded = try TensorFiles.load(path)
      #expect(loaded.map(\.name) == tensors.map(\.name))
      for (one, other) in zip(loaded, tensors) {
        #expect(one.tensor.shape == other.tensor.shape && one.tensor.values == other.tensor.values)
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["x.\(kind)"])
    }
  }

  @Test func aNumpyFileHoldsOneArray() throws {
    try Files.withFolder { folder in
      let tensor = try Tensor([1, 2, 3])
      try TensorFiles.save("\(folder)/one.npy", [("x", tensor)])
      #expect(try TensorFiles.load("\(folder)/one.npy")[0].tensor.values == [1, 2, 3])
      let size = try FileManager.default.attributesOfItem(atPath: "\(folder)/one.npy")[.size] as? Int
      #expect(size == 128 + 12)  // the header ends at a multiple of 64
      #expect(throws: EngineError.self) { try TensorFiles.save("\(folder)/two.npy", [("x", tensor), ("y", tensor)]) }
    }
  }

  @Test func metadataIsKept() throws {
    try Files.withFolder { folder in
      let metadata = ["layer": "12", "note": "line\nbreak \"quoted\" \\ \u{1}"]
      try Safetensors.write("\(folder)/v.safetensors", tensors: [("v", try Tensor([1]))], metadata: metadata)
      #expect(try SafetensorsFile(path: "\(folder)/v.safetensors").metadata == metadata)
    }
  }

  @Test func aFailedWriteLeavesTheOldFile() throws {
    try Files.withFolder { folder in
      let path = "\(folder)/v.safetensors", tensor = try Tensor([1, 2])
      try Safetensors.write(path, tensors: [("v", tensor)])
      #expect(throws: EngineError.self) { try Safetensors.write(path, tensors: [("v", tensor), ("v", tensor)]) }
      struct Stop: Error {}
      #expect(throws: Stop.self) {
        try AtomicFile.write(path) { file in
          try file.write([1, 2, 3])
          throw Stop()
        }
      }
      #expect(try SafetensorsFile(path: path).tensor("v").values == [1, 2])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["v.safetensors"])
      #expect(throws: EngineError.self) {
        try Safetensors.write("\(folder)/no/v.safetensors", tensors: [("v", tensor)])
      }
    }
  }

  @Test func anotherExtensionIsRefused() {
    let error = #expect(throws: EngineError.self) { try TensorFiles.load("x.safetensor") }
    #expect(error?.message.contains("safetensors") == true)
    #expect(throws: EngineError.self) { try TensorFiles.save("x.gguf", []) }
  }
}
