/// Decodes tokens as they come, in whole characters: a token may end in the middle of one, whose bytes then wait for
/// the next. All pieces joined are what `decode` gives for all tokens, with the space in front that `decode` cuts off
/// where a tokenizer adds one.
///
/// ```swift
/// var decoder = StreamDecoder(tokenizer)
/// for id in ids { output(try decoder.push(id)) }
/// output(decoder.flush())
/// ```
public struct StreamDecoder: Sendable {
  private let tokenizer: Tokenizer
  /// The beginning of a character, at most 3 bytes.
  private var pending: [UInt8] = []

  public init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// The bytes that are complete with this token; they may be none. Bytes that cannot become UTF-8 pass as they are.
  /// Throws `.token` on an id outside the vocabulary, and stays as it was.
  public mutating func push(_ id: Int) throws -> [UInt8] {
    var bytes = pending + (try tokenizer.tokenBytes(id))
    let waiting = Self.unfinished(bytes)
    pending = Array(bytes.suffix(waiting))
    bytes.removeLast(waiting)
    return bytes
  }

  /// What still waits, an unfinished character or nothing.
  public mutating func flush() -> [UInt8] {
    defer { pending = [] }
    return pending
  }

  /// How many bytes at the end are the beginning of a character, 0 to 3.
  private static func unfinished(_ bytes: [UInt8]) -> Int {
    for length in stride(from: min(3, bytes.count), to: 0, by: -1) {
      let tail = bytes.suffix(length)
      guard let first = tail.first, (0xC2...0xF4).contains(first) else { continue }
      let needed = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
      // Valid once continued: filled up with one continuation or the other, since the first may be restricted.
      let canContinue = [0x80, 0xBF].contains { (filler: UInt8) in
        let character = Array(tail) + [UInt8](repeating: filler, count: needed - min(needed, length))
        return length < needed && character.withUnsafeBufferPointer { utf8Length($0.baseAddress!, $0.count) } == needed
      }
      if canContinue { return length }
    }
    return 0
  }
}
