import Testing

@testable import Engine

/// Byte pair encoding against its textbook form, and its time on long words.
struct TokenizerMergeTests {
  /// The lowest rank anywhere merges first, of equal ones the leftmost: the whole word scanned for each merge.
  private func textbook(_ pieces: [String], rank: (String, String) -> Int?) -> [String] {
    var pieces = pieces
    while true {
      var best: (rank: Int, place: Int)?
      for place in pieces.indices.dropLast() {
        if let rank = rank(pieces[place], pieces[place + 1]), rank < best?.rank ?? .max { best = (rank, place) }
      }
      guard let (_, place) = best else { return pieces }
      pieces[place] += pieces.remove(at: place + 1)
    }
  }

  /// Random merges over few letters; words shorter and longer than where the heap takes over.
  @Test func byteLevelMergesAreTheTextbooks() throws {
    var random = SeededBytes(state: 1)
    for _ in 0..<40 {
      var parts = ["a", "b", "c"]
      var merges: [(String, String)] = []
      while merges.count < 30 {
        let left = parts.randomElement(using: &random)!
        let right = parts.randomElement(using: &random)!
        guard !parts.contains(left + right), left.count + right.count <= 12 else { continue }
        merges.append((left, right))
        parts.append(left + right)
      }
      let tokenizer = try Tokenizer(TokenizerSamples.byteLevel(merges: merges))
      for length in [1, 2, 7, 24, 25, 48, 49, 300] {
        let word = random.text(length, of: ["a", "b", "c"])
        let expected = textbook(word.map { String(UnicodeScalar($0)) }) { left, right in
          merges.firstIndex { $0 == (left, right) }
        }
        let found = try tokenizer.tokenStrings(tokenizer.encode(word).ids).map { String(decoding: $0, as: UTF8.self) }
        #expect(found == expected)
      }
    }
  }

  /// Random pieces, with equal scores among them; the text as one word, spaces and wide characters in it.
  @Test func sentencePieceMergesAreTheTextbooks() throws {
    var random = SeededBytes(state: 2)
    let letters = ["a", "b", "▁", "日", "é"]
    for _ in 0..<40 {
      var pieces = letters
      while pieces.count < 40 {
        let piece = pieces.randomElement(using: &random)! + pieces.randomElement(using: &random)!
        if piece.count <= 8, !pieces.contains(piece) { pieces.append(piece) }
      }
      var vocabulary = TokenizerSamples.sentencePiece(pieces: pieces)
      let scores = pieces.map { _ in -Float(Int.random(in: 0..<30, using: &random)) }
      vocabulary.scores.replaceSubrange(259..., with: scores)
      let tokenizer = try Tokenizer(vocabulary)
      let scoreOf = Dictionary(uniqueKeysWithValues: zip(pieces, scores))
      for length in [1, 2, 7, 24, 25, 48, 49, 300] {
        let text = random.text(length, of: ["a", "b", " ", "日", "é"])
        let characters = String(decoding: text, as: UTF8.self).map { $0 == " " ? "▁" : String($0) }
        let expected = textbook(characters) { left, right in scoreOf[left + right].map { Int(-$0) } }
        let ids = try tokenizer.encode(text, bos: .never).ids
        #expect(ids.map { pieces[$0 - 259] } == expected)
      }
    }
  }

  /// Four times the text takes about four times the processor time; were it quadratic, sixteen times. Eight is the
  /// bound.
  @Test(
    .enabled(if: TokenizerFixtures.hasModels, "\(TokenizerFixtures.noModels)"),
    arguments: TokenizerFixtures.modelNames)
  func timeGrowsWithTheTextAlone(model: String) throws {
    let tokenizer = try TokenizerFixtures.tokenizer(model)
    var random = SeededBytes(state: 3)
    let ideographs = (0x4E00..<0x5E00).map { String(UnicodeScalar(UInt32($0))!) }
    let hostile: [(String, [UInt8])] = [
      ("one letter", [UInt8](repeating: 0x61, count: 1 << 20)),
      ("newlines", [UInt8](repeating: 0x0A, count: 1 << 20)),
      ("spaces", [UInt8](repeating: 0x20, count: 1 << 20)),
      ("spaces and letters", Array(String(repeating: "  a", count: (1 << 20) / 3).utf8)),
      ("ideographs", random.text((1 << 20) / 3, of: ideographs)),
      ("letters without spaces", random.text(1 << 20, of: ["a", "e", "n", "t", "s", "r", "i"])),
      ("random bytes", random.bytes(1 << 20)),
      ("broken tags", Array(String(repeating: "<unused62<start_of_<|im_star", count: (1 << 20) / 28).utf8)),
    ]
    for (name, text) in hostile {
      let quarter = Array(text.prefix(text.count / 4))
      // Another program may disturb a measurement: the best of up to three counts.
      var ratio = Double.infinity
      for _ in 0..<3 where ratio >= 8 {
        let short = try min(
          processorTime { try tokenizer.encode(quarter) }, processorTime { try tokenizer.encode(quarter) })
        ratio = try min(ratio, processorTime { try tokenizer.encode(text) } / short)
      }
      #expect(ratio < 8, "\(name)")
    }
  }

  /// Seconds of this thread's processor time.
  private func processorTime(_ body: () throws -> Encoding) rethrows -> Double {
    let start = threadSeconds()
    _ = try body()
    return threadSeconds() - start
  }
}

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

private func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
