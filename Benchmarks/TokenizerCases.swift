import Engine
import Foundation

/// Encoding on one core, in MB/s: words met before come from a cache, so the text is prose with many different words.
struct TokenizerCases {
  let bench: Bench

  /// About 2 MB of sentences.
  private func text() -> [UInt8] {
    var random = RandomGenerator(seed: 1)
    let syllables = [
      "ta", "ri", "mon", "el", "is", "qua", "ver", "o", "den", "sha", "pli", "ing", "ers", "a", "un", "tion",
    ]
    let words = (0..<20_000).map { _ in (0..<1 + random.below(4)).map { _ in syllables[random.below(16)] }.joined() }
    var text = ""
    while text.utf8.count < 2_000_000 {
      let sentence = (0..<5 + random.below(12)).map { _ in
        words[Int(pow(Double(random.below(1000)) / 1000, 3) * 20_000)]
      }
      text += sentence.joined(separator: " ").capitalized + ". "
    }
    return Array(text.utf8)
  }

  func run(_ name: String, _ path: String) throws {
    guard bench.isWanted("tokenizer/\(name)") else { return }
    let tokenizer = try Tokenizer(gguf: GGUFFile(path: path)), bytes = text()
    let time = try best(of: 3) { _ = try tokenizer.encode(bytes) }
    bench.report("tokenizer/\(name)", Double(bytes.count) / time / 1e6, "MB/s")
  }
}
