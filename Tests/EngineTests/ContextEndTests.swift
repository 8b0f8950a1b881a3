import Testing

@testable import Engine

/// What happens where the context ends. The tiny models were made for 256 tokens: with rotary embeddings, with windows
/// of 8, and with learned positions.
@Suite(.serialized) struct ContextEndTests {
  private func model(_ family: String) throws -> Model? {
    try Files.fixture("tiny/\(family)").map { try Model.load(path: $0) }
  }

  private func prompt(_ count: Int, _ model: Model, seed: Int = 0) -> Prompt {
    var generator = RandomGenerator(seed: seed)
    return Prompt(tokens: (0..<count).map { _ in generator.below(model.configuration.vocabularySize) })
  }

  private func options(_ maxTokens: Int) -> GenerationOptions {
    var options = GenerationOptions()
    options.maxTokens = maxTokens
    options.ignoreEnd = true
    return options
  }

  @Test(arguments: ["llama", "gpt2", "gemma2", "mistral", "pythia"])
  func generationStopsAtTheEndOfTheContext(family: String) throws {
    guard let model = try model(family) else { return }
    #expect(model.configuration.contextLength == 256)
    let long = prompt(250, model)
    let cut = try model.generate([long], options: options(100_000))[0]
    let whole = try model.generate([long], options: options(6))[0]
    #expect(cut.finish == .context && whole.finish == .length)
    #expect(cut.tokens.count == 6 && cut.tokens == whole.tokens)
    // Every position was the right one: the last token follows from the whole text before it.
    let all = Prompt(tokens: long.tokens + cut.tokens.dropLast())
    let logits = try #require(model.run([all], logits: .last)[0].logits)
    #expect(try logits.topk(1).indices == [cut.tokens[5]])
    // A stop token at the last place is a stop.
    var stopping = options(50)
    stopping.stopTokens = [cut.tokens[5]]
    let stopped = try model.generate([long], options: stopping)[0]
    #expect(stopped.finish == .stop || cut.tokens.dropLast().contains(cut.tokens[5]))
  }

  @Test(arguments: ["llama", "gpt2"])
  func oneLongPromptNamesItselfAndTheOthersRun(family: String) throws {
    guard let model = try model(family) else { return }
    let prompts = [prompt(5, model), prompt(300, model), prompt(256, model), prompt(9, model, seed: 4)]
    var seen: [Int: Int] = [:], done: [Int] = []
    let capture = CaptureRequest(site: .residPost, layers: [0]) { seen[$0.sequence, default: 0] += $0.positions.count }
    let id = try model.interventions.register(
      Intervention(
        kind: "patch", places: [.init(site: .residPost, layer: 0)], positions: .index(2),
        effect: .patch(try .zeros([1, model.configuration.dModel]))))
    let batch = try model.generate(prompts, options: options(4), captures: [capture], progress: { done.append($0) })
    #expect(batch.map(\.finish) == [.length, .context, .context, .length])
    #expect(batch.map(\.tokens.count) == [4, 0, 0, 4])
    #expect(batch[1].note == "prompt 2 has 300 tokens; \(family) was made for 256; nothing was generated for it")
    #expect(batch[0].note == nil && done == [4])
    #expect(seen == [0: 8, 2: 256, 3: 12])
    for i in [0, 3] { #expect(try model.generate([prompts[i]], options: options(4))[0].tokens == batch[i].tokens) }
    model.interventions.remove(id)
    let only = try model.generate([prompts[1]], options: options(4))
    #expect(only[0].finish == .context && only[0].note != nil)
  }

  @Test func runsAndScoresNameThePrompt() throws {
    guard let model = try model("llama") else { return }
    let prompts = [prompt(5, model), prompt(257, model)]
    let text = "prompt 2 has 257 tokens; llama was made for 256"
    for call in [
      { _ = try model.run(prompts, logits: .last) },
      { _ = try model.negativeLogLikelihood(prompts, scoredFrom: [0, 0]) },
      { _ = try model.gradients(prompts, scoredFrom: [0, 0]) },
      { _ = try model.reference(prompts.map { SupervisedExample(prompt: $0, scoredFrom: 0) }) },
    ] as [() throws -> Void] {
      let error = try #require(throws: EngineError.self) { try call() }
      #expect(error.message.contains(text))
    }
  }

  @Test func firstLogitsAreThoseOfARun() throws {
    guard let model = try model("llama") else { return }
    let prompts = [prompt(5, model), prompt(30, model)]
    var settings = options(3)
    settings.keepsFirstLogits = true
    let completions = try model.generate(prompts, options: settings), runs = try model.run(prompts, logits: .last)
    for (completion, run) in zip(completions, runs) { #expect(completion.firstLogits?.values == run.logits?.values) }
    #expect(try model.generate(prompts, options: options(1))[0].firstLogits == nil)
  }

  @Test func aStopStringThatWaitedForALongerOneIsFoundAtTheEnd() {
    var matcher = StopMatcher(["abcX", "bc"])
    #expect(matcher.push(Array("zabc".utf8)).text == Array("z".utf8))
    let rest = matcher.flush()
    #expect(rest.text == Array("a".utf8) && rest.isStopped)
    var plain = StopMatcher(["abcX"])
    #expect(plain.push(Array("zab".utf8)).text == Array("z".utf8))
    #expect(plain.flush().text == Array("ab".utf8) && !plain.flush().isStopped)
  }
}
