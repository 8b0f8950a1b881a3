/// Whether `encode` puts the begin-of-sequence token first.
public enum BOSPolicy: Sendable {
  /// Where the model asks for one and the text does not begin with it already.
  case automatic
  /// Always; an error where the vocabulary names no such token.
  case always
  case never
}

/// Token ids of a text, and which bytes of it each stands for.
public struct Encoding: Sendable, Equatable {
  public internal(set) var ids: [Int]
  /// Byte range of each token in the text that was encoded. Ranges follow one another without gaps and cover the text;
  /// a token that is part of a character has the bytes it covers, one that covers nothing (a BOS we added) an empty
  /// range.
  public internal(set) var spans: [Range<Int>]
  /// Bytes for which the vocabulary has no token at all (SmolLM2: 21 byte values, such as 0x04 and 0xFF), and those
  /// that a pre-tokenizer removes: left out, and counted to the span of a neighbour. Zero means that decoding gives the
  /// text back, but for what a normalizer changed.
  public internal(set) var droppedBytes: Int

  public var count: Int { ids.count }
}

/// An `Encoding` in the making. Each token begins where the one before it ended.
struct EncodingBuilder {
  private var encoding: Encoding
  private var cursor = 0
  /// Tokens in front that stand for no text: a BOS we added.
  private var addedTokens = 0

  init(textBytes: Int) {
    encoding = Encoding(ids: [], spans: [], droppedBytes: 0)
    encoding.ids.reserveCapacity(textBytes / 4 + 2)
    encoding.spans.reserveCapacity(textBytes / 4 + 2)
  }

  /// Adds a token that stands for no text, in front of all others.
  mutating func prepend(_ token: Int) {
    append(Int32(token), end: 0)
    addedTokens += 1
  }

  /// Adds a token that stands for no text, behind all others.
  mutating func appendMark(_ token: Int, textBytes: Int) {
    closeGap(before: textBytes)
    append(Int32(token), end: textBytes)
  }

  /// Lets the last token reach to byte `end`.
  mutating func extendLast(to end: Int) {
    guard let last = encoding.spans.last else { return }
    encoding.spans[encoding.spans.count - 1] = last.lowerBound..<end
    cursor = end
  }

  /// Adds a token that ends before byte `end` of the text.
  @inline(__always)
  mutating func append(_ token: Int32, end: Int) {
    encoding.ids.append(Int(token))
    let end = max(cursor, end)
    encoding.spans.append(cursor..<end)
    cursor = end
  }

  /// Adds a special token; bytes dropped before it belong to the token before it, if there is one with a text.
  mutating func appendSpecial(_ token: Int, _ range: Range<Int>) {
    closeGap(before: range.lowerBound)
    append(Int32(token), end: range.upperBound)
  }

  mutating func drop(_ bytes: Int) { encoding.droppedBytes += bytes }

  mutating func finish(textBytes: Int) -> Encoding {
    closeGap(before: textBytes)
    return encoding
  }

  private mutating func closeGap(before end: Int) {
    if cursor < end, encoding.spans.count > addedTokens { extendLast(to: end) }
  }
}
