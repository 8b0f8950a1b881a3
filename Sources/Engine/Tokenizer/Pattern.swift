import CPCRE2

/// What a tokenizer splits or replaces text by: a regular expression or a literal string, from an untrusted file.
/// Regular expressions are compiled by PCRE2 (UTF, Unicode properties, just-in-time code where the library has it).
final class Pattern: @unchecked Sendable {
  /// Longer expressions are refused.
  static let longestSource = 1 << 16

  fileprivate enum Kind {
    case literal([UInt8])
    case expression(OpaquePointer, hasJIT: Bool)
  }

  fileprivate let kind: Kind

  /// A string that stands for itself. Throws `.token` where it is empty.
  init(literal: String) throws {
    guard !literal.isEmpty else { throw EngineError(.token, "a pattern of the tokenizer is an empty string") }
    kind = .literal(Array(literal.utf8))
  }

  /// An expression in Oniguruma's syntax, as `tokenizer.json` has it. Throws `.token` with the reason where it does not
  /// compile.
  init(_ source: String) throws {
    guard source.utf8.count <= Self.longestSource else {
      throw EngineError(
        .token,
        "splitting pattern: \(byteText(source.utf8.count)) long, at most \(byteText(Self.longestSource)) are compiled")
    }
    let translated = try OnigurumaSyntax.pcre(source)
    var error: Int32 = 0
    var offset = 0
    // Start optimisations would look through the whole rest of a text before each bounded attempt.
    let options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT
      | PCRE2_NO_START_OPTIMIZE
    let compiled = translated.withUnsafeBufferPointer {
      pcre2_compile_8($0.baseAddress, $0.count, options, &error, &offset, nil)
    }
    guard let compiled else {
      throw EngineError(
        .token, "splitting pattern, byte \(offset): \(pcre2Message(error)) in \(ByteStringList.quoted(translated))")
    }
    kind = .expression(compiled, hasJIT: pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0)
  }

  deinit { if case .expression(let code, _) = kind { pcre2_code_free_8(code) } }
}

/// What one thread needs to match a pattern; not to be used by two at once.
final class PatternMatcher {
  /// Bytes at which one attempt may begin, before the clock is looked at again.
  private static let window = 256

  private let pattern: Pattern
  private let match: OpaquePointer
  private let context: OpaquePointer
  private let stack: OpaquePointer?
  private let bounds: UnsafeMutablePointer<Int>
  private var deadline = ContinuousClock.now
  private var attempts = 0

  /// Throws `.memory`.
  init(_ pattern: Pattern) throws {
    guard let match = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil),
      let bounds = pcre2_get_ovector_pointer_8(match)
    else { throw EngineError(.memory, "no memory to match the tokenizer's splitting pattern") }
    self.pattern = pattern
    self.match = match
    self.context = context
    self.bounds = bounds
    // A pattern from a file may need exponential time; 16 MB of backtracking are far more than a good one needs.
    pcre2_set_heap_limit_8(context, 16 << 10)
    if case .expression(_, hasJIT: true) = pattern.kind {
      stack = pcre2_jit_stack_create_8(64 << 10, 16 << 20, nil)
      pcre2_jit_stack_assign_8(context, nil, stack.map { UnsafeMutableRawPointer($0) })
    } else {
      stack = nil
    }
    allowTime(bytes: 0)
  }

  deinit {
    if let stack { pcre2_jit_stack_free_8(stack) }
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(match)
  }

  /// From now on the pattern has 10 seconds, and 10 more for each megabyte, of a text: good ones take a hundredth of
  /// that. One attempt may take 20 million steps, or 2 for each byte of a run of spaces that is longer.
  func allowTime(bytes: Int) {
    deadline = ContinuousClock.now + .seconds(10) + .microseconds(10 * bytes)
    pcre2_set_match_limit_8(context, UInt32(min(20_000_000 + 2 * bytes, Int(UInt32.max))))
  }

  /// Calls `body` with each match and each stretch between matches, in order: together they are the text, valid UTF-8.
  /// A match may be empty. Throws `.token` where the pattern takes too long, `.interrupted`.
  @inline(__always)
  func forEachPart(
    _ text: UnsafeBufferPointer<UInt8>, _ body: (_ range: Range<Int>, _ isMatch: Bool) throws -> Void
  ) throws {
    var position = 0
    var search = 0
    var isAfterMatch = false
    while search <= text.count, let found = try nextMatch(text, from: search) {
      if found.isEmpty {
        search = found.lowerBound + 1
        while search < text.count, text[search] & 0xC0 == 0x80 { search += 1 }
        if isAfterMatch, found.lowerBound == position { continue }
      } else {
        search = found.upperBound
      }
      if position < found.lowerBound { try body(position..<found.lowerBound, false) }
      try body(found, true)
      position = found.upperBound
      isAfterMatch = true
    }
    if position < text.count { try body(position..<text.count, false) }
  }

  private func nextMatch(_ text: UnsafeBufferPointer<UInt8>, from offset: Int) throws -> Range<Int>? {
    switch pattern.kind {
    case .literal(let string): return firstOccurrence(of: string, in: text, from: offset)
    case .expression(let code, let hasJIT):
      var start = offset
      while start <= text.count {
        try tick()
        let limit = min(text.count, start + Self.window)
        pcre2_set_offset_limit_8(context, limit)
        let result =
          hasJIT
          ? pcre2_jit_match_8(code, text.baseAddress, text.count, start, 0, match, context)
          : pcre2_match_8(code, text.baseAddress, text.count, start, PCRE2_NO_UTF_CHECK, match, context)
        if result >= 0, bounds[0] <= bounds[1] { return bounds[0]..<bounds[1] }
        guard result == PCRE2_ERROR_NOMATCH else {
          throw EngineError(
            .token,
            "splitting the text by the tokenizer's pattern failed: \(pcre2Message(result)); "
              + "the pattern is unfit, or the text has a run that is too long for it")
        }
        start = limit + 1
        while start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
      }
      return nil
    }
  }

  @inline(__always)
  private func tick() throws {
    attempts &+= 1
    guard attempts & 7 == 0 else { return }
    try Interrupt.check()
    guard ContinuousClock.now < deadline else {
      throw EngineError(.token, "splitting the text by the tokenizer's pattern takes too long; the pattern is unfit")
    }
  }
}

private func firstOccurrence(
  of string: [UInt8], in text: UnsafeBufferPointer<UInt8>, from offset: Int
) -> Range<Int>? {
  var start = offset
  while start + string.count <= text.count {
    guard text[start] == string[0] else {
      start += 1
      continue
    }
    var matched = 1
    while matched < string.count, text[start + matched] == string[matched] { matched += 1 }
    if matched == string.count { return start..<start + matched }
    start += 1
  }
  return nil
}

private func pcre2Message(_ code: Int32) -> String {
  var buffer = [UInt8](repeating: 0, count: 256)
  let count = pcre2_get_error_message_8(code, &buffer, buffer.count)
  return count > 0 ? String(decoding: buffer.prefix(Int(count)), as: UTF8.self) : "PCRE2 error \(code)"
}
