/// Tokens that end a text or a turn by their spelling: converters name few of them in a GGUF file's keys, so llama.cpp
/// collects the rest by name, and so do we.
enum EndTokens {
  /// Ends wherever a vocabulary has them; a file that calls one an ordinary token is mistaken.
  private static let names = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>", "<turn|>",
    "<|tool_response>", "<｜end▁of▁sentence｜>",
  ]
  /// Ends where the file calls them control tokens: others spell ordinary text that way (Gemma's `</s>` is HTML). The
  /// last lines are marks of infilled code that no text goes on after.
  private static let controlNames = [
    "</s>", "<eos>", "[EOS]", "[EOT]",
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
    "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
  ]
  private static let certain = Set(names.map { Array($0.utf8) })
  private static let ifControl = Set(controlNames.map { Array($0.utf8) })
  private static let longest = 32

  /// Adds the ends that `tokens` spell to `ends`, in the order of their ids, and makes control tokens of them.
  static func collect(_ tokens: ByteStringList, types: inout [Int], ends: inout [Int]) {
    let control = Int(TokenizerVocabulary.Kind.control.rawValue)
    var found: [[UInt8]: Int] = [:]
    for id in 0..<tokens.count {
      let text = tokens[id]
      guard text.count <= longest, let first = text.first, [0x3C, 0x5B, 0x5F].contains(first) else { continue }
      let spelling = Array(text)
      let isControl = id < types.count && types[id] == control
      if certain.contains(spelling) || isControl && ifControl.contains(spelling) { found[spelling] = id }
    }
    func has(_ name: String) -> Bool { found[Array(name.utf8)] != nil }
    // In OpenAI's harmony format, and those like it, this one ends a message within a turn.
    let isHarmony =
      (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && (has("<|call|>") || has("<|calls|>")))
    if isHarmony { found[Array("<|end|>".utf8)] = nil }
    if has("<|tool_response>") { found[Array("</s>".utf8)] = nil }
    if types.isEmpty, !found.isEmpty {
      types = Array(repeating: Int(TokenizerVocabulary.Kind.normal.rawValue), count: tokens.count)
    }
    for id in found.values.sorted() {
      if !ends.contains(id) { ends.append(id) }
      if id < types.count { types[id] = control }
    }
  }
}
