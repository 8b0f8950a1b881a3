/// Changes made to a text before it is split: the `normalizer` of `tokenizer.json`. Bytes that are no UTF-8 stay as
/// they are.
struct Normalizer: Sendable {
  enum Step: Sendable {
    case unicode(UnicodeNormalization)
    /// In front of every text that is not empty.
    case prepend([UInt8])
    /// Every match of a pattern of the tokenizer, by its index.
    case replace(pattern: Int, with: [UInt8])
    case lowercase
    /// Cuts white space at the ends.
    case strip(left: Bool, right: Bool)
  }

  var steps: [Step] = []

  /// Calls `body` with the changed text. Throws as `PatternMatcher` does, and `.token` where the text grows too much.
  func apply(to text: SourceText, matchers: [PatternMatcher], _ body: (SourceText) throws -> Void) throws {
    var buffer: AlignedBuffer?
    for step in steps where !(buffer?.bytes.isEmpty ?? text.bytes.isEmpty) {
      let changed =
        try buffer.map { try $0.withText { try run(step, on: $0, matchers) } } ?? run(step, on: text, matchers)
      if let changed { buffer = changed }
    }
    if let buffer { try buffer.withText(body) } else { try body(text) }
  }

  /// Nil where the step changes nothing.
  private func run(_ step: Step, on text: SourceText, _ matchers: [PatternMatcher]) throws -> AlignedBuffer? {
    switch step {
    case .unicode(let form): return try form.normalize(text)
    case .prepend(let prefix): return try text.prepending(prefix)
    case .replace(let pattern, let replacement): return try text.replacing(matchers[pattern], with: replacement)
    case .lowercase: return try text.lowercased()
    case .strip(let left, let right): return text.stripped(left: left, right: right)
    }
  }
}

extension SourceText {
  func prepending(_ prefix: [UInt8]) throws -> AlignedBuffer {
    var buffer = AlignedBuffer(of: self)
    try buffer.append(prefix, for: 0..<0)
    buffer.copy(0..<bytes.count)
    return buffer
  }

  func replacing(_ matcher: PatternMatcher, with replacement: [UInt8]) throws -> AlignedBuffer {
    var buffer = AlignedBuffer(of: self)
    try forEachRun { run, isValid in
      guard isValid else { return buffer.copy(run) }
      try matcher.forEachPart(UnsafeBufferPointer(rebasing: bytes[run])) { part, isMatch in
        let range = run.lowerBound + part.lowerBound..<run.lowerBound + part.upperBound
        if isMatch { try buffer.append(replacement, for: range) } else { buffer.copy(range) }
      }
    }
    return buffer
  }

  /// Character by character, without regard to context, as Rust's `char::to_lowercase`.
  fileprivate func lowercased() throws -> AlignedBuffer {
    var buffer = AlignedBuffer(of: self)
    try forEachScalar { range, scalar in
      guard let scalar else { return buffer.copy(range) }
      if scalar.isASCII {
        let byte = UInt8(scalar.value)
        try buffer.append(CollectionOfOne((0x41...0x5A).contains(byte) ? byte + 0x20 : byte), for: range)
      } else {
        try buffer.append(scalar.properties.lowercaseMapping.utf8, for: range)
      }
    }
    return buffer
  }

  fileprivate func stripped(left: Bool, right: Bool) -> AlignedBuffer {
    var first: Int?
    var end = 0
    forEachScalar { range, scalar in
      guard scalar?.properties.isWhitespace != true else { return }
      if first == nil { first = range.lowerBound }
      end = range.upperBound
    }
    var buffer = AlignedBuffer(of: self)
    let start = left ? first ?? bytes.count : 0
    buffer.copy(start..<max(start, right ? end : bytes.count))
    return buffer
  }

  /// Each character in turn; a run that is no UTF-8 as one, without a scalar.
  private func forEachScalar(_ body: (Range<Int>, Unicode.Scalar?) throws -> Void) rethrows {
    try forEachRun { run, isValid in
      guard isValid, let base = bytes.baseAddress else { return try body(run, nil) }
      var position = run.lowerBound
      while position < run.upperBound {
        let length = max(1, utf8Length(base + position, run.upperBound - position))
        try body(position..<position + length, Unicode.Scalar(utf8Scalar(base + position, length)))
        position += length
      }
    }
  }
}
