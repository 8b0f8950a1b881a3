import Engine

/// Where fitting a map stands.
public enum MapFitProgress: Sendable {
  /// Texts whose activations are there.
  case capturing(done: Int, of: Int)
  case training(MapTrainingProgress)
}

extension TransferMap {
  /// Fits a map to the activations of two models on the same texts. Maps in closed form are made from statistics that
  /// are reduced while activations stream by, and hold the held-out rows only; the others hold all rows.
  /// Throws `.argument` for options or too few texts, `.memory`, `.interrupted`, and what the models' runs throw.
  public static func fit(
    _ pairs: PairStream, options: MapperOptions, chat: Bool,
    progress: @escaping (MapFitProgress) throws -> Void = { _ in }
  ) throws -> TransferMap {
    guard pairs.count > 0 else {
      throw EngineError(.argument, "the texts give no pair of rows; are they one token each?")
    }
    let total = pairs.texts.count
    func report(_ done: Int) throws { try progress(.capturing(done: done, of: total)) }
    let fit: MapFit, norms: (source: Double, target: Double)
    let masks = (
      source: try MassiveDimensions.masked(pairs.source.model, pairs.site),
      target: try MassiveDimensions.masked(pairs.target.model, pairs.site)
    )
    var sizes = (source: SquareSums(), target: SquareSums())
    if options.method.streams {
      let held = try heldOutTexts(Set(pairs.texts), holdout: options.holdout, seed: options.seed)
      var statistics: PairStatistics?
      var kept: [ActivationPairs] = []
      try pairs.forEachBlock(progress: report) { block in
        sizes.source.add(block.source, masked: masks.source)
        sizes.target.add(block.target, masked: masks.target)
        let training = block.rows.indices.filter { !held.contains(block.rows[$0].text) }
        let used = training.count == block.count ? block : try block.subset(training)
        if used.count > 0 {
          if statistics == nil {
            statistics = PairStatistics(sourceWidth: block.sourceWidth, targetWidth: block.targetWidth)
          }
          try statistics?.add(source: used.source, target: used.target)
        }
        if used.count < block.count {
          kept.append(try block.subset(block.rows.indices.filter { held.contains(block.rows[$0].text) }))
        }
      }
      guard let statistics else { throw EngineError(.argument, "there are no rows to fit a map to") }
      fit = try MapFit(statistics, heldOut: .joined(kept, like: statistics), options: options)
    } else {
      let all = try pairs.collected(progress: report)
      sizes.source.add(all.source, masked: masks.source)
      sizes.target.add(all.target, masked: masks.target)
      fit = try MapFit(all, options: options) { try progress(.training($0)) }
    }
    norms = (sizes.source.rootMean, sizes.target.rootMean)
    func side(_ end: PairEnd, _ masked: [Int], _ norm: Double, _ width: Int) -> MapSide {
      MapSide(
        model: end.model.identity, layer: end.layer, width: width, maskedDimensions: masked, streamNorm: norm)
    }
    return try TransferMap(
      mapper: fit.mapper,
      card: MapCard(
        source: side(pairs.source, masks.source, norms.source, fit.mapper.sourceWidth),
        target: side(pairs.target, masks.target, norms.target, fit.mapper.targetWidth), site: pairs.site,
        options: options, report: fit.report, chat: chat))
  }

  /// Fits a map, either way, to activations that were captured before: the map that `fit` of a stream of the same texts
  /// gives. `options` take alignment and first tokens from the pairs. Throws as `PairSet.chosen` and `MapFit` do.
  public static func fit(
    _ pairs: PairSet, _ direction: MapDirection = .forward, fromLayer: Int? = nil, toLayer: Int? = nil,
    _ selection: PairSet.Selection = .init(), options: MapperOptions,
    progress: @escaping (MapFitProgress) throws -> Void = { _ in }
  ) throws -> TransferMap {
    let chosen = try pairs.chosen(direction, fromLayer: fromLayer, toLayer: toLayer, selection).pairs
    var options = options
    (options.alignment, options.includesFirst) = (pairs.alignment, pairs.includesFirst)
    options.rows = selection.summary
    let fit = try MapFit(chosen, options: options) { try progress(.training($0)) }
    func side(_ side: PairSet.Side, _ layer: Int?, _ rows: Tensor) -> MapSide {
      var size = SquareSums()
      size.add(rows, masked: side.masked)
      return MapSide(
        model: side.model, layer: side.layer(layer), width: side.width, maskedDimensions: side.masked,
        streamNorm: size.rootMean)
    }
    let isForward = direction == .forward
    let source = side(pairs.source, fromLayer, isForward ? chosen.source : chosen.target)
    let target = side(pairs.target, toLayer, isForward ? chosen.target : chosen.source)
    return try TransferMap(
      mapper: fit.mapper,
      card: MapCard(
        source: isForward ? source : target, target: isForward ? target : source,
        site: pairs.site, options: options, report: fit.report, chat: pairs.isChat))
  }
}

extension MassiveDimensions {
  /// Dimensions to leave out of vectors at a site: those of the stream, for sites that live in it; none for heads and
  /// MLPs.
  public static func masked(_ model: Model, _ site: Site) throws -> [Int] {
    guard site.rowShape(model.configuration) == [model.configuration.dModel], model.tokenizer != nil else { return [] }
    return try MassiveDimensions(of: model).union
  }
}

extension ActivationPairs {
  /// Blocks as one; no rows of the right widths where there are none.
  fileprivate static func joined(_ blocks: [ActivationPairs], like statistics: PairStatistics) throws -> ActivationPairs
  {
    guard !blocks.isEmpty else {
      return try ActivationPairs(
        source: Tensor.zeros([0, statistics.sourceWidth]), target: Tensor.zeros([0, statistics.targetWidth]), rows: [])
    }
    return try ActivationPairs(
      source: Tensor.concatenated(blocks.map(\.source)), target: Tensor.concatenated(blocks.map(\.target)),
      rows: blocks.flatMap(\.rows))
  }
}

/// Root mean square norm of rows, some dimensions left out.
private struct SquareSums {
  private var sum = 0.0, rows = 0

  var rootMean: Double { rows > 0 ? (sum / Double(rows)).squareRoot() : 0 }

  mutating func add(_ block: Tensor, masked: [Int]) {
    let width = block.shape[1], norm = block.norm()
    sum += norm * norm
    for row in 0..<block.shape[0] {
      for dimension in masked {
        let value = Double(block.pointer[row * width + dimension])
        sum -= value * value
      }
    }
    rows += block.shape[0]
  }
}
