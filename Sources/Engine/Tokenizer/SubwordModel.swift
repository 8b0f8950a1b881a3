import Synchronization

/// From a piece of text, as the pre-tokenizer cut it, to token ids.
protocol SubwordModel: Sendable {
  /// Adds the tokens of bytes `range`, all of them UTF-8 or none.
  func encode(
    _ text: SourceText, _ range: Range<Int>, workspace: EncodingScratch, into output: inout EncodingBuilder
  ) throws

  /// The token of an ordinary piece of text, or as the vocabulary spells it.
  func find(_ text: [UInt8]) -> Int?
}

/// Buffers and the cache of one running `encode`.
final class EncodingScratch: @unchecked Sendable {
  let cache = WordCache()
  let matchers: [PatternMatcher]
  var symbols: [Symbol] = []
  /// The last token of the piece that is being encoded is the unknown one.
  var endsWithUnknown = false

  /// Throws `.memory`.
  init(patterns: [Pattern]) throws { matchers = try patterns.map { try PatternMatcher($0) } }

  /// Gives the patterns their time for a text of `bytes`.
  func start(bytes: Int) {
    for matcher in matchers { matcher.allowTime(bytes: bytes) }
  }

  /// Frees what one very long word took.
  func trim() {
    if symbols.capacity > 1 << 16 { symbols = [] }
  }
}

/// Workspaces that nobody uses at the moment: as many as there were `encode` calls at once.
final class WorkspacePool: Sendable {
  private let idle = Mutex<[EncodingScratch]>([])

  private let patterns: [Pattern]

  init(patterns: [Pattern]) { self.patterns = patterns }

  func withWorkspace<Result>(_ body: (EncodingScratch) throws -> Result) throws -> Result {
    let workspace = try idle.withLock { $0.popLast() } ?? EncodingScratch(patterns: patterns)
    defer {
      workspace.trim()
      idle.withLock { $0.append(workspace) }
    }
    return try body(workspace)
  }
}

extension EncodingBuilder {
  /// Adds the tokens of a cached word that starts at byte `start` of a text.
  @inline(__always)
  mutating func append(_ entry: UnsafeMutablePointer<WordCache.Entry>, of text: SourceText, start: Int) {
    var end = start
    for index in 0..<Int(entry.pointee.count) {
      end += Int(entry.pointee.lengths[index])
      append(entry.pointee.tokens[index], end: text.end(end))
    }
  }
}
