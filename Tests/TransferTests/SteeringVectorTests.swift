import Engine
import Foundation
import Testing
import Transfer

private func vector(_ seed: Int, layer: Int? = 3, site: Site = .residPost) throws -> SteeringVector {
  let positive = try Tensor.normal([16], seed: seed), negative = try Tensor.normal([16], seed: seed + 1)
  return try SteeringVector(
    difference: ActivationMeans(positive: positive, negative: negative), site: site, layer: layer, position: .index(-2),
    stream: StreamStatistics(mean: positive, norm: 8),
    origin: VectorOrigin(
      method: "mean_difference", model: ModelIdentity(name: "m", hash: "h"), template: "chatml", positiveCount: 5,
      negativeCount: 6, seed: 2, maskedDimensions: [1, 9]))
}

@Suite struct SteeringVectorTests {
  @Test func massiveDimensionsAreZeroInTheDirectionOnly() throws {
    let v = try vector(1)
    #expect(v.direction.pointer[1] == 0 && v.direction.pointer[9] == 0)
    #expect(v.means?.positive.pointer[1] != 0)
    #expect(v.summary.contains("resid_post 3 at -2  d 16") && v.summary.contains("2 dimensions masked"))
    #expect(abs(try #require(v.relativeNorm) - v.norm / 8) < 1e-12)
  }

  @Test func algebraKeepsWhatBothSidesShare() throws {
    let a = try vector(1), b = try vector(5), elsewhere = try vector(7, layer: 4)
    let sum = try a + b
    #expect(sum.layer == 3 && sum.position == .index(-2) && sum.means == nil)
    #expect(try sum.direction.values == (a.direction + b.direction).values)
    #expect(sum.origin.maskedDimensions == [1, 9])
    #expect(try (a - elsewhere).layer == nil)
    #expect(try (a - a).norm == 0)
    let scaled = try a * -2
    let means = try #require(scaled.means)
    #expect(
      try ((means.positive - means.negative) * means.scale).zeroing([1, 9]).allClose(scaled.direction, atol: 1e-6))
    #expect(try (a / 2 * 2).direction.values == a.direction.values)
    #expect(abs(try a.rescaled(to: 5).norm - 5) < 1e-5)
    #expect(throws: EngineError.self) { try (a - a).rescaled(to: 1) }
    #expect(throws: EngineError.self) { try a / 0 }
    let short = try SteeringVector(direction: Tensor([1, 2]), origin: VectorOrigin(method: "m"))
    #expect(throws: EngineError.self) { try a + short }
    #expect(throws: EngineError.self) {
      try SteeringVector(direction: Tensor.zeros([2, 2]), origin: VectorOrigin(method: "m"))
    }
  }

  @Test func savedVectorsComeBackWhole() throws {
    let path = NSTemporaryDirectory() + "acthost-vector-\(UInt64.random(in: 0 ... .max)).safetensors"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let v = try vector(1) * 1.25
    try v.save(path)
    let loaded = try SteeringVector(path: path)
    #expect(loaded.direction.values == v.direction.values && loaded.origin == v.origin)
    #expect(loaded.site == v.site && loaded.layer == v.layer && loaded.position == v.position)
    #expect(loaded.means?.scale == 1.25 && loaded.means?.negative.values == v.means?.negative.values)
    #expect(loaded.stream?.norm == v.stream?.norm && loaded.stream?.mean.values == v.stream?.mean.values)

    try Safetensors.write(path, tensors: [("weight", v.direction)])
    #expect(throws: EngineError.self) { try SteeringVector(path: path) }
    for damage in [["site": "residual"], ["position": "somewhere"], ["layer": "x"], ["masked_dimensions": "3,99"]] {
      let good = ["format": "acthost steering vector 1", "site": "resid_post"]
      try Safetensors.write(path, tensors: [("direction", v.direction)], metadata: good.merging(damage) { $1 })
      #expect(throws: EngineError.self) { try SteeringVector(path: path) }
    }
    #expect(throws: EngineError.self) { try SteeringVector(path: "/nonexistent.safetensors") }
  }

  @Test func positionsReadBackAsWritten() {
    let positions: [PositionSelector] = [
      .all, .prompt, .generated, .index(4), .index(-3), .list([1, -2]), .list([5]), .range(from: 2, to: nil),
      .range(from: nil, to: -1), .range(from: nil, to: nil), .match("|prod|"),
    ]
    for position in positions { #expect(PositionSelector(fileText: position.fileText) == position) }
    #expect(PositionSelector(fileText: PositionSelector.last.fileText) == .index(-1))
    for wrong in ["", "x", "1..x", "1,a", "1.2"] { #expect(PositionSelector(fileText: wrong) == nil) }
  }
}

@Suite struct ActivationSumsTests {
  private func sums(_ rows: Tensor, layer: Int, into sums: inout ActivationSums, slot: Int = 0) throws {
    for row in 0..<rows.shape[0] { try sums.add(rows.row(row).pointer, layer: layer, slot: slot) }
  }

  @Test func differencesAtEveryLayerAndPositionAreThoseOfTheMeans() throws {
    var positive = ActivationSums(layers: [2, 5], slots: 2, width: 8), negative = positive
    var means: [Int: (Tensor, Tensor)] = [:]
    for layer in [2, 5] {
      for slot in 0..<2 {
        let a = try Tensor.normal([30, 8], seed: layer * 10 + slot),
          b = try Tensor.normal([20, 8], seed: layer * 10 + slot + 5)
        try sums(a, layer: layer, into: &positive, slot: slot)
        try sums(b, layer: layer, into: &negative, slot: slot)
        means[layer * 2 + slot] = (try a.mean(dimension: 0), try b.mean(dimension: 0))
      }
    }
    let directions = try Directions(
      positive: positive, negative: negative, site: .residPost, positions: [.index(-2), .index(-1)],
      origin: VectorOrigin(method: "mean_difference", maskedDimensions: [3]))
    let v = try directions.at(5, position: .last)
    let (a, b) = try #require(means[11])
    #expect(try v.direction.allClose((a - b).zeroing([3]), atol: 1e-6))
    #expect(v.layer == 5 && v.origin.positiveCount == 30 && v.origin.negativeCount == 20)
    #expect(try #require(v.stream).mean.pointer[3] == 0)
    #expect(throws: EngineError.self) { try directions.at(3, position: .last) }
    #expect(throws: EngineError.self) { try directions.at(5) }
    #expect(throws: EngineError.self) { try directions.at(5, position: .index(-3)) }
    #expect(throws: EngineError.self) { try ActivationSums(layers: [1], slots: 1, width: 8).mean(layer: 1) }
  }

  @Test func theStreamNormIsTheRootMeanSquare() throws {
    var gathered = ActivationSums(layers: [0], slots: 1, width: 8)
    let rows = try Tensor.normal([50, 8], seed: 1)
    try sums(rows, layer: 0, into: &gathered)
    #expect(abs(try gathered.stream(layer: 0).norm - rows.norm() / 50.0.squareRoot()) < 1e-6)
    #expect(
      abs(try gathered.stream(layer: 0, masked: [0, 7]).norm - rows.zeroing([0, 7]).norm() / 50.0.squareRoot()) < 1e-6)
  }

  @Test func massiveDimensionsStandOutByLayer() throws {
    var gathered = ActivationSums(layers: [0, 1], slots: 1, width: 64)
    try sums(Tensor.normal([40, 64], seed: 1), layer: 0, into: &gathered)
    let rows = try Tensor.normal([40, 64], seed: 2)
    for row in 0..<40 {
      rows.mutablePointer[row * 64 + 17] = 1000
      rows.mutablePointer[row * 64 + 40] *= 10  // large, not massive
    }
    try sums(rows, layer: 1, into: &gathered)
    let massive = try MassiveDimensions(gathered)
    #expect(massive.byLayer == [0: [], 1: [17]] && massive.union == [17])
    #expect(massive.share[0] == 0 && massive.share[1]! > 0.99)
  }
}

@Suite struct VectorMethodTests {
  /// Against the eigenvector of the uncentred second moment, which numpy.linalg.eigh would give.
  @Test func thePrincipalComponentIsTheFirstEigenvectorWithTheSignOfTheMean() throws {
    let direction = try Tensor.normal([20], seed: 1)
    let weights = try Tensor.uniform([60, 1], in: 1..<3, seed: 2)
    let negative = try Tensor.normal([60, 20], seed: 3)
    let positive = try negative - weights * direction + Tensor.normal([60, 20], seed: 4) * 0.1
    let component = try principalComponent(positive: positive, negative: negative)
    #expect(abs(component.norm() - 1) < 1e-5)
    #expect(try cosine(component, -direction) > 0.99)
    let difference = try positive - negative
    let (_, vectors) = try difference.crossProduct(difference).eigh()
    #expect(try abs(cosine(component, vectors.transposed().row(19))) > 0.99999)
    #expect(try principalComponent(positive: positive, negative: negative, masked: [4]).pointer[4] == 0)
    #expect(throws: EngineError.self) { try principalComponent(positive: positive, negative: positive) }
    #expect(throws: EngineError.self) { try principalComponent(positive: positive.rows(0..<3), negative: negative) }
  }

  @Test func randomControlsHaveTheNormTheMaskAndTheirKindOfSpread() throws {
    let v = try vector(1)
    let isotropic = try v.randomLike(seed: 3)
    #expect(abs(isotropic.norm - v.norm) < 1e-5 && isotropic.direction.pointer[9] == 0 && isotropic.layer == 3)
    #expect(try v.randomLike(seed: 3).direction.values == isotropic.direction.values)
    #expect(try v.randomLike(seed: 4).direction.values != isotropic.direction.values)
    // Activations that vary along one axis only, in two classes far apart: the control lies along that axis, and the
    // distance between the classes plays no part.
    let axis = try Tensor.normal([16], seed: 5).zeroing([1, 9])
    let classes = try (0..<2).map { number in
      try Tensor.normal([30, 1], seed: number) * axis + Tensor.normal([16], seed: 20 + number) * 100
    }
    let matched = try v.randomLike(activations: classes, seed: 1)
    #expect(try abs(cosine(matched.direction, axis)) > 0.999)
    #expect(abs(matched.norm - v.norm) < 1e-5)
    #expect(throws: EngineError.self) { try v.randomLike(activations: [Tensor.zeros([3, 4])], seed: 0) }
    #expect(throws: EngineError.self) { try v.randomLike(activations: [], seed: 0) }
  }
}
