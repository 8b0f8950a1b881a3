/// How a byte-level vocabulary splits text into words before merging: a row for each `tokenizer.ggml.pre`.
struct PreTokenization: Sendable {
  let pattern: String
  /// A word that is a token is taken whole, whatever the merges make of it.
  var ignoresMerges = false
  /// The default where the file does not say whether to add a BOS.
  var addsBOS = false

  /// Throws `.token` with the known names.
  static func named(_ name: String) throws -> PreTokenization {
    if let known = known[name] { return known }
    let names = known.keys.sorted()
    throw EngineError(
      .token,
      "tokenizer.ggml.pre “\(name)” is not known\(suggestion(for: name, in: names)); known: "
        + names.joined(separator: ", "))
  }

  /// Patterns as published with the models. White space is spelt out because PCRE2's `\s` also holds U+180E.
  private static let known: [String: PreTokenization] = [
    "gpt-2": PreTokenization(
      pattern: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^W\p{L}\p{N}]+|[W]+(?![^W])|[W]+"#),
    // Each digit on its own, then GPT-2's pattern on what stands between: in one pattern, a digit ends the text for the
    // others, so white space in front of one stays whole.
    "smollm": PreTokenization(
      pattern: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^W\p{L}\p{N}]+|[W]+(?![^W\p{N}])|[W]+"#),
    "llama-bpe": PreTokenization(
      pattern: #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"#
        + #" ?[^W\p{L}\p{N}]+[\r\n]*|[W]*[\r\n]+|[W]+(?![^W])|[W]+"#,
      ignoresMerges: true, addsBOS: true),
    "qwen2": PreTokenization(
      pattern: #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"#
        + #" ?[^W\p{L}\p{N}]+[\r\n]*|[W]*[\r\n]+|[W]+(?![^W])|[W]+"#),
  ].mapValues {
    PreTokenization(
      pattern: $0.pattern.split(separator: "W", omittingEmptySubsequences: false).joined(
        separator: #"\p{Z}\t-\r\x{85}"#),
      ignoresMerges: $0.ignoresMerges, addsBOS: $0.addsBOS)
  }
}
