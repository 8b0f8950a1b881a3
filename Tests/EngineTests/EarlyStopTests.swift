import Engine
import Testing

@Suite struct EarlyStopTests {
  /// A run that nobody wants logits of leaves out the blocks after the last captured one; what is captured is the same.
  @Test func capturesOfAStoppedRunEqualThoseOfAWholeOne() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    for (site, layer) in [(Site.residPost, 0), (.residPre, 1), (.attnOut, 1), (.residPost, 1)] {
      func rows(_ logits: LogitsMode) throws -> [Float] {
        var values: [Float] = []
        let capture = CaptureRequest(site: site, layers: [layer]) { values += try $0.tensor().values }
        _ = try golden.model.run(golden.prompts, logits: logits, captures: [capture])
        return values
      }
      let stopped = try rows(.none), whole = try rows(.last)
      #expect(!stopped.isEmpty && stopped == whole)
    }
  }

  /// An intervention in a later block still runs, so that its counts are true.
  @Test func interventionsAfterTheLastCaptureStillFire() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model
    let direction = try Tensor.normal([model.configuration.dModel], seed: 1)
    let last = model.configuration.layerCount - 1
    let id = try model.interventions.register(
      Intervention(
        kind: "add", places: [.init(site: .residPost, layer: last)],
        effect: .add(direction, coefficient: 1, scale: .raw)))
    defer { model.interventions.remove(id) }
    _ = try model.run(golden.prompts, logits: .none, captures: [CaptureRequest(site: .residPost, layers: [0]) { _ in }])
    #expect(model.interventions.lastReports.first?.fired == golden.prompts.count)
  }
}
