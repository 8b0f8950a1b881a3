import Engine
import Foundation
import Testing

@testable import Transfer

/// Vectors and maps in files whose values are no numbers, or whose parts are not of one piece.
@Suite struct DamagedFileTests {
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "acthost-damaged-\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try body(folder)
  }

  private func tensor(_ values: [Float]) throws -> Tensor { try Tensor(values, shape: [values.count]) }

  private func map(_ bias: [Float], seed: Int = 1) throws -> TransferMap {
    let map = try AffineMap(weight: Tensor.normal([bias.count, 3], seed: seed), bias: tensor(bias))
    let none = try ActivationPairs(source: Tensor.zeros([0, 3]), target: Tensor.zeros([0, bias.count]), rows: [])
    let (a, b) = (ModelIdentity(name: "a", hash: "aa"), ModelIdentity(name: "b", hash: "bb"))
    return try TransferMap(
      mapper: map,
      card: MapCard(
        source: MapSide(model: a, layer: seed, width: 3, maskedDimensions: [], streamNorm: 4),
        target: MapSide(model: b, layer: 7, width: bias.count, maskedDimensions: [], streamNorm: 10), site: .residPost,
        options: MapperOptions(method: .affine), report: MapReport(map, on: none), chat: true))
  }

  @Test func aVectorsFileThatIsNoNumberIsRefused() throws {
    try withFolder { folder in
      let metadata = ["format": "acthost steering vector 1", "method": "x"]
      try Safetensors.write(
        "\(folder)/v.safetensors", tensors: [("direction", try tensor([1, .nan, .infinity, 2]))], metadata: metadata)
      let error = #expect(throws: EngineError.self) { try SteeringVector(path: "\(folder)/v.safetensors") }
      #expect(error?.message.contains("2 of 4 values of tensor direction") == true, "\(error?.message ?? "")")
      let means: [(name: String, tensor: Tensor)] = [
        ("direction", try tensor([1, 1])), ("mean_positive", try tensor([.nan, 1])),
        ("mean_negative", try tensor([1, 1])),
      ]
      try Safetensors.write("\(folder)/m.safetensors", tensors: means, metadata: metadata)
      let other = #expect(throws: EngineError.self) { try SteeringVector(path: "\(folder)/m.safetensors") }
      #expect(other?.message.contains("tensor mean_positive") == true, "\(other?.message ?? "")")
    }
  }

  @Test func aControlVectorThatIsNoNumberIsRefused() throws {
    try withFolder { folder in
      let path = "\(folder)/v.gguf"
      try ControlVectorFile.write(
        path,
        [
          try SteeringVector(
            direction: tensor([1, 2, 3, 4]), site: .residPost, layer: 2, origin: VectorOrigin(method: "x"))
        ])
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      bytes.replaceSubrange(bytes.count - 32..<bytes.count - 28, with: [0, 0, 0xc0, 0x7f])
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: EngineError.self) { try ControlVectorFile.read(path) }
      #expect(error?.message.contains("1 of 4 values of tensor direction.2") == true, "\(error?.message ?? "")")
    }
  }

  @Test func aMapThatIsNoNumberIsRefused() throws {
    try withFolder { folder in
      try map([1, -.infinity]).save("\(folder)/map")
      let error = #expect(throws: EngineError.self) { try TransferMap(folder: "\(folder)/map") }
      #expect(error?.message.contains("1 of 2 values of tensor bias") == true, "\(error?.message ?? "")")
    }
  }

  @Test(arguments: ["map.safetensors", "map.json"]) func filesOfTwoMapsAreRefused(name: String) throws {
    try withFolder { folder in
      try map([1, 2]).save("\(folder)/1")
      try map([3, 4], seed: 2).save("\(folder)/2")
      try FileManager.default.removeItem(atPath: "\(folder)/1/\(name)")
      try FileManager.default.copyItem(atPath: "\(folder)/2/\(name)", toPath: "\(folder)/1/\(name)")
      let error = #expect(throws: EngineError.self) { try TransferMap(folder: "\(folder)/1") }
      #expect(error?.message.contains("saved with") == true, "\(error?.message ?? "")")
      try map([1, 2]).save("\(folder)/1")
      #expect(try TransferMap(folder: "\(folder)/1").card.source.layer == 1)
    }
  }
}
