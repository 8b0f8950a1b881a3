import Engine
import Testing
import Transfer

@Suite(.serialized) struct PairSetTests {
  private static func prompts(_ from: Model, _ to: Model, _ count: Int) -> (from: [Prompt], to: [Prompt]) {
    let a = Fixtures.prompts(from, count: count, seed: 1)
    let b = zip(a, Fixtures.prompts(to, count: count, seed: 2)).map {
      Prompt(tokens: Array(($0.tokens + $1.tokens).prefix(14)).map { $0 % to.configuration.vocabularySize })
    }
    return (a, b)
  }

  /// One capture gives the maps that mapper.fit gives, at every pair of layers and in both directions.
  @Test func aFitOfCapturedRowsIsTheFitOfAStream() throws {
    guard let from = try Fixtures.tiny("llama"), let to = try Fixtures.tiny("gemma3") else { return }
    let texts = Self.prompts(from, to, 60)
    let set = try PairSet(
      from: .init(model: from, prompts: texts.from, layers: [0, 1]),
      to: .init(model: to, prompts: texts.to, layers: [1, 0]), alignment: .index)
    let x = try Tensor.normal([4, from.configuration.dModel], seed: 3)
    let y = try Tensor.normal([4, to.configuration.dModel], seed: 4)
    for (method, layers) in [(MapperOptions.Method.ridge, (0, 1)), (.procrustes, (1, 0)), (.affine, (1, 1))] {
      var options = MapperOptions(method: method)
      (options.epochs, options.alignment) = (2, .index)
      let one = PairEnd(model: from, prompts: texts.from, layer: layers.0)
      let other = PairEnd(model: to, prompts: texts.to, layer: layers.1)
      let forward = try TransferMap.fit(
        PairStream(from: one, to: other, alignment: .index), options: options, chat: false)
      let backward = try TransferMap.fit(
        PairStream(from: other, to: one, alignment: .index), options: options, chat: false)
      let a = try TransferMap.fit(set, fromLayer: layers.0, toLayer: layers.1, options: options)
      let b = try TransferMap.fit(set, .backward, fromLayer: layers.0, toLayer: layers.1, options: options)
      // Batches of other sizes, and blocks of sums: 1e-5 of scale and what a fit makes of it.
      #expect(
        try a(x).allClose(forward(x), atol: 5e-3, rtol: 5e-3) && b(y).allClose(backward(y), atol: 5e-3, rtol: 5e-3))
      #expect(a.card.source.layer == layers.0 && a.card.target.layer == layers.1)
      #expect(b.card.source.model == to.identity && b.card.source.layer == layers.1 && b.card.target.layer == layers.0)
      #expect(abs(a.card.source.streamNorm / forward.card.source.streamNorm - 1) < 1e-4)
      #expect(
        abs(b.card.report.fvu - backward.card.report.fvu) < 1e-3 && b.card.report.rows == backward.card.report.rows)
    }
  }

  /// The other way, a token may have another counterpart: each direction is aligned on its own.
  @Test func eachDirectionHasItsOwnCounterparts() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    func prompt(_ pieces: [String]) -> Prompt {
      var spans: [Range<Int>] = [], text: [UInt8] = []
      for piece in pieces {
        spans.append(text.count..<text.count + piece.utf8.count)
        text += Array(piece.utf8)
      }
      return Prompt(tokens: pieces.indices.map { $0 + 3 }, text: text, spans: spans)
    }
    let coarse = prompt(["x", "abcd", "ef"]), fine = prompt(["x", "ab", "cd", "e", "f"])
    let set = try PairSet(
      from: .init(model: model, prompts: [coarse, coarse], layers: [1]),
      to: .init(model: model, prompts: [fine, fine], layers: [0]))
    let forth = try set.chosen(), back = try set.chosen(.backward)
    #expect(forth.to.map(\.token) == [2, 3, 4, 2, 3, 4] && forth.from.map(\.token) == [1, 1, 2, 1, 1, 2])
    #expect(back.to.map(\.token) == [1, 2, 1, 2] && back.from.map(\.token) == [2, 4, 2, 4])
    #expect(forth.to.map(\.text) == [0, 0, 0, 1, 1, 1] && set.count(.backward) == 4 && set.coverage == 0.75)
    // The rows are the model's own.
    var rows: Tensor?
    _ = try model.run(
      [fine], logits: .none, captures: [CaptureRequest(site: .residPost, layers: [0]) { rows = try $0.tensor() }])
    for (place, token) in [2, 3, 4].enumerated() {
      #expect(try forth.pairs.target.row(place).allClose(#require(rows).row(token), atol: 1e-4, rtol: 1e-4))
    }
    #expect(try back.pairs.source.row(1).allClose(#require(rows).row(4), atol: 1e-4, rtol: 1e-4))
  }

  @Test func rowsAndTextsAreChosen() throws {
    guard let from = try Fixtures.tiny("llama"), let to = try Fixtures.tiny("gemma3") else { return }
    let texts = Self.prompts(from, to, 8)
    let set = try PairSet(
      from: .init(model: from, prompts: texts.from, layers: [0]), to: .init(model: to, prompts: texts.to, layers: [0]),
      alignment: .index)
    let last = try set.chosen(.forward, .init(kind: .last))
    #expect(last.pairs.count == 8 && last.from.map(\.text) == Array(0..<8) && last.pairs.rows.allSatisfy(\.isLast))
    let some = try set.chosen(.forward, .init(texts: [2, 5]))
    #expect(Set(some.to.map(\.text)) == [2, 5])
    let few = try set.chosen(.forward, .init(rows: [3, 1]))
    let all = try set.chosen().from
    #expect(few.pairs.count == 2 && few.from == [all[3], all[1]])
    #expect(throws: EngineError.self) { try set.chosen(.forward, .init(texts: [8])) }
    #expect(throws: EngineError.self) { try set.chosen(.forward, .init(rows: [set.count()])) }
    #expect(throws: EngineError.self) { try set.chosen(.forward, .init(kind: .template)) }
    let error = #expect(throws: EngineError.self) { try set.chosen(fromLayer: 1) }
    #expect(error?.kind == .layer && error?.message.contains("layers 0") == true)
    let map = try TransferMap.fit(
      set, .forward, .init(kind: .last, texts: [0, 1, 2, 3]), options: MapperOptions(method: .ridge))
    #expect(map.card.options.rows == "last, 4 texts" && map.card.options.alignment == .index)
  }

  /// What does not fit is refused before any model runs, with the bytes.
  @Test func roomIsAskedForFirst() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    let prompts = Fixtures.prompts(model, count: 30, seed: 1)
    let budget = TensorMemory.budget
    defer { TensorMemory.budget = budget }
    TensorMemory.budget = TensorMemory.live + 10_000
    let error = #expect(throws: EngineError.self) {
      try PairSet(
        from: .init(model: model, prompts: prompts, layers: [0, 1]),
        to: .init(model: model, prompts: prompts, layers: [0]),
        alignment: .index)
    }
    #expect(error?.kind == .memory)
    #expect(error?.message.contains("pairs of 30 texts need") == true && error?.message.contains("2 layers") == true)
  }

  @Test func aTextOfNothingInCommonIsAnError() throws {
    guard let model = try Fixtures.tiny("llama") else { return }
    func prompt(_ text: String) -> Prompt {
      Prompt(tokens: [3, 4], text: Array(text.utf8), spans: [0..<2, 2..<text.utf8.count])
    }
    let error = #expect(throws: EngineError.self) {
      try PairSet(
        from: .init(model: model, prompts: [prompt("same"), prompt("bonjour")], layers: [0]),
        to: .init(model: model, prompts: [prompt("same"), prompt("hello")], layers: [0]))
    }
    #expect(error?.message.contains("text 2") == true && error?.message.contains("bonjour") == true)
  }
}
