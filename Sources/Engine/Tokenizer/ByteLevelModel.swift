/// Byte-level byte pair encoding (GPT-2, SmolLM2, Llama 3, Qwen): text is split into words by a pattern, and each word,
/// byte by byte, is merged by a ranked list.
///
/// Bytes that are no UTF-8 form words of their own, merged like others. A byte without a token is dropped.
struct ByteLevelModel: SubwordModel, MergeRule {
  /// What each token stands for.
  private let table: ByteStringTable
  private let merges: PairTable
  private let byteTokens: [Int32]
  private let pattern: Pattern
  private let ignoresMerges: Bool

  /// `tokens`: the bytes each token stands for; `isMember`: those that may come from plain text.
  init(
    tokens: ByteStringList, isMember: (Int) -> Bool, merges spelled: ByteStringList, splitting: PreTokenization
  ) throws {
    let table = try ByteStringTable(tokens, isMember: isMember)
    self.table = table
    pattern = try Pattern(splitting.pattern)
    ignoresMerges = splitting.ignoresMerges
    byteTokens = (0..<256).map { byte in withUnsafePointer(to: UInt8(byte)) { table.find($0, 1) } }
    merges = try Self.readMerges(spelled, table)
  }

  private static func readMerges(_ spelled: ByteStringList, _ table: ByteStringTable) throws -> PairTable {
    var merges = PairTable(capacity: spelled.count)
    var word: [UInt8] = []
    for rank in 0..<spelled.count {
      func damaged(_ what: String) -> EngineError {
        TokenizerVocabulary.damaged("merge \(rank), \(spelled.quoted(rank)), \(what)")
      }
      let merge = spelled[rank]
      guard let space = merge.firstIndex(of: 0x20), space > merge.startIndex, space + 1 < merge.endIndex else {
        throw damaged("is not two tokens with a space between them")
      }
      word.removeAll(keepingCapacity: true)
      guard ByteAlphabet.decode(merge[..<space], into: &word) else { throw damaged("has a left part that is no token") }
      let split = word.count
      guard ByteAlphabet.decode(merge[(space + 1)...], into: &word) else {
        throw damaged("has a right part that is no token")
      }
      let (left, right, joined) = word.withUnsafeBufferPointer { word in
        let base = word.baseAddress!
        return (
          table.find(base, split), table.find(base + split, word.count - split), table.find(base, word.count)
        )
      }
      guard left >= 0 else { throw damaged("has a left part that is no token") }
      guard right >= 0 else { throw damaged("has a right part that is no token") }
      guard joined >= 0 else { throw damaged("gives something that is no token") }
      merges.insert(left, right, Merge(rank: UInt32(rank), id: joined))
    }
    return merges
  }

  @inline(__always)
  func merge(_ left: Int32, _ right: Int32, start: Int, end: Int) -> Merge { merges.find(left, right) }

  /// Text, else GPT-2's spelling of it.
  func find(_ text: [UInt8]) -> Int? {
    if let id = table.find(text) { return id }
    var bytes: [UInt8] = []
    return ByteAlphabet.decode(text[...], into: &bytes) ? table.find(bytes) : nil
  }

  func makeWorkspace() throws -> EncodingScratch { EncodingScratch(matcher: try PatternMatcher(pattern)) }

  func encode(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, startsText: Bool, workspace: EncodingScratch,
    into output: inout EncodingBuilder
  ) throws {
    guard let base = text.baseAddress, let matcher = workspace.matcher else { return }
    var position = range.lowerBound
    var words = 0
    while position < range.upperBound {
      let valid = validUTF8Prefix(base + position, range.upperBound - position)
      try matcher.split(UnsafeBufferPointer(start: base + position, count: valid)) { word in
        words += 1
        if words & 0xFFFF == 0 { try Interrupt.check() }
        try encodeWord(base, position + word.lowerBound, word.count, workspace, &output)
      }
      position += valid
      let invalid = invalidUTF8Prefix(base + position, range.upperBound - position)
      if invalid > 0 { try encodeWord(base, position, invalid, workspace, &output) }
      position += invalid
    }
  }

  @inline(__always)
  private func encodeWord(
    _ text: UnsafePointer<UInt8>, _ start: Int, _ count: Int, _ workspace: EncodingScratch, _ output: inout EncodingBuilder
  ) throws {
    guard count <= WordCache.longestWord else {
      return try mergeWord(text, start, count, workspace, &output, remember: nil)
    }
    let (entry, isHit) = workspace.cache.find(text + start, count)
    if isHit {
      output.append(entry, start: start)
    } else {
      try mergeWord(text, start, count, workspace, &output, remember: entry)
    }
  }

  /// Merges a word and remembers it at a place of the cache.
  private func mergeWord(
    _ text: UnsafePointer<UInt8>, _ start: Int, _ count: Int, _ workspace: EncodingScratch,
    _ output: inout EncodingBuilder, remember entry: UnsafeMutablePointer<WordCache.Entry>?
  ) throws {
    let word = text + start
    if ignoresMerges {
      let whole = table.find(word, count)
      if whole >= 0 { return output.append(whole, end: start + count) }
    }
    try checkWordLength(count)
    workspace.symbols.removeAll(keepingCapacity: true)
    for offset in 0..<count {
      workspace.symbols.append(Symbol(start: offset, origin: offset, id: byteTokens[Int(word[offset])]))
    }
    try workspace.symbols.withUnsafeMutableBufferPointer { symbols in
      let loop = MergeLoop(symbols: symbols, end: count, rule: self)
      try loop.run()
      if let entry { WordCache.claim(entry, word, count) }
      var place = 0
      var written = 0
      var before = 0
      while place >= 0 {
        let end = loop.stop(place)
        let id = symbols[place].id
        if id < 0 {
          output.drop(end - Int(symbols[place].start))
        } else {
          output.append(id, end: start + end)
        }
        if let entry, id >= 0, written < 4 { entry.pointee.set(written, id, length: end - before) }
        if id >= 0 {
          written += 1
          before = end
        }
        place = Int(symbols[place].next)
      }
      // Dropped bytes are counted each time: such words are not remembered.
      if let entry, written > 4 || before < count || symbols.contains(where: { $0.id < 0 }) { WordCache.release(entry) }
    }
  }
}
