import Engine
import Foundation

/// What looking on and editing cost: the time of a run with something on every layer, over that of a bare run.
/// `value` is the share of time added, in percent.
struct HookCases {
  let bench: Bench
  let path: String

  func run() throws {
    let names = ["hooks/capture", "hooks/add", "hooks/function"]
    guard names.contains(where: bench.isWanted) else { return }
    let model = try Model.load(path: path), c = model.configuration
    let prompts = (0..<4).map { prompt(128, c, seed: $0) }, layers = Array(0..<c.layerCount)
    let places = layers.map { Intervention.Place(site: .residPost, layer: $0) }
    let direction = try Tensor.normal([c.dModel], seed: 1)
    func overhead(_ name: String, captures: [CaptureRequest] = [], effect: Intervention.Effect? = nil) throws {
      guard bench.isWanted(name) else { return }
      // In turns, so that both meet the same machine.
      var bare = Double.infinity, hooked = Double.infinity
      for _ in 0..<9 {
        bare = min(bare, try seconds { _ = try model.run(prompts, logits: .last) })
        let id = try effect.map {
          try model.interventions.register(Intervention(kind: "bench", places: places, effect: $0))
        }
        hooked = min(hooked, try seconds { _ = try model.run(prompts, logits: .last, captures: captures) })
        if let id { model.interventions.remove(id) }
      }
      bench.report(name, 100 * (hooked / bare - 1), "%")
    }
    let capture = CaptureRequest(site: .residPost, layers: layers) { _ = try $0.tensor() }
    try overhead("hooks/capture", captures: [capture])
    try overhead("hooks/add", effect: .add(direction, coefficient: 0.01, scale: .raw))
    try overhead("hooks/function", effect: .function { _, rows in rows })
  }
}
