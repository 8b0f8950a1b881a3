/// A conversation as a template prints it.
public struct RenderedChat: Sendable, Equatable {
  public let text: [UInt8]
  /// For each message the byte range of `text` where its content stands as printed (trimmed where the template trims);
  /// empty where the template leaves it out.
  public let contentSpans: [Range<Int>]
  /// Every stretch of `text` that comes from a content, of which a template may print several; nil for a text that no
  /// template printed. What is not in them are the template's own words.
  let contentPieces: [Range<Int>]?

  public init(text: [UInt8], contentSpans: [Range<Int>]) {
    self.init(text: text, contentSpans: contentSpans, contentPieces: nil)
  }

  private init(text: [UInt8], contentSpans: [Range<Int>], contentPieces: [Range<Int>]?) {
    self.text = text
    self.contentSpans = contentSpans
    self.contentPieces = contentPieces
  }

  /// The conversation with the answer to it, which is one content more; a text without contents stays one.
  public func answered(_ completion: [UInt8]) -> RenderedChat {
    let whole = text + completion
    let answer = text.count..<whole.count
    return RenderedChat(
      text: whole, contentSpans: contentSpans.isEmpty ? [] : contentSpans + [answer],
      contentPieces: contentPieces.map { $0 + [answer] })
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
    let marked = Set(printed.marks.map(\.message))
    var pieces = printed.marks.map(\.range)
    // Contents that lost their marks on the way are protected wherever they can be read.
    for (message, content) in contents.enumerated() where !marked.contains(message) {
      pieces += RenderedChat.places(content, in: printed, from: 0)
    }
    contentPieces = pieces.filter { !$0.isEmpty }
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
    places(content, in: printed, from: start).first
  }

  private static func places(_ content: [UInt8], in printed: TemplateText, from start: Int) -> [Range<Int>] {
    let text = TemplateText(bytes: content)
    let needle = Array(content[text.trimmedRange()])
    guard !needle.isEmpty, start < printed.bytes.count else { return [] }
    let places = TextSearch(needle).all(in: printed.bytes, start..<printed.bytes.count, limit: 1000)
    return places.map { $0..<$0 + needle.count }.filter { place in
      !printed.marks.contains { $0.range.overlaps(place) }
    }
  }
}
