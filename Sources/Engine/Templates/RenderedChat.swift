/// A conversation as a template prints it.
public struct RenderedChat: Sendable, Equatable {
  public let text: [UInt8]
  /// For each message the byte range of `text` where its content stands as printed (trimmed where the template trims);
  /// empty where the template leaves it out.
  public let contentSpans: [Range<Int>]

  public init(text: [UInt8], contentSpans: [Range<Int>]) {
    self.text = text
    self.contentSpans = contentSpans
  }

  /// The conversation with the answer to it, which is one content more; a text without contents stays one.
  public func answered(_ completion: [UInt8]) -> RenderedChat {
    let whole = text + completion
    return RenderedChat(
      text: whole, contentSpans: contentSpans.isEmpty ? [] : contentSpans + [text.count..<whole.count])
  }

  /// What a run printed for messages with these contents.
  init(_ printed: TemplateText, contents: [[UInt8]]) {
    text = printed.bytes
    var spans = RenderedChat.markedSpans(printed.marks, count: contents.count)
    var end = 0
    for (message, content) in contents.enumerated() {
      let span = spans[message] ?? RenderedChat.find(content, in: printed, from: end) ?? end..<end
      spans[message] = span
      end = span.upperBound
    }
    contentSpans = spans.map { $0 ?? 0..<0 }
  }

  /// Where each message's content was printed first. Pieces that follow in the order of the content, with no other
  /// message between them, belong together: a template may cut a content in two and print both halves.
  private static func markedSpans(_ marks: [ContentMark], count: Int) -> [Range<Int>?] {
    var spans = [Range<Int>?](repeating: nil, count: count)
    var sourceEnds = [Int](repeating: 0, count: count)
    var current: Int?
    for mark in marks where mark.message < count {
      let message = mark.message
      guard let span = spans[message], !span.isEmpty else {
        if spans[message] == nil || !mark.range.isEmpty {
          (spans[message], sourceEnds[message]) = (mark.range, mark.source.upperBound)
          if !mark.range.isEmpty { current = message }
        }
        continue
      }
      guard !mark.range.isEmpty else { continue }
      if current == message, mark.source.lowerBound >= sourceEnds[message] {
        spans[message] = span.lowerBound..<mark.range.upperBound
        sourceEnds[message] = mark.source.upperBound
      } else {
        current = nil
      }
    }
    return spans
  }

  /// For a content that lost its mark on the way (printed as a number, say): the first place from `start` on that reads
  /// the same and is no other message's content.
  private static func find(_ content: [UInt8], in printed: TemplateText, from start: Int) -> Range<Int>? {
    let text = TemplateText(bytes: content)
    let needle = Array(content[text.trimmedRange()])
    guard !needle.isEmpty, start < printed.bytes.count else { return nil }
    let places = TextSearch(needle).all(in: printed.bytes, start..<printed.bytes.count, limit: 1000)
    return places.lazy.map { $0..<$0 + needle.count }.first { place in
      !printed.marks.contains { $0.range.overlaps(place) }
    }
  }
}
