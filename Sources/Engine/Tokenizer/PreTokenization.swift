/// How a byte-level vocabulary splits text into words before merging: a row for each `tokenizer.ggml.pre`.
struct PreTokenization: Sendable {
  let pattern: String
  /// A word that is a token is taken whole, whatever the merges make of it.
  var ignoresMerges = false
  /// The default where the file does not say whether to add a BOS.
  var addsBOS = false
  /// What the family's `tokenizer.json` does to a text first; a GGUF file does not say it.
  var normalForm: UnicodeNormalization?

  /// Throws `.token` with the known names.
  static func named(_ name: String) throws -> PreTokenization {
    if let known = known[name] { return known }
    let names = known.keys.sorted()
    throw EngineError(
      .token,
      "tokenizer.ggml.pre “\(name)” is not known\(suggestion(for: name, in: names)); known: "
        + names.joined(separator: ", "))
  }

  /// Patterns as published with the models, by the names that llama.cpp gives them.
  private static let known: [String: PreTokenization] = {
    let gpt2 = PreTokenization(pattern: Self.gpt2)
    let llama3 = PreTokenization(
      pattern: contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"# + spaces,
      ignoresMerges: true, addsBOS: true)
    let qwen2 = PreTokenization(
      pattern: contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"# + spaces)
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
    let tekken = PreTokenization(
      pattern: #"[^\r\n\p{L}\p{N}]?"# + upper + "*" + lower + #"+|[^\r\n\p{L}\p{N}]?"# + upper + "+" + lower
        + #"*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"# + spaces,
      ignoresMerges: true, addsBOS: true)
    // Each digit on its own, then GPT-2's pattern on what stands between: in one pattern, a digit ends the text for the
    // others, so white space in front of one stays whole.
    let smollm = PreTokenization(
      pattern: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"#)
    var neox = gpt2, composed = qwen2
    (neox.normalForm, composed.normalForm) = (.nfc, .nfc)
    return [
      "gpt-2": gpt2, "gpt-neox": neox, "olmo": neox, "mpt": neox, "phi-2": gpt2, "smollm": smollm,
      "llama-bpe": llama3, "llama3": llama3, "llama-v3": llama3,
      "qwen2": composed, "deepseek-r1-qwen": qwen2, "megrez": qwen2, "tekken": tekken,
    ]
  }()

  static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let spaces = #"|\s*[\r\n]+|\s+(?!\S)|\s+"#
}
