import Synchronization

/// From plain text, free of special tokens, to token ids.
protocol SubwordModel: Sendable {
  /// Adds the tokens of `text[range]`. `startsText`: nothing, or a special token, stands in front.
  func encode(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, startsText: Bool, workspace: EncodingScratch,
    into output: inout EncodingBuilder
  ) throws

  /// The token of an ordinary piece of text, or as the vocabulary spells it.
  func find(_ text: [UInt8]) -> Int?

  /// Buffers for one thread.
  func makeWorkspace() throws -> EncodingScratch
}

/// Buffers and the cache of one running `encode`.
final class EncodingScratch: @unchecked Sendable {
  let cache = WordCache()
  let matcher: PatternMatcher?
  var symbols: [Symbol] = []
  /// A word as the vocabulary spells it.
  var spelling: [UInt8] = []

  init(matcher: PatternMatcher? = nil) { self.matcher = matcher }

  /// Frees what one very long word took.
  func trim() {
    if symbols.capacity > 1 << 16 { symbols = [] }
    if spelling.capacity > 1 << 20 { spelling = [] }
  }
}

/// Workspaces that nobody uses at the moment: as many as there were `encode` calls at once.
final class WorkspacePool: Sendable {
  private let idle = Mutex<[EncodingScratch]>([])

  func withWorkspace<Result>(of model: any SubwordModel, _ body: (EncodingScratch) throws -> Result) throws -> Result {
    let workspace = try idle.withLock { $0.popLast() } ?? model.makeWorkspace()
    defer {
      workspace.trim()
      idle.withLock { $0.append(workspace) }
    }
    return try body(workspace)
  }
}

extension EncodingBuilder {
  /// Adds the tokens of a cached word that starts at `start`.
  @inline(__always)
  mutating func append(_ entry: UnsafeMutablePointer<WordCache.Entry>, start: Int) {
    var end = start
    for index in 0..<Int(entry.pointee.count) {
      end += Int(entry.pointee.lengths[index])
      append(entry.pointee.tokens[index], end: end)
    }
  }
}
