/// SentencePiece's byte pair encoding (Kudo and Richardson 2018; Gemma, Llama 2): a space is spelt U+2581, and
/// neighbours merge while what they spell together is a token, the one with the best score first. A character without a
/// token becomes byte tokens `<0xE2>`, or the unknown token where the vocabulary lacks those.
///
/// The model sees the text as one word. It is merged in pieces all the same, cut where no token joins the characters on
/// both sides (`Neighbours`), which gives the same ids. Bytes that are no UTF-8 become byte tokens. U+2581 in a text
/// decodes as a space.
struct SentencePieceModel: SubwordModel {
  static let space: [UInt8] = [0xE2, 0x96, 0x81]

  private let table: ByteStringTable
  /// Of each token: the better its score, the lower.
  private let ranks: [UInt32]
  /// The token for each ASCII character, the space's (U+2581) at 0x20, or -1.
  private let asciiTokens: [Int32]
  private let byteTokens: [Int32]
  private let unknown: Int32
  private let neighbours: Neighbours
  private let addsSpacePrefix: Bool

  /// Throws `.token` where tokens are there twice, scores are missing, or some text could not be encoded.
  init(_ vocabulary: TokenizerVocabulary, kinds: [TokenizerVocabulary.Kind]) throws {
    guard vocabulary.scores.count == kinds.count else {
      throw TokenizerVocabulary.damaged("it has \(kinds.count) tokens and \(vocabulary.scores.count) scores")
    }
    if let index = vocabulary.scores.firstIndex(where: \.isNaN) {
      throw TokenizerVocabulary.damaged("the score of token \(index) is not a number")
    }
    ranks = vocabulary.scores.map { score in
      let bits = (score + 0).bitPattern  // -0 becomes 0
      return bits & 0x8000_0000 == 0 ? ~bits & 0x7FFF_FFFF : bits
    }
    let table = try ByteStringTable(vocabulary.tokens) { kinds[$0] == .normal }
    self.table = table
    asciiTokens = (0..<128).map { code in
      let spelling = code == 0x20 ? Self.space : [UInt8(code)]
      return spelling.withUnsafeBufferPointer { table.find($0.baseAddress!, $0.count) }
    }
    byteTokens = try Self.byteTokens(vocabulary, kinds)
    unknown = Int32(vocabulary.unknown ?? kinds.firstIndex(of: .unknown) ?? -1)
    guard unknown >= 0 || !byteTokens.contains(-1) else {
      throw TokenizerVocabulary.damaged("it has neither an unknown token nor a token for every byte")
    }
    neighbours = Neighbours(vocabulary.tokens) { kinds[$0] == .normal }
    addsSpacePrefix = vocabulary.addsSpacePrefix ?? true
  }

  private static func byteTokens(
    _ vocabulary: TokenizerVocabulary, _ kinds: [TokenizerVocabulary.Kind]
  ) throws -> [Int32] {
    var tokens = [Int32](repeating: -1, count: 256)
    for index in kinds.indices where kinds[index] == .byte {
      let byte = Int(try vocabulary.byteValue(index))
      guard tokens[byte] < 0 else {
        throw TokenizerVocabulary.damaged("tokens \(tokens[byte]) and \(index) both stand for byte \(byte)")
      }
      tokens[byte] = Int32(index)
    }
    return tokens
  }

  /// As the vocabulary spells it, else as text.
  func find(_ text: [UInt8]) -> Int? { table.find(text) ?? table.find(text.flatMap { $0 == 0x20 ? Self.space : [$0] }) }

  func makeWorkspace() throws -> EncodingScratch { EncodingScratch() }

  func encode(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, startsText: Bool, workspace: EncodingScratch,
    into output: inout EncodingBuilder
  ) throws {
    guard let base = text.baseAddress else { return }
    var start = range.lowerBound
    var position = start
    var before = Neighbours.none
    var prefix = startsText && addsSpacePrefix
    while position < range.upperBound {
      let length = utf8Length(base + position, range.upperBound - position)
      let scalar = length > 0 ? Neighbours.scalar(base + position, length) : Neighbours.none
      if start < position, length == 0 || !neighbours.mayJoin(before, scalar) {
        try encodeWord(base, start, position - start, prefix: prefix, workspace, &output)
        prefix = false
        start = position
      }
      if length == 0 {
        appendByte(base[position], end: position + 1, &output)
        start = position + 1
      }
      before = scalar
      position += max(1, length)
      if position & 0xFFFFF == 0 { try Interrupt.check() }
    }
    if start < position { try encodeWord(base, start, position - start, prefix: prefix, workspace, &output) }
  }

  /// A word of valid UTF-8. `prefix`: with a space in front that is not in the text.
  @inline(__always)
  private func encodeWord(
    _ text: UnsafePointer<UInt8>, _ start: Int, _ count: Int, prefix: Bool, _ workspace: EncodingScratch,
    _ output: inout EncodingBuilder
  ) throws {
    guard count <= WordCache.longestWord, !prefix else {
      return try mergeWord(text, start, count, prefix: prefix, workspace, &output, remember: nil)
    }
    let (entry, isHit) = workspace.cache.find(text + start, count)
    if isHit {
      output.append(entry, start: start)
    } else {
      try mergeWord(text, start, count, prefix: false, workspace, &output, remember: entry)
    }
  }

  private func mergeWord(
    _ text: UnsafePointer<UInt8>, _ start: Int, _ count: Int, prefix: Bool, _ workspace: EncodingScratch,
    _ output: inout EncodingBuilder, remember entry: UnsafeMutablePointer<WordCache.Entry>?
  ) throws {
    try checkWordLength(count)
    spell(text + start, count, prefix: prefix, workspace)
    var written = 0
    var before = start
    func write(_ id: Int32, end: Int) {
      output.append(id, end: end)
      if let entry, written < 4 { entry.pointee.set(written, id, length: end - before) }
      written += 1
      before = end
    }
    try workspace.spelling.withUnsafeBufferPointer { spelling in
      try workspace.symbols.withUnsafeMutableBufferPointer { symbols in
        guard let letters = spelling.baseAddress else { return }
        let loop = MergeLoop(
          symbols: symbols, end: spelling.count, rule: Scores(table: table, ranks: ranks, spelling: letters))
        try loop.run()
        if let entry { WordCache.claim(entry, text + start, count) }
        var place = 0
        while place >= 0 {
          let end = start + loop.originStop(place, length: count)
          if symbols[place].id >= 0 {
            write(symbols[place].id, end: end)
          } else {
            let spelled = Int(symbols[place].start)..<loop.stop(place)
            if spelled.contains(where: { byteTokens[Int(letters[$0])] < 0 }) {
              write(unknown, end: end)
            } else {
              // One byte each; where fewer stand in the text (a space spelt by three), the first ones have them.
              for (offset, byte) in spelled.enumerated() {
                write(
                  byteTokens[Int(letters[byte])],
                  end: offset + 1 == spelled.count ? end : min(end, start + Int(symbols[place].origin) + offset + 1))
              }
            }
          }
          place = Int(symbols[place].next)
        }
      }
    }
    if let entry, written > 4 { WordCache.release(entry) }
  }

  /// Fills the workspace's spelling and symbols, one for each character.
  private func spell(_ word: UnsafePointer<UInt8>, _ count: Int, prefix: Bool, _ workspace: EncodingScratch) {
    workspace.symbols.removeAll(keepingCapacity: true)
    workspace.spelling.removeAll(keepingCapacity: true)
    if prefix {
      workspace.symbols.append(Symbol(start: 0, origin: 0, id: asciiTokens[0x20]))
      workspace.spelling += Self.space
    }
    var offset = 0
    while offset < count {
      let byte = word[offset]
      let start = workspace.spelling.count
      if byte < 0x80 {
        workspace.symbols.append(Symbol(start: start, origin: offset, id: asciiTokens[Int(byte)]))
        if byte == 0x20 { workspace.spelling += Self.space } else { workspace.spelling.append(byte) }
        offset += 1
      } else {
        let length = utf8Length(word + offset, count - offset)
        workspace.symbols.append(Symbol(start: start, origin: offset, id: table.find(word + offset, length)))
        workspace.spelling.append(contentsOf: UnsafeBufferPointer(start: word + offset, count: length))
        offset += length
      }
    }
  }

  /// A byte that is no part of a character.
  private func appendByte(_ byte: UInt8, end: Int, _ output: inout EncodingBuilder) {
    let token = byteTokens[Int(byte)]
    output.append(token >= 0 ? token : unknown, end: end)
  }
}

/// Neighbours merge where a token is spelt as both together.
private struct Scores: MergeRule {
  let table: ByteStringTable
  let ranks: [UInt32]
  let spelling: UnsafePointer<UInt8>

  @inline(__always)
  func merge(_ left: Int32, _ right: Int32, start: Int, end: Int) -> Merge {
    let id = table.find(spelling + start, end - start)
    return id < 0 ? .none : Merge(rank: ranks[Int(id)], id: id)
  }
}
