import Engine
import Foundation
import Testing
import Transfer

private let source = ModelIdentity(name: "small", hash: "aa11"), target = ModelIdentity(name: "large", hash: "bb22")

private func card(_ report: MapReport, _ method: MapperOptions.Method) -> MapCard {
  MapCard(
    source: MapSide(model: source, layer: 3, width: 12, maskedDimensions: [5], streamNorm: 4),
    target: MapSide(model: target, layer: 7, width: 9, maskedDimensions: [2, 4], streamNorm: 10),
    site: .residPost, options: MapperOptions(method: method), report: report, chat: true)
}

private func affine() throws -> TransferMap {
  let map = try AffineMap(weight: Tensor.normal([9, 12], seed: 1), bias: Tensor.normal([9], seed: 2))
  let none = try ActivationPairs(source: Tensor.zeros([0, 12]), target: Tensor.zeros([0, 9]), rows: [])
  return try TransferMap(mapper: map, card: card(MapReport(map, on: none), .affine))
}

private func vector(scale: Float = 1) throws -> SteeringVector {
  let means = try ActivationMeans(
    positive: Tensor.normal([12], seed: 3), negative: Tensor.normal([12], seed: 4), scale: scale)
  return try SteeringVector(
    difference: means, site: .residPost, layer: 3, position: .last,
    origin: VectorOrigin(method: "mean_difference", model: source))
}

private func temporaryFolder() -> String {
  NSTemporaryDirectory() + "acthost-map-\(UInt64.random(in: 0 ... .max))"
}

@Suite struct TransferMapTests {
  @Test func meansAndDirectAgreeForAnAffineMapAndAreMasked() throws {
    let map = try affine(), v = try vector()
    let means = try map.vector(v, mode: .means), direct = try map.vector(v, mode: .direct)
    #expect(try means.direction.allClose(direct.direction, atol: 1e-5))
    #expect(means.direction.pointer[2] == 0 && means.direction.pointer[4] == 0)
    #expect(means.means?.positive.pointer[2] != 0)
    #expect(means.layer == 7 && means.site == .residPost && means.origin.model == target)
    let scaled = try map.vector(v * 2.5, mode: .means)
    #expect(try scaled.direction.allClose(means.direction * 2.5, atol: 1e-5))
    #expect(abs(try cosine(map.vector(-v).direction, means.direction) + 1) < 1e-6)
  }

  @Test func normsAreMappedRelativeOrGiven() throws {
    let map = try affine(), v = try vector()
    #expect(abs(try map.vector(v, norm: .given(3)).norm - 3) < 1e-5)
    #expect(abs(try map.vector(v, norm: .relative).norm - v.norm / 4 * 10) < 1e-4)
    #expect(throws: EngineError.self) { try map.vector(v, norm: .given(0)) }
  }

  @Test func vectorsOfElsewhereAreRefused() throws {
    let map = try affine()
    var v = try vector()
    v.layer = 4
    #expect(throws: EngineError.self) { try map.vector(v) }
    v.layer = nil
    _ = try map.vector(v)
    v.site = .residPre
    #expect(throws: EngineError.self) { try map.vector(v) }
    v.site = .residPost
    v.origin.model = ModelIdentity(name: "other", hash: "cc33")
    #expect(throws: EngineError.self) { try map.vector(v) }
    v.origin.model = nil
    v.means = nil
    let error = #expect(throws: EngineError.self) { try map.vector(v, mode: .means) }
    #expect(error?.message.contains("direct") == true)
    let narrow = try SteeringVector(direction: Tensor.zeros([5]), origin: VectorOrigin(method: "m"))
    #expect(throws: EngineError.self) { try map.vector(narrow) }
  }

  @Test(arguments: [MapperOptions.Method.autoencoder, .affine, .ridge])
  func savedMapsComeBackExactly(method: MapperOptions.Method) throws {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let x = try Tensor.normal([80, 12], seed: 1), y = try Tensor.normal([80, 9], seed: 2)
    let pairs = try ActivationPairs(source: x, target: y, rows: (0..<80).map { .init(text: $0 / 10) })
    var options = MapperOptions(method: method)
    options.epochs = 1
    let fit = try MapFit(pairs, options: options)
    var whole = card(fit.report, method)
    whole.report.cosineLast = .nan
    let map = try TransferMap(mapper: fit.mapper, card: whole)
    try map.save(folder)
    let loaded = try TransferMap(folder: folder)
    #expect(try loaded(x).values == map(x).values)
    #expect(loaded.card.source == map.card.source && loaded.card.options == map.card.options)
    #expect(loaded.card.report.fvuByDimension == map.card.report.fvuByDimension && loaded.card.report.cosineLast.isNaN)
    try loaded.requireModels(source: source, target: target)
    #expect(throws: EngineError.self) { try loaded.requireModels(source: target, target: nil) }
  }

  @Test func damagedFoldersAreErrors() throws {
    #expect(throws: EngineError.self) { try TransferMap(folder: "/nonexistent") }
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try affine().save(folder)
    let path = folder + "/map.json", text = try String(contentsOfFile: path, encoding: .utf8)
    try (text + " ").write(toFile: path, atomically: true, encoding: .utf8)
    let mixed = #expect(throws: EngineError.self) { try TransferMap(folder: folder) }
    #expect(mixed?.message.contains("is not the card that") == true)
    // As written before weights carried their card's hash, so that the card itself is looked at.
    let weights = try SafetensorsFile(path: folder + "/map.safetensors")
    let tensors = try weights.names.map { (name: $0, tensor: try weights.tensor($0)) }
    var metadata = weights.metadata
    metadata["settings_hash"] = nil
    try Safetensors.write(folder + "/map.safetensors", tensors: tensors, metadata: metadata)
    for (damage, word) in [
      (text.replacingOccurrences(of: "\"site\"", with: "\"place\""), "lacks site"),
      (text.replacingOccurrences(of: "resid_post", with: "resid_pots"), "unknown site"),
      (text.replacingOccurrences(of: "\"width\" : 9", with: "\"width\" : 3"), ""),
      (String(text.prefix(text.count / 2)), "not JSON"), ("[]", "damaged"),
      (text.replacingOccurrences(of: "\"affine\"", with: "\"autoencoder\""), "encoder.weight"),
    ] {
      try damage.write(toFile: path, atomically: true, encoding: .utf8)
      let error = #expect(throws: EngineError.self) { try TransferMap(folder: folder) }
      #expect(word.isEmpty || error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }
}
