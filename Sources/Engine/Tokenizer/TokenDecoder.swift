/// From tokens to text: the `decoder` of `tokenizer.json`. What one token prints does not depend on the others, but for
/// the space that encoding put in front of a text.
struct TokenDecoder: Sendable {
  enum Step: Sendable {
    case replace(Pattern, with: [UInt8])
    /// `<0x0A>` prints that byte.
    case byteFallback
    /// GPT-2's alphabet; spellings outside it, and added tokens, print as they are.
    case byteLevel
    /// Cuts a character off both ends, as often as it is there, up to the counts.
    case strip([UInt8], start: Int, end: Int)
  }

  /// What is cut off the beginning of a decoded text.
  enum Leading: Sendable {
    case nothing
    /// A string, at most so often.
    case string([UInt8], count: Int)
    /// Every space of the first token.
    case spacesOfFirstToken
  }

  var steps: [Step] = []
  var leading = Leading.nothing

  /// The bytes that each token prints. `added`: how the added tokens are spelt, whatever stands in `spelled`. Throws as
  /// `PatternMatcher` does.
  func printed(_ spelled: ByteStringList, added: [Int: [UInt8]]) throws -> ByteStringList {
    var printed = ByteStringList()
    printed.reserve(count: spelled.count, bytes: spelled.bytes.count)
    let matchers = try steps.map { step -> PatternMatcher? in
      guard case .replace(let pattern, _) = step else { return nil }
      return try PatternMatcher(pattern)
    }
    var bytes: [UInt8] = []
    var room = spelled.bytes.count * AlignedBuffer.growth + (1 << 20)
    for index in 0..<spelled.count {
      let addition = added[index]
      bytes.removeAll(keepingCapacity: true)
      if let addition { bytes += addition } else { bytes += spelled[index] }
      for (step, matcher) in zip(steps, matchers) {
        switch step {
        case .replace(_, let replacement):
          if let matcher { try replace(&bytes, matcher, replacement, &room) }
        case .byteFallback:
          if let byte = ByteFallback.value(bytes[...]) { bytes = [byte] }
        case .byteLevel:
          var decoded: [UInt8] = []
          if addition == nil, ByteAlphabet.decode(bytes[...], into: &decoded) { bytes = decoded }
        case .strip(let content, let start, let end):
          bytes = Array(Self.stripped(bytes[...], content, start: start, end: end))
        }
      }
      printed.append(bytes)
    }
    return printed
  }

  /// `room`: how many bytes all steps together may still make of all tokens.
  private func replace(
    _ bytes: inout [UInt8], _ matcher: PatternMatcher, _ replacement: [UInt8], _ room: inout Int
  ) throws {
    var result: [UInt8] = []
    var isChanged = false
    try bytes.withUnsafeBufferPointer { text in
      guard let base = text.baseAddress, validUTF8Prefix(base, text.count) == text.count else { return }
      try matcher.forEachPart(text) { range, isMatch in
        isChanged = isChanged || isMatch
        if isMatch { result += replacement } else { result += text[range] }
      }
    }
    guard isChanged else { return }
    room -= result.count
    guard result.count <= 1 << 16, room >= 0 else {
      let what = room >= 0 ? "a token \(byteText(result.count)) long" : "far more of its tokens than they spell"
      throw EngineError(.token, "decoding makes \(what); the decoder is damaged")
    }
    bytes = result
  }

  /// Cuts the beginning of a decoded text. `first`: how many bytes the first token prints.
  func cutLeading(of text: inout [UInt8], first: Int) {
    switch leading {
    case .nothing: break
    case .string(let content, let count):
      text.removeFirst(text.count - Self.stripped(text[...], content, start: count, end: 0).count)
    case .spacesOfFirstToken:
      text.replaceSubrange(..<first, with: text[..<first].filter { $0 != 0x20 })
    }
  }

  private static func stripped(
    _ bytes: ArraySlice<UInt8>, _ content: [UInt8], start: Int, end: Int
  ) -> ArraySlice<UInt8> {
    var rest = bytes
    for _ in 0..<start {
      guard rest.starts(with: content) else { break }
      rest = rest.dropFirst(content.count)
    }
    for _ in 0..<end {
      guard rest.count >= content.count, rest.suffix(content.count).elementsEqual(content) else { break }
      rest = rest.dropLast(content.count)
    }
    return rest
  }
}
