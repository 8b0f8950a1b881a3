import CPCRE2

/// A compiled PCRE2 pattern (UTF, Unicode properties, just-in-time code where the library has it).
final class Pattern: @unchecked Sendable {
  let source: String
  fileprivate let code: OpaquePointer
  fileprivate let hasJIT: Bool

  /// Throws `.token` with PCRE2's reason where the pattern does not compile.
  init(_ source: String) throws {
    var error: Int32 = 0
    var offset = 0
    let options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C
    let compiled = Array(source.utf8).withUnsafeBufferPointer {
      pcre2_compile_8($0.baseAddress, $0.count, options, &error, &offset, nil)
    }
    guard let compiled else {
      throw EngineError(.token, "splitting pattern, byte \(offset): \(pcre2Message(error)) in “\(source)”")
    }
    self.source = source
    code = compiled
    hasJIT = pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0
  }

  deinit { pcre2_code_free_8(code) }
}

/// What one thread needs to match a pattern; not to be used by two at once.
final class PatternMatcher {
  private let pattern: Pattern
  private let match: OpaquePointer
  private let context: OpaquePointer
  private let stack: OpaquePointer?
  private let bounds: UnsafeMutablePointer<Int>

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
    pcre2_set_match_limit_8(context, 20_000_000)
    pcre2_set_heap_limit_8(context, 16 << 10)
    stack = pattern.hasJIT ? pcre2_jit_stack_create_8(64 << 10, 16 << 20, nil) : nil
    if let stack { pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack)) }
  }

  deinit {
    if let stack { pcre2_jit_stack_free_8(stack) }
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(match)
  }

  /// Splits valid UTF-8 into the pattern's matches and what stands between them, in order, calling `body` with the
  /// range of each piece. Throws `.token` where the pattern needs more steps than allowed.
  @inline(__always)
  func split(_ text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) throws -> Void) throws {
    var position = 0
    var search = 0
    while search < text.count {
      guard let found = try nextMatch(text, from: search) else { break }
      guard !found.isEmpty else {
        search += max(1, utf8Length(text.baseAddress! + search, text.count - search))
        continue
      }
      if position < found.lowerBound { try body(position..<found.lowerBound) }
      try body(found)
      position = found.upperBound
      search = position
    }
    if position < text.count { try body(position..<text.count) }
  }

  private func nextMatch(_ text: UnsafeBufferPointer<UInt8>, from offset: Int) throws -> Range<Int>? {
    let code =
      pattern.hasJIT
      ? pcre2_jit_match_8(pattern.code, text.baseAddress, text.count, offset, 0, match, context)
      : pcre2_match_8(pattern.code, text.baseAddress, text.count, offset, PCRE2_NO_UTF_CHECK, match, context)
    if code == PCRE2_ERROR_NOMATCH { return nil }
    guard code >= 0, bounds[0] <= bounds[1] else {
      throw EngineError(.token, "splitting the text into words failed: \(pcre2Message(code))")
    }
    return bounds[0]..<bounds[1]
  }
}

private func pcre2Message(_ code: Int32) -> String {
  var buffer = [UInt8](repeating: 0, count: 256)
  let count = pcre2_get_error_message_8(code, &buffer, buffer.count)
  return count > 0 ? String(decoding: buffer.prefix(Int(count)), as: UTF8.self) : "PCRE2 error \(code)"
}
