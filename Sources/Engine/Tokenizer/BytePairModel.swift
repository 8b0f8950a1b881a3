/// Byte pair encoding of pieces of text (Sennrich et al. 2016): over bytes, as GPT-2 and its heirs do, or over
/// characters with byte tokens `<0xE2>` for those that have none, as SentencePiece does (Kudo and Richardson 2018).
/// `Rule` says which neighbours merge: ranked pairs, or the scores of what they spell together.
///
/// A byte without a token becomes the unknown token, or is dropped where there is none. Bytes that are no UTF-8 are
/// merged as bytes, or become byte tokens.
struct BytePairModel<Rule: MergeRule>: SubwordModel {
  /// What each token stands for, or how it is spelt in characters.
  private let table: ByteStringTable
  private let rule: Rule
  private let options: BytePairOptions
  /// The token of each byte, or of each ASCII character, or -1.
  private let singles: [Int32]
  /// Where a piece may be cut: it is merged in words that no token joins, which gives the same tokens sooner.
  private let neighbours: Neighbours?

  init(table: ByteStringTable, rule: Rule, options: BytePairOptions, neighbours: Neighbours? = nil) {
    (self.table, self.rule, self.options, self.neighbours) = (table, rule, options, neighbours)
    singles = (0..<(options.isByteLevel ? 256 : 128)).map { byte in
      withUnsafePointer(to: UInt8(byte)) { table.find($0, 1) }
    }
  }

  /// As it is, else in GPT-2's alphabet, else with spaces spelt U+2581.
  func find(_ text: [UInt8]) -> Int? {
    if let id = table.find(text) { return id }
    var bytes: [UInt8] = []
    if options.isByteLevel { return ByteAlphabet.decode(text[...], into: &bytes) ? table.find(bytes) : nil }
    if let byte = ByteFallback.value(text[...]), options.byteTokens[Int(byte)] >= 0 {
      return Int(options.byteTokens[Int(byte)])
    }
    return table.find(text.flatMap { $0 == 0x20 ? SpaceMark.spelling : [$0] })
  }

  func encode(
    _ text: SourceText, _ range: Range<Int>, workspace: EncodingScratch, into output: inout EncodingBuilder
  ) throws {
    workspace.endsWithUnknown = false
    guard let neighbours, let base = text.bytes.baseAddress else {
      return try encodeWord(text, range.lowerBound, range.count, workspace, &output)
    }
    var start = range.lowerBound
    var position = start
    var before = Neighbours.none
    while position < range.upperBound {
      let length = utf8Length(base + position, range.upperBound - position)
      let scalar = length > 0 ? utf8Scalar(base + position, length) : Neighbours.none
      if start < position, length == 0 || !neighbours.mayJoin(before, scalar) {
        try encodeWord(text, start, position - start, workspace, &output)
        start = position
      }
      before = scalar
      position += max(1, length)
      if position & 0xFFFFF == 0 { try Interrupt.check() }
    }
    if start < position { try encodeWord(text, start, position - start, workspace, &output) }
  }

  @inline(__always)
  private func encodeWord(
    _ text: SourceText, _ start: Int, _ count: Int, _ workspace: EncodingScratch, _ output: inout EncodingBuilder
  ) throws {
    guard let base = text.bytes.baseAddress, count > 0 else { return }
    guard count <= WordCache.longestWord else {
      return try mergeWord(text, base + start, start, count, workspace, &output, remember: nil)
    }
    let (entry, isHit) = workspace.cache.find(base + start, count)
    if isHit {
      output.append(entry, of: text, start: start)
      workspace.endsWithUnknown = false
    } else {
      try mergeWord(text, base + start, start, count, workspace, &output, remember: entry)
    }
  }

  /// Merges a word and remembers its tokens at a place of the cache.
  private func mergeWord(
    _ text: SourceText, _ word: UnsafePointer<UInt8>, _ start: Int, _ count: Int, _ workspace: EncodingScratch,
    _ output: inout EncodingBuilder, remember entry: UnsafeMutablePointer<WordCache.Entry>?
  ) throws {
    if options.ignoresMerges {
      let whole = table.find(word, count)
      if whole >= 0, !options.controls.contains(Int(whole)) {
        workspace.endsWithUnknown = false
        return output.append(whole, end: text.end(start + count))
      }
    }
    try checkWordLength(count)
    spell(word, count, workspace)
    let dropped = options.mergesAcrossDropped && options.unknown < 0 ? leaveOutUnknown(word, count, workspace) : 0
    output.drop(dropped)
    guard !workspace.symbols.isEmpty else { return }
    try workspace.symbols.withUnsafeMutableBufferPointer { symbols in
      let loop = MergeLoop(symbols: symbols, word: word, end: count, rule: rule)
      try loop.run()
      if let entry { WordCache.claim(entry, word, count) }
      var written = 0
      var before = 0
      func write(_ id: Int32, end: Int) {
        output.append(id, end: text.end(start + end))
        if let entry, written < 4 { entry.pointee.set(written, id, length: end - before) }
        written += 1
        before = end
        workspace.endsWithUnknown = false
      }
      var place = 0
      var isRepeatable = dropped == 0
      while place >= 0 {
        let id = symbols[place].id
        let begin = Int(symbols[place].start)
        let end = loop.stop(place)
        if id >= 0 {
          write(id, end: end)
        } else if hasByteTokens(word, begin..<end) {
          for offset in begin..<end { write(options.byteTokens[Int(word[offset])], end: offset + 1) }
        } else {
          writeUnknown(end - begin, end: text.end(start + end), workspace, &output)
          isRepeatable = false
        }
        place = Int(symbols[place].next)
      }
      if let entry, written > 4 || !isRepeatable { WordCache.release(entry) }
    }
  }

  private func hasByteTokens(_ word: UnsafePointer<UInt8>, _ range: Range<Int>) -> Bool {
    !options.isByteLevel && range.allSatisfy { options.byteTokens[Int(word[$0])] >= 0 }
  }

  /// Removes the symbols that stand for nothing and returns how many bytes they had.
  private func leaveOutUnknown(_ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: EncodingScratch) -> Int {
    guard workspace.symbols.contains(where: { $0.id < 0 }) else { return 0 }
    var dropped = 0
    var end = count
    for index in workspace.symbols.indices.reversed() {
      let start = Int(workspace.symbols[index].start)
      if workspace.symbols[index].id < 0, !hasByteTokens(word, start..<end) {
        dropped += end - start
        workspace.symbols[index].rank = 0
      }
      end = start
    }
    workspace.symbols.removeAll { $0.rank == 0 }
    return dropped
  }

  private func writeUnknown(
    _ bytes: Int, end: Int, _ workspace: EncodingScratch, _ output: inout EncodingBuilder
  ) {
    if options.unknown < 0 {
      output.drop(bytes)
    } else if options.fusesUnknown, workspace.endsWithUnknown {
      output.extendLast(to: end)
    } else {
      output.append(Int32(options.unknown), end: end)
      workspace.endsWithUnknown = true
    }
  }

  /// Fills the workspace's symbols, one for each byte or each character.
  @inline(__always)
  private func spell(_ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: EncodingScratch) {
    workspace.symbols.removeAll(keepingCapacity: true)
    var offset = 0
    while offset < count {
      let byte = word[offset]
      if options.isByteLevel || byte < 0x80 {
        workspace.symbols.append(Symbol(start: offset, id: singles[Int(byte)]))
        offset += 1
      } else {
        let length = utf8Length(word + offset, count - offset)
        workspace.symbols.append(Symbol(start: offset, id: length > 0 ? table.find(word + offset, length) : -1))
        offset += max(1, length)
      }
    }
  }
}

/// How a vocabulary's byte pair encoding differs from others.
struct BytePairOptions: Sendable {
  /// Words are bytes, not characters.
  var isByteLevel: Bool
  /// A word that is a token is taken whole, whatever the merges make of it; not one of `controls`.
  var ignoresMerges = false
  var controls: Set<Int> = []
  /// The token of each byte `<0x00>` to `<0xFF>`, or -1.
  var byteTokens = [Int32](repeating: -1, count: 256)
  /// What stands for a byte or character without a token; -1: nothing.
  var unknown = -1
  /// Neighbouring unknown characters are one unknown token.
  var fusesUnknown = false
  /// What stands for nothing is left out before merging, so that its neighbours may merge (Hugging Face); otherwise it
  /// keeps them apart (llama.cpp).
  var mergesAcrossDropped = false
}

extension PairTable: MergeRule {
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32, word: UnsafePointer<UInt8>, start: Int, end: Int) -> Merge {
    find(left, right)
  }
}

/// SentencePiece's rule: neighbours merge where a token is spelt as both together, the one with the best score first.
struct ScoreTable: MergeRule {
  private let table: ByteStringTable
  /// Of each token: the better its score, the lower.
  private let ranks: [UInt32]

  /// Throws `.token` where a score is no number.
  init(table: ByteStringTable, scores: [Float]) throws {
    if let index = scores.firstIndex(where: \.isNaN) {
      throw TokenizerVocabulary.damaged("the score of token \(index) is not a number")
    }
    self.table = table
    ranks = scores.map { score in
      let bits = (score + 0).bitPattern  // -0 becomes 0
      return bits & 0x8000_0000 == 0 ? ~bits & 0x7FFF_FFFF : bits
    }
  }

  @inline(__always)
  func merge(_ left: Int32, _ right: Int32, word: UnsafePointer<UInt8>, start: Int, end: Int) -> Merge {
    let id = table.find(word + start, end - start)
    return id < 0 ? .none : Merge(rank: ranks[Int(id)], id: id)
  }
}
