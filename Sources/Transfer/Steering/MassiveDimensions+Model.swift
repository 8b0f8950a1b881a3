import Engine
import Foundation

extension MassiveDimensions {
  /// Finds the massive dimensions of a model's residual stream (`resid_post` of every layer) on some prompts, each
  /// one's first token left out; its interventions stay aside. Throws what `Model.run` throws.
  public init(of model: Model, prompts: [Prompt], progress: ((Int) -> Void)? = nil) throws {
    let layers = Array(0..<model.configuration.layerCount)
    var sums = ActivationSums(layers: layers, slots: 1, width: model.configuration.dModel)
    let capture = CaptureRequest(site: .residPost, layers: layers, positions: .range(from: 2, to: nil)) { rows in
      for row in rows.positions.indices {
        try sums.add(rows.pointer + row * rows.width, layer: rows.layer ?? 0)
      }
    }
    _ = try model.run(prompts, logits: .none, captures: [capture], intervening: false, progress: progress)
    try self.init(sums)
  }

  /// The same on built-in sample texts, computed once for each model.
  public init(of model: Model) throws {
    if let known = MassiveDimensions.cache.withLock({ MassiveDimensions.known[model.hash] }) {
      self = known
      return
    }
    try self.init(of: model, prompts: SampleTexts.all.map { try model.prompt(text: Array($0.utf8)) })
    let found = self
    MassiveDimensions.cache.withLock { MassiveDimensions.known[model.hash] = found }
  }

  private static let cache = NSLock()
  nonisolated(unsafe) private static var known: [String: MassiveDimensions] = [:]
}
