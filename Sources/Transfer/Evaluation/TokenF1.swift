import Foundation

/// Overlap of words as the SQuAD evaluation counts it (Rajpurkar et al. 2016): lower case, without punctuation (ASCII) and
/// the articles a, an, the.
public struct TokenF1: Sendable, Equatable {
  public let precision: Double, recall: Double, f1: Double
  /// Whether the two are the same words in the same order.
  public let isExact: Bool

  public init(prediction: String, reference: String) {
    let p = TokenF1.words(prediction), r = TokenF1.words(reference)
    isExact = p == r
    guard !p.isEmpty, !r.isEmpty else {
      // Where one side says nothing, both must.
      let score = p.isEmpty && r.isEmpty ? 1.0 : 0
      (precision, recall, f1) = (score, score, score)
      return
    }
    var left: [String: Int] = [:]
    for word in r { left[word, default: 0] += 1 }
    var common = 0
    for word in p where left[word, default: 0] > 0 {
      left[word, default: 0] -= 1
      common += 1
    }
    precision = Double(common) / Double(p.count)
    recall = Double(common) / Double(r.count)
    f1 = common > 0 ? 2 * precision * recall / (precision + recall) : 0
  }

  /// The best of several references, as the evaluation takes it.
  public init(prediction: String, references: [String]) {
    let scores = references.map { TokenF1(prediction: prediction, reference: $0) }
    let best = scores.max { $0.f1 < $1.f1 }
    (precision, recall, f1) = (best?.precision ?? .nan, best?.recall ?? .nan, best?.f1 ?? .nan)
    isExact = scores.contains(where: \.isExact)
  }

  private static let punctuation = Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".unicodeScalars)

  private static func words(_ text: String) -> [String] {
    let kept = text.lowercased().unicodeScalars.filter { !punctuation.contains($0) }
    return String(String.UnicodeScalarView(kept)).split(whereSeparator: \.isWhitespace).map(String.init)
      .filter { !["a", "an", "the"].contains($0) }
  }
}
