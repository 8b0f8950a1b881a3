import Testing

@testable import Engine

@Suite struct LoadingSpeedTests {
  /// A vocabulary of 262,144 entries opens in well under 50 ms (the best of five: other work shares the machine).
  @Test func aLargeVocabularyOpensQuickly() throws {
    guard let path = Files.model("gemma-3-270m") else { return }
    var best = Duration.seconds(60), read = Duration.seconds(60)
    for _ in 0..<5 {
      let start = ContinuousClock.now
      let file = try GGUFFile(path: path)
      best = min(best, ContinuousClock.now - start)
      let tokens = try file.strings("tokenizer.ggml.tokens"), scores = try file.floats("tokenizer.ggml.scores")
      read = min(read, ContinuousClock.now - start)
      #expect(tokens.count == 262_144 && scores.count == 262_144)
    }
    print("opening \(path): \(best); with 262,144 tokens copied out: \(read)")
    #expect(best < .milliseconds(50))
  }

  @Test func weightsDequantise() throws {
    for name in ["smollm2-135m-instruct", "gemma-3-270m"] {
      guard let path = Files.model(name) else { continue }
      let file = try GGUFFile(path: path)
      var best = Duration.seconds(60), values = 0
      let largest = file.tensors.values.map { $0.shape.reduce(1, *) }.max() ?? 1
      let buffer = try Tensor(uninitialized: [largest])
      var types: [String: Int] = [:]
      for tensor in file.tensors.values { types[tensor.type.name, default: 0] += tensor.shape.reduce(1, *) }
      for _ in 0..<3 {
        let start = ContinuousClock.now
        values = 0
        for tensor in file.names {
          try file.read(tensor, into: buffer.mutablePointer)
          values += file.shape(of: tensor)?.reduce(1, *) ?? 0
        }
        best = min(best, ContinuousClock.now - start)
      }
      let start = ContinuousClock.now
      let kept = try file.names.map { try file.tensor($0) }
      let held = ContinuousClock.now - start
      print("\(name): \(values) values \(types)")
      print("  into one buffer: \(best); into \(kept.count) new tensors: \(held)")
      #expect(values > 100_000_000)
    }
  }
}
