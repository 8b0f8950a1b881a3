import Engine
import Transfer

extension Module {
  /// What is measured of texts, logits and directions.
  static let metrics = Module(
    "metrics",
    "Measures of texts, logits and directions, intervals and tests. Lists of texts hold strings or completions of m:generate.",
    functions: [
      Function(
        "refusal_rate", "metrics.refusal_rate(texts)",
        "Share of texts with a refusal phrase (the substrings of Arditi et al. 2024), with its Wilson 95 % interval.",
        results: "rate, { n, low, high }",
        example: "print(metrics.refusal_rate({ \"I cannot help with that.\", \"Sure!\" }))"
      ) { call in
        return call.push(Refusal.rate(try call.argument(1).texts()))
      },
      Function(
        "contains_rate", "metrics.contains_rate(texts, s)",
        "Share of texts that contain s, as written, with its Wilson 95 % interval.",
        results: "rate, { n, low, high }", example: "print(metrics.contains_rate({ \"a cat\", \"a dog\" }, \"cat\"))"
      ) { call in
        return call.push(containsRate(try call.argument(1).texts(), try call.argument(2).string()))
      },
      Function(
        "wilson", "metrics.wilson(hits, n)", "A rate with its Wilson 95 % interval.", results: "rate, { n, low, high }",
        example: "print(metrics.wilson(3, 20))"
      ) { call in
        let count = try call.argument(2).integer(in: 1...1 << 53)
        return call.push(Rate(hits: try call.argument(1).integer(in: 0...count), of: count))
      },
      Function(
        "rouge", "metrics.rouge(prediction, reference)",
        "Overlap of words and word pairs, and the longest common subsequence (Lin 2004), lower case, without a stemmer.",
        results: "{ rouge1 = { precision, recall, f1 }, rouge2, rougeL }",
        example: "print(metrics.rouge(\"the cat sat\", \"the cat ran\").rouge1.f1)"
      ) { call in
        let rouge = Rouge(
          prediction: try call.argument(1).completionText(), reference: try call.argument(2).completionText())
        func table(_ score: Rouge.Score) -> LuaTable {
          ["precision": score.precision, "recall": score.recall, "f1": score.f1]
        }
        let result: LuaTable = [
          "rouge1": table(rouge.rouge1), "rouge2": table(rouge.rouge2), "rougeL": table(rouge.rougeL),
        ]
        return call.push(result)
      },
      Function(
        "kl", "metrics.kl(p, q)",
        "KL(p || q) of two tensors of logits, [vocab] or [rows, vocab]: mean over rows, natural log.",
        results: "number", example: "print(metrics.kl(tensor.from({ 0, 0 }), tensor.from({ 0, 1 })))"
      ) { call in
        return call.push(try divergence(try call.argument(1).logits(), try call.argument(2).logits()))
      },
      Function(
        "refusal_score", "metrics.refusal_score(logits, tokens)",
        "Log-odds that the next token opens a refusal (Arditi et al. 2024): p is the probability of all `tokens` together.",
        results: "number", example: "print(metrics.refusal_score(tensor.from({ 1, 2, 3 }), { 0, 2 }))"
      ) { call in
        let logits = try call.argument(1).logits()
        return call.push(
          try refusalScore(
            logits, tokens: try call.argument(2).list { try $0.integer(in: 0...max(0, logits.count - 1)) }))
      },
      Function(
        "cosine", "metrics.cosine(a, b)", "Cosine of two tensors or vectors; 0 where one is zero.", results: "number",
        example: "print(metrics.cosine(tensor.from({ 1, 0 }), tensor.from({ 1, 1 })))"
      ) { call in
        let pair = try [1, 2].map { place in
          let tensor = try call.argument(place).direction().tensor
          try tensor.requireNumbers("metrics.cosine: argument \(place)")
          return tensor
        }
        return call.push(try cosine(pair[0], pair[1]))
      },
      Function(
        "distinct_words", "metrics.distinct_words(texts)",
        "Different words over words, mean over texts that have words: low where a model repeats itself.",
        results: "number",
        example: "print(metrics.distinct_words(\"no no no no\"))"
      ) { call in
        let rates = try call.argument(1).texts().map(distinctWordRate).filter { !$0.isNaN }
        return call.push(rates.reduce(0, +) / Double(rates.count))
      },
    ] + statisticsRows + similarityRows)
}

extension Call {
  fileprivate func push(_ rate: Rate) -> Int {
    push(rate.rate, ["n": rate.count, "low": rate.low, "high": rate.high] as LuaTable)
  }
}

extension ArgumentReader {
  /// Logits: numbers, of which some may be -infinity.
  func logits() throws -> Tensor {
    let logits = try tensor()
    if let bad = (0..<logits.count).first(where: { !(logits.pointer[$0] < .infinity) }) {
      throw error("value \(bad + 1) of the logits is \(numberText(Double(logits.pointer[bad])))", kind: .numeric)
    }
    return logits
  }

  /// A string, or a completion's text.
  func completionText() throws -> String {
    if isString { return try string() }
    guard isTable, let text = field("text") else { throw mismatch("a string or a completion with its text") }
    guard try field("finish")?.string() != FinishReason.interrupted.rawValue else {
      throw error("this completion was cut by Ctrl-C; what is measured of it would not hold", kind: .interrupted)
    }
    return try text.string()
  }

  /// Strings or completions; one alone is a list of one. Throws for an empty list.
  fileprivate func texts() throws -> [String] {
    if isString || (isTable && listCount == 0 && field("text") != nil) { return [try completionText()] }
    guard isTable else { throw mismatch("a list of strings or completions") }
    guard listCount > 0 else { throw error("the list is empty") }
    return try list { try $0.completionText() }
  }
}
