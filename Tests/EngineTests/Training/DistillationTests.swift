import CKernels
import Foundation
import Testing

@testable import Engine

/// A model that learns another's distributions, and models of some of another's blocks.
@Suite(.serialized) struct DistillationTests {
  @Test(arguments: [Float(0), 4])
  func gradientOfTheDivergenceAgreesWithFiniteDifferences(cap: Float) {
    let n = 75, weight: Float = 0.5
    let raw: [Float] = (0..<n).map { 3 * sin(Float($0) * 1.7) }, teacher: [Float] = (0..<n).map { 2 * cos(Float($0)) }
    func capped(_ x: [Float]) -> [Float] { cap > 0 ? x.map { cap * tanh($0 / cap) } : x }
    func divergence(_ x: [Float]) -> Double {
      var row = capped(x)
      return ck_distillation_backward(n, &row, teacher, weight, cap)
    }
    func probabilities(_ x: [Float]) -> [Double] {
      let sum = x.reduce(0.0) { $0 + exp(Double($1)) }
      return x.map { exp(Double($0)) / sum }
    }
    let p = probabilities(teacher), q = probabilities(capped(raw))
    let expected = zip(p, q).reduce(0.0) { $0 + $1.0 * log($1.0 / $1.1) }
    #expect(abs(divergence(raw) - expected) < 1e-6)
    var gradient = capped(raw)
    _ = ck_distillation_backward(n, &gradient, teacher, weight, cap)
    for i in 0..<n {
      var (up, down) = (raw, raw)
      up[i] += 0.01
      down[i] -= 0.01
      let measured = Double(weight) * (divergence(up) - divergence(down)) / 0.02
      #expect(abs(measured - Double(gradient[i])) < 1e-4, "\(i)")  // third derivatives times 0.01^2
    }
    var same = teacher
    #expect(abs(ck_distillation_backward(n, &same, teacher, 1, 0)) < 1e-6)
    #expect(same.allSatisfy { abs($0) < 1e-6 })
  }

  @Test(arguments: ["llama", "gemma2", "pythia"])
  func aStudentComesNearerAndItsLossIsTheDivergence(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let teacher = golden.model, student = try teacher.keeping([0, 2]).trainable()
    var generator = RandomGenerator(seed: 3)
    let examples = (0..<6).map { _ in
      SupervisedExample(prompt: Prompt(tokens: (0..<12).map { _ in generator.below(300) }), scoredFrom: 1)
    }
    func divergence() throws -> Double {
      var sum = 0.0, count = 0
      for example in examples {
        let a = try teacher.run([example.prompt], logits: .all)[0].logits!
        let b = try student.run([example.prompt], logits: .all)[0].logits!
        let n = a.shape[1]
        for row in 0..<a.shape[0] - 1 {
          func normalized(_ t: Tensor) -> [Double] {
            let line = t.values[row * n..<(row + 1) * n].map(Double.init)
            let total = log(line.reduce(0) { $0 + exp($1) })
            return line.map { $0 - total }
          }
          sum += zip(normalized(a), normalized(b)).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
          count += 1
        }
      }
      return sum / Double(count)
    }
    let before = try divergence()
    var options = TrainingOptions(), losses: [Double] = []
    (options.epochs, options.batch, options.warmup, options.learningRate) = (20, 6, 2, 3e-3)
    try Trainer(student, adapter: nil, teacher: teacher, examples, options).run {
      losses.append($0.loss); return true
    }
    print(family, "divergence", before, "loss", losses[0], "to", losses.last!)
    #expect(abs(losses[0] - before) < 1e-5 * max(1, before))
    #expect(try divergence() < 0.6 * before)
  }

  @Test func aTeacherWithOtherTokensOrNoneOfItsOwnIsRefused() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model, example = SupervisedExample(prompt: Prompt(tokens: [1, 2, 3]), scoredFrom: 1)
    let adapter = try Adapter(for: model, rank: 2)
    #expect(throws: EngineError.self) {
      try Trainer(model, adapter: adapter, teacher: model, [example], TrainingOptions())
    }
    let other = try model.trainable()
    // Distributions that are the model's own teach nothing.
    var loss = 1.0
    try Trainer(model, adapter: adapter, teacher: other, [example], TrainingOptions()).run {
      loss = $0.loss; return false
    }
    #expect(abs(loss) < 1e-6)
  }

  @Test(arguments: TinyModelTests.families)
  func keptBlocksAreThoseOfTheWhole(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model, n = model.configuration.layerCount, prompts = golden.prompts
    let whole = try model.run(prompts, logits: .all)[0].logits!
    #expect(try model.keeping(Array(0..<n)).run(prompts, logits: .all)[0].logits!.values == whole.values)
    // The first blocks alone leave the stream that the whole has after them.
    let first = try model.keeping([0, 1])
    func streams(_ model: Model) throws -> [Float] {
      var values: [Float] = []
      let capture = CaptureRequest(site: .residPost, layers: [1]) { values += try $0.tensor().values }
      _ = try model.run(prompts, logits: .none, captures: [capture])
      return values
    }
    #expect(try streams(first) == streams(model))
    #expect(first.hash != model.hash)
    // Written and read again it is the same model, in another order of blocks too.
    let turned = try model.keeping([2, 0, 0]), logits = try turned.run(prompts, logits: .all)[0].logits!
    try Files.withFolder { folder in
      try turned.save(folder + "/kept")
      let read = try Model.load(path: folder + "/kept")
      #expect(read.configuration.layers == turned.configuration.layers)
      #expect(try read.run(prompts, logits: .all)[0].logits!.values == logits.values)
    }
    #expect(throws: EngineError.self) { try model.keeping([]) }
    #expect(throws: EngineError.self) { try model.keeping([n]) }
  }
}
