/// ROUGE (Lin 2004) as Google's `rouge_score` computes it without a stemmer: lower case, everything but a-z and 0-9
/// separates words.
public struct Rouge: Sendable, Equatable {
  public struct Score: Sendable, Equatable {
    public let precision: Double, recall: Double, f1: Double

    init(matches: Int, predicted: Int, reference: Int) {
      precision = predicted > 0 ? Double(matches) / Double(predicted) : 0
      recall = reference > 0 ? Double(matches) / Double(reference) : 0
      f1 = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0
    }
  }

  public let rouge1: Score
  public let rouge2: Score
  /// By the longest common subsequence of words.
  public let rougeL: Score

  public init(prediction: String, reference: String) {
    let p = Rouge.words(prediction), r = Rouge.words(reference)
    rouge1 = Rouge.overlap(p, r, size: 1)
    rouge2 = Rouge.overlap(p, r, size: 2)
    rougeL = Score(matches: Rouge.commonSubsequence(p, r), predicted: p.count, reference: r.count)
  }

  private static func words(_ text: String) -> [String] {
    text.lowercased().utf8.split { byte in
      !(UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }.map { String(decoding: $0, as: UTF8.self) }
  }

  private static func overlap(_ p: [String], _ r: [String], size: Int) -> Score {
    func grams(_ words: [String]) -> [[String]: Int] {
      guard words.count >= size else { return [:] }
      return (0...words.count - size).reduce(into: [:]) { $0[Array(words[$1..<$1 + size]), default: 0] += 1 }
    }
    let a = grams(p), b = grams(r)
    return Score(
      matches: a.reduce(0) { $0 + min($1.value, b[$1.key] ?? 0) }, predicted: max(0, p.count - size + 1),
      reference: max(0, r.count - size + 1))
  }

  private static func commonSubsequence(_ left: [String], _ right: [String]) -> Int {
    var row = Array(repeating: 0, count: right.count + 1)
    for word in left {
      var diagonal = 0
      for j in right.indices {
        let above = row[j + 1]
        row[j + 1] = word == right[j] ? diagonal + 1 : max(above, row[j])
        diagonal = above
      }
    }
    return row[right.count]
  }
}
