import Engine
import Testing
import Transfer

@Suite(.serialized) struct PairStreamTests {
  @Test func pairsAreTheAlignedRowsOfBothModels() throws {
    guard let from = try Fixtures.tiny("llama"), let to = try Fixtures.tiny("gemma3") else { return }
    // 60 prompts are several packed batches.
    let a = Fixtures.prompts(from, count: 60, seed: 1)
    let b = zip(a, Fixtures.prompts(to, count: 60, seed: 2)).map {
      Prompt(tokens: Array(($0.tokens + $1.tokens).prefix(12)))
    }
    let stream = try PairStream(
      from: PairEnd(model: from, prompts: a, layer: 0), to: PairEnd(model: to, prompts: b, layer: 1), alignment: .index)
    let pairs = try stream.collected()
    #expect(pairs.count == stream.count && pairs.rows.count { $0.isLast } == 60)
    var next = 0
    for text in 0..<60 {
      var x: Tensor?, y: Tensor?
      _ = try from.run(
        [a[text]], logits: .none, captures: [CaptureRequest(site: .residPost, layers: [0]) { x = try $0.tensor() }])
      _ = try to.run(
        [b[text]], logits: .none, captures: [CaptureRequest(site: .residPost, layers: [1]) { y = try $0.tensor() }])
      for row in 1..<min(a[text].tokens.count, b[text].tokens.count) {
        // A batch equals single runs within 1e-5 of scale.
        #expect(try pairs.source.row(next).allClose(#require(x).row(row), atol: 1e-4, rtol: 1e-4))
        #expect(try pairs.target.row(next).allClose(#require(y).row(row), atol: 1e-4, rtol: 1e-4))
        next += 1
      }
    }
    #expect(next == pairs.count)
  }

  /// Statistics reduced while activations stream by give the map that the rows held at once give.
  @Test func aStreamedRidgeEqualsTheOneOfCollectedPairs() throws {
    guard let from = try Fixtures.tiny("llama"), let to = try Fixtures.tiny("gemma3") else { return }
    let a = Fixtures.prompts(from, count: 400, seed: 1)
    let stream = try PairStream(
      from: PairEnd(model: from, prompts: a, layer: 1),
      to: PairEnd(
        model: to,
        prompts: a.map {
          Prompt(tokens: $0.tokens.map { $0 % to.configuration.vocabularySize })
        }, layer: 0), alignment: .index)
    let options = MapperOptions(method: .ridge)
    var done = 0
    let map = try TransferMap.fit(stream, options: options, chat: false) {
      if case .capturing(let texts, _) = $0 { done = texts }
    }
    let whole = try MapFit(stream.collected(), options: options)
    #expect(done == 400)
    let x = try Tensor.normal([5, from.configuration.dModel], seed: 3)
    #expect(try map(x).allClose(whole.mapper(x), atol: 1e-3, rtol: 1e-3))
    #expect(abs(map.card.report.fvu - whole.report.fvu) < 1e-3 && map.card.report.rows == whole.report.rows)
    #expect(map.card.source.model == from.identity && map.card.target.layer == 0)
    let norm = try stream.collected().source.norm() / Double(stream.count).squareRoot()
    #expect(abs(map.card.source.streamNorm / norm - 1) < 1e-5)
  }

  @Test func wrongRequestsAreErrors() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    let prompts = Fixtures.prompts(model, count: 3, seed: 1)
    let end = PairEnd(model: model, prompts: prompts, layer: 0)
    let short = PairEnd(model: model, prompts: Array(prompts.dropLast()), layer: 0)
    #expect(throws: EngineError.self) { try PairStream(from: end, to: short, alignment: .index) }
    #expect(throws: EngineError.self) {
      try PairStream(from: end, to: PairEnd(model: model, prompts: prompts, layer: 9), alignment: .index)
    }
    #expect(throws: EngineError.self) { try PairStream(from: end, to: end) }
    #expect(throws: EngineError.self) { try PairStream(from: end, to: end, site: .pattern, alignment: .index) }
    let error = #expect(throws: EngineError.self) {
      let stream = try PairStream(from: end, to: end, alignment: .index)
      _ = try TransferMap.fit(stream, options: MapperOptions(method: .ridge), chat: false) { _ in
        throw EngineError(.interrupted, "interrupted")
      }
    }
    #expect(error?.kind == .interrupted)
  }

  /// Texts rendered beforehand share their content, whatever is wrapped around it.
  @Test func contentIsFoundInTextsRenderedByOtherTemplates() throws {
    func prompt(_ pieces: [String], contents: [Range<Int>] = []) -> Prompt {
      var spans: [Range<Int>] = [], text: [UInt8] = []
      for piece in pieces {
        spans.append(text.count..<text.count + piece.utf8.count)
        text += Array(piece.utf8)
      }
      return Prompt(tokens: pieces.indices.map { $0 }, text: text, spans: spans, contentSpans: contents)
    }
    let a = prompt(["<s>", "user:", "Hello", " there", "</s>", "bot:"])
    let b = prompt(["[I]", "Hel", "lo", " there", "[/I]"])
    #expect(
      try TextAligner().rows(a, b) == [
        AlignedRow(source: 2, target: 2, isTemplate: false), AlignedRow(source: 3, target: 3, isTemplate: false),
        AlignedRow(source: 5, target: 4, isTemplate: true),
      ])
    // One template trims the content, the other does not.
    let kept = prompt(["<s>", "  ", "Hi", "</s>"], contents: [3..<7]),
      cut = prompt(["<t>", "Hi", "</t>"], contents: [3..<5])
    #expect(
      try TextAligner().rows(kept, cut) == [
        AlignedRow(source: 2, target: 1, isTemplate: false), AlignedRow(source: 3, target: 2, isTemplate: true),
      ])
  }
}
