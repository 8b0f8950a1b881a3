import Engine
import Foundation

/// KL(p || q) of two sets of logits `[rows, vocab]` (or one row `[vocab]`), mean over rows, natural logarithm, computed
/// in Double. Infinite where q rules out what p allows. Throws `.shape` when the shapes differ.
public func divergence(_ p: Tensor, _ q: Tensor) throws -> Double {
  guard p.shape == q.shape, (1...2).contains(p.rank), p.count > 0 else {
    throw EngineError(
      .shape,
      "kl: logits of shapes \(shapeText(p.shape)) and \(shapeText(q.shape)) are not both [vocab] or [rows, vocab]")
  }
  let width = p.lastDimension, rows = p.count / width
  var total = 0.0
  for row in 0..<rows {
    let a = p.pointer + row * width, b = q.pointer + row * width
    let normaliserA = logSumExp(a, width), normaliserB = logSumExp(b, width)
    for i in 0..<width {
      let logP = Double(a[i]) - normaliserA
      // Tokens that p rules out add nothing, whatever q says of them.
      if logP > -745 { total += exp(logP) * (logP - (Double(b[i]) - normaliserB)) } else if logP.isNaN { total = .nan }
    }
  }
  return total / Double(rows)
}

/// log(sum(exp(x))), shifted by the largest entry.
func logSumExp(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  var largest = -Double.infinity, sum = 0.0
  for i in 0..<count where Double(x[i]) > largest { largest = Double(x[i]) }
  guard largest.isFinite else { return largest }
  for i in 0..<count { sum += exp(Double(x[i]) - largest) }
  return largest + log(sum)
}

/// How strongly the next token opens a refusal (Arditi et al. 2024): the log-odds of the probability of all `tokens`
/// together, `log(p + 1e-8) - log(1 - p + 1e-8)`. `logits`: one row `[vocab]`. Throws `.token` for ids out of range.
public func refusalScore(_ logits: Tensor, tokens: [Int]) throws -> Double {
  guard logits.rank == 1, logits.count > 0 else {
    throw EngineError(.shape, "refusal score: logits of one position [vocab], not \(shapeText(logits.shape))")
  }
  guard !tokens.isEmpty else { throw EngineError(.argument, "refusal score: no refusal-opening tokens") }
  if let wrong = tokens.first(where: { $0 < 0 || $0 >= logits.count }) {
    throw EngineError(.token, "refusal score: token \(wrong) is outside the vocabulary of \(logits.count)")
  }
  let normaliser = logSumExp(logits.pointer, logits.count)
  let p = Set(tokens).sorted().reduce(0) { $0 + exp(Double(logits.pointer[$1]) - normaliser) }
  return log(p + 1e-8) - log(1 - p + 1e-8)
}

/// Cosine of two tensors of equally many values, as vectors; 0 where one is zero. Throws `.shape` otherwise.
public func cosine(_ a: Tensor, _ b: Tensor) throws -> Double {
  guard a.count == b.count else {
    throw EngineError(.shape, "cosine: shapes \(shapeText(a.shape)) and \(shapeText(b.shape)) differ in size")
  }
  var dot = 0.0
  for i in 0..<a.count { dot += Double(a.pointer[i]) * Double(b.pointer[i]) }
  let norms = a.norm() * b.norm()
  return norms == 0 ? 0 : dot / norms
}
