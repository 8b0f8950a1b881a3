import Testing

@testable import Engine

/// The tiny models as GGUF: the goldens hold for them, too.
@Suite(.serialized) struct GGUFFamilyTests {
  @Test(arguments: TinyGGUF.families)
  func logitsMatchTransformers(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try TinyGGUF.withFile(family) { path in
      let model = try Model.load(path: path)
      #expect(model.configuration.family == golden.model.configuration.family)
      // Queries and keys keep the checkpoint's order of rows, whatever the file's.
      var queries: [Float] = []
      let capture = CaptureRequest(site: .q, layers: [1]) { if $0.sequence == 0 { queries = try $0.tensor().values } }
      let results = try model.run(golden.prompts, logits: .all, captures: [capture])
      for sequence in 0..<2 {
        let logits = try #require(results[sequence].logits).values
        let expected = try golden.rows("logits", sequence: sequence)
        #expect(maxDifference("\(family) gguf \(sequence) logits", logits, expected) < TinyModelTests.tolerance)
      }
      let expected = try golden.rows("site.q.1", sequence: 0)
      #expect(maxDifference("\(family) gguf q", queries, expected) < TinyModelTests.tolerance)
    }
  }
}
