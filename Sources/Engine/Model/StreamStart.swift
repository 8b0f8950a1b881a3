/// The residual stream at the input of a block, from which a run goes on instead of computing the blocks before it:
/// an addition at layer L never needs what lies below L again.
public struct StreamStart: Sendable {
  /// The first block that runs.
  public let layer: Int
  /// `resid_pre` of that block, `[tokens, dModel]` of each prompt.
  public let streams: [Tensor]

  public init(layer: Int, streams: [Tensor]) {
    self.layer = layer
    self.streams = streams
  }

  /// Throws `.shape` for streams that are not those of the prompts, and `.argument` for a layer that is not there or
  /// interventions and captures that stand before it, where nothing would be computed.
  func check(_ prompts: [Prompt], _ plan: HookPlan?, _ configuration: ModelConfiguration) throws {
    guard (0..<configuration.layerCount).contains(layer) else {
      throw EngineError(
        .argument, "from_layer = \(layer): the model has layers 0 to \(configuration.layerCount - 1)")
    }
    guard streams.count == prompts.count else {
      throw EngineError(.shape, "resid: \(streams.count) streams were given for \(prompts.count) prompts")
    }
    for (i, (stream, prompt)) in zip(streams, prompts).enumerated()
    where stream.shape != [prompt.tokens.count, configuration.dModel] {
      throw EngineError(
        .shape,
        "resid of prompt \(i + 1) has shape \(shapeText(stream.shape)); its tokens and the model need "
          + shapeText([prompt.tokens.count, configuration.dModel]))
    }
    guard let plan else { return }
    let below = (0..<layer).map(Optional.some)
    for site in Site.allCases {
      for place in site.hasLayer ? below : site == .embed ? [nil] : [] where plan.isUsed(site, layer: place) {
        throw EngineError(
          .argument,
          "an intervention or capture stands at \(site.rawValue)\(place.map { " of layer \($0)" } ?? ""), but the run "
            + "begins at layer \(layer), so it would never see a row")
      }
    }
  }

  /// Rows of one sequence to their place in the packed stream.
  func copy(_ sequence: BatchSequence, into stream: UnsafeMutablePointer<Float>) {
    let rows = streams[sequence.index], width = rows.shape[1]
    (stream + sequence.row * width)
      .update(from: rows.pointer + sequence.span.lowerBound * width, count: sequence.span.count * width)
  }
}
