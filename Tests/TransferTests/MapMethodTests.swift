import Engine
import Foundation
import Testing
import Transfer

/// Rows of `texts` texts of 10 rows, the last three of which are template.
private func rows(_ texts: Int) -> [ActivationPairs.Row] {
  (0..<texts * 10).map { .init(text: $0 / 10, isTemplate: $0 % 10 > 6, isLast: $0 % 10 == 9) }
}

private func statistics(_ x: Tensor, _ y: Tensor) throws -> PairStatistics {
  var statistics = PairStatistics(sourceWidth: x.shape[1], targetWidth: y.shape[1])
  try statistics.add(source: x, target: y)
  return statistics
}

/// Columns `range` of a matrix.
private func columns(_ x: Tensor, _ range: Range<Int>) throws -> Tensor {
  try x.transposed().rows(range).transposed()
}

private func isOrthogonal(_ rows: Tensor) throws -> Bool {
  let product = try rows.matmul(transposed: rows), n = product.shape[0]
  return (0..<n * n).allSatisfy { abs(product.pointer[$0] - ($0 % (n + 1) == 0 ? 1 : 0)) < 1e-5 }
}

@Suite struct MapMethodTests {
  /// numpy and scipy on the rows of SimilarityTests: Tests/Oracles/statistics_figures.py.
  @Test func closedFormsAreThoseOfOtherPrograms() throws {
    let x = try SimilarityTests.x(), y = try SimilarityTests.y()
    let wide = try statistics(x, y).procrustes()
    #expect(abs(wide.weight.pointer[0] + 0.009444956018) < 1e-5 && abs(wide.weight.pointer[14] - 0.02476458676) < 1e-5)
    #expect(abs(wide.bias.pointer[1] + 0.03817739202) < 1e-5)
    #expect(try isOrthogonal(wide.weight * (1 / 0.6322805819)))
    let square = try statistics(columns(x, 0..<3), y).procrustes()
    #expect(
      abs(square.weight.pointer[0] + 0.02434528861) < 1e-5 && abs(square.weight.pointer[7] - 0.02279800714) < 1e-5)
    let low = try statistics(x, y).lowRank(2, lambda: 1e-3)
    #expect(abs(low.weight.pointer[0] - 0.0223553385) < 1e-5 && abs(low.weight.pointer[8] - 0.1996140373) < 1e-5)
    #expect(abs(low.weight.pointer[14] - 0.02357243756) < 1e-5 && abs(low.bias.pointer[0] + 0.02952464069) < 1e-5)
    let values = try low.weight.svd().s
    #expect(values.pointer[2] < 1e-6 * values.pointer[0])
    // Of full rank it is ridge.
    let full = try statistics(x, y).lowRank(3, lambda: 1e-3), ridge = try statistics(x, y).ridge(lambda: 1e-3)
    #expect(try full.weight.allClose(ridge.weight, atol: 1e-5) && full.bias.allClose(ridge.bias, atol: 1e-5))
  }

  /// What was rotated, scaled and shifted is found again, into equal, more and fewer dimensions.
  @Test func procrustesFindsARotation() throws {
    let x = try Tensor.normal([300, 6], seed: 1) * Tensor([1, 2, 3, 4, 5, 60])
    let rotation = try Tensor.normal([6, 6], seed: 2).svd().u
    let y = try x.matmul(transposed: rotation) * 2.5 + Tensor.normal([6], seed: 3) * 1000
    let map = try statistics(x, y).procrustes()
    #expect(try map.weight.allClose(rotation * 2.5, atol: 1e-3) && map(x).allClose(y, atol: 1e-1))
    let tall = try Tensor.normal([9, 6], seed: 4).svd().u
    let wider = try statistics(x, x.matmul(transposed: tall)).procrustes()
    #expect(try wider.weight.allClose(tall, atol: 1e-3) && wider.weight.shape == [9, 6])
    let back = try statistics(x.matmul(transposed: tall), x).procrustes()
    #expect(try back.weight.allClose(tall.transposed(), atol: 1e-3))
    #expect(throws: EngineError.self) { try statistics(Tensor.zeros([5, 2]), Tensor.zeros([5, 2])).procrustes() }
  }

  @Test func identityAndMeanShiftNeedEqualWidths() throws {
    let x = try Tensor.normal([40, 4], seed: 1), y = try x + Tensor([1, -2, 3, 500])
    let sums = try statistics(x, y)
    #expect(try sums.identity()(x).allClose(x) && sums.meanShift()(x).allClose(y, atol: 1e-3))
    let other = try statistics(x, Tensor.zeros([40, 3]))
    for method in [MapperOptions.Method.identity, .meanShift] {
      let pairs = try ActivationPairs(source: x, target: Tensor.zeros([40, 3]), rows: rows(4))
      let error = #expect(throws: EngineError.self) { try MapFit(pairs, options: MapperOptions(method: method)) }
      #expect(error?.message.contains("4") == true && error?.message.contains("procrustes") == true)
    }
    #expect(throws: EngineError.self) { try other.lowRank(0, lambda: -1) }
  }

  /// A map of shuffled pairs knows the template, which is the same in every text, and nothing of the content.
  @Test func shuffledPairsKeepTheTemplateOnly() throws {
    // Three dimensions of content; one of place within the template, and one that is 1 there.
    let data = rows(60), x = try Tensor.normal([600, 5], seed: 1)
    for row in 0..<600 {
      for i in 0..<5 where (i < 3) == data[row].isTemplate { x.mutablePointer[row * 5 + i] = 0 }
      if data[row].isTemplate { (x.mutablePointer[row * 5 + 3], x.mutablePointer[row * 5 + 4]) = (Float(row % 10), 1) }
    }
    let y = try x.matmul(Tensor.normal([5, 4], seed: 2))
    let pairs = try ActivationPairs(source: x, target: y, rows: data)
    let ridge = try MapFit(pairs, options: MapperOptions(method: .ridge)).report
    let null = try MapFit(pairs, options: MapperOptions(method: .shuffled))
    #expect(ridge.fvu < 0.01 && ridge.fvuTemplate < 0.01)
    #expect(null.report.fvuTemplate < 0.05 && null.report.fvu > 10 * ridge.fvu)
    // What is left of the content is a fit of noise.
    let content = data.indices.filter { !data[$0].isTemplate }
    #expect(try MapReport(null.mapper, on: pairs.subset(content)).fvu > 0.9)
    #expect(null.report.trainingRows == 540)
    // Another seed, another round of texts.
    var options = MapperOptions(method: .shuffled)
    options.seed = 5
    options.holdout = 0
    let again = try MapFit(pairs, options: options).mapper.tensors[0].tensor
    #expect(try !again.allClose(null.mapper.tensors[0].tensor, atol: 1e-3))
    let one = try pairs.subset(Array(0..<10))
    #expect(throws: EngineError.self) { try MapFit(one, options: options) }
  }

  @Test func aRankOutsideTheWidthsIsAnError() throws {
    let pairs = try ActivationPairs(
      source: Tensor.normal([40, 4], seed: 1), target: Tensor.normal([40, 3], seed: 2), rows: rows(4))
    var options = MapperOptions(method: .lowRank)
    options.rank = 4
    #expect(throws: EngineError.self) { try MapFit(pairs, options: options) }
    options.rank = 2
    #expect(throws: Never.self) { try MapFit(pairs, options: options) }
    options.method = .ridge
    #expect(throws: EngineError.self) { try MapFit(pairs, options: options) }
  }
}

@Suite struct ConvergenceTests {
  private static func pairs(_ texts: Int = 60) throws -> ActivationPairs {
    let x = try Tensor.normal([texts * 10, 8], seed: 1)
    let y = try x.matmul(Tensor.normal([8, 6], seed: 2)) + Tensor.normal([texts * 10, 6], seed: 3) * 0.3
    return try ActivationPairs(source: x, target: y, rows: rows(texts))
  }

  /// A trained affine map ends where the closed form does; at a fixed number of epochs it may stop short of it.
  @Test func trainingGoesOnUntilValidationTextsSayStop() throws {
    let data = try Self.pairs()
    var options = MapperOptions(method: .ridge)
    let ridge = try MapFit(data, options: options).report
    options.method = .affine
    let short = try MapFit(data, options: options).report
    options.patience = 10
    let fit = try MapFit(data, options: options)
    let report = fit.report, curve = try #require(report.curve)
    #expect(short.fvu > 1.5 * ridge.fvu && abs(report.fvu / ridge.fvu - 1) < 0.1)
    #expect(short.converged == nil && short.curve?.count == 12 && short.bestEpoch == 12)
    #expect(short.curve?.allSatisfy { $0.heldOut != nil && $0.validation == nil } == true)
    #expect(report.converged == true && curve.count < 1000)
    #expect(curve.allSatisfy { $0.validation != nil && $0.heldOut == nil })
    // The rate fell once, tenfold, and the best epoch's parameters were kept.
    #expect(Set(curve.map { ($0.learningRate * 1e6).rounded() }) == [1000, 100])
    let best = try #require(curve.min { ($0.validation ?? 9) < ($1.validation ?? 9) })
    #expect(report.bestEpoch == best.epoch)
    // The held-out texts are those of every other map, and validation texts come out of the training ones.
    #expect(report.rows == ridge.rows && report.trainingRows == 490 && ridge.trainingRows == 540)
  }

  @Test func aMaximumEndsItAndIsNotCalledConverged() throws {
    let data = try Self.pairs()
    var options = MapperOptions(method: .autoencoder)
    (options.patience, options.maximumEpochs) = (50, 7)
    let report = try MapFit(data, options: options).report
    #expect(report.converged == false && report.curve?.count == 7 && report.bestEpoch ?? 0 > 0)
    options.epochs = 3
    #expect(throws: EngineError.self) { try MapFit(data, options: options) }
    options = MapperOptions(method: .affine)
    options.patience = 5
    options.holdout = 0
    let one = try data.subset(Array(0..<10))
    #expect(throws: EngineError.self) { try MapFit(one, options: options) }
  }
}
