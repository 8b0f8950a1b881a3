extension ChatTemplate {
  /// The built-in template for a model: Gemma's for the Gemma families, else the one whose tokens the vocabulary has as
  /// special tokens (ChatML, Llama 3); nil where none fits. `source`: the template the model's file carries, from which
  /// ChatML takes its default system message.
  public static func builtIn(family: String, tokenizer: Tokenizer, source: String? = nil) -> ChatTemplate? {
    func has(_ tokens: String...) -> Bool { tokens.allSatisfy { tokenizer.id(of: $0) != nil } }
    let bos = tokenizer.bos.flatMap { try? tokenizer.tokenBytes($0) }.map { String(decoding: $0, as: UTF8.self) } ?? ""
    if has("<start_of_turn>", "<end_of_turn>") { return gemma(bos: bos) }
    if family.hasPrefix("gemma") { return nil }
    if has("<|im_start|>", "<|im_end|>") { return chatML(defaultSystem: source.flatMap(defaultSystemMessage)) }
    if has("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>") { return llama3(bos: bos) }
    return nil
  }

  /// ChatML, as SmolLM2's and Qwen's templates print it. Content is printed as it is. `defaultSystem` opens a
  /// conversation that does not begin with a system message.
  public static func chatML(defaultSystem: String? = nil) -> ChatTemplate {
    ChatTemplate(name: "chatml", endOfTurn: "<|im_end|>") { messages, generationPrompt in
      var chat = RenderedChat()
      if let defaultSystem, let first = messages.first, first.role != "system" {
        chat.print("<|im_start|>system\n\(defaultSystem)<|im_end|>\n")
      }
      for message in messages {
        chat.print("<|im_start|>\(message.role)\n")
        chat.printContent(message.contentBytes)
        chat.print("<|im_end|>\n")
      }
      if generationPrompt { chat.print("<|im_start|>assistant\n") }
      return chat
    }
  }

  /// Gemma 1 to 3 without a system role: turns alternate, beginning with the user's; content is trimmed.
  public static func gemma(bos: String = "<bos>") -> ChatTemplate {
    ChatTemplate(name: "gemma", endOfTurn: "<end_of_turn>") { messages, generationPrompt in
      guard let first = messages.first else { throw EngineError(.template, "a Gemma chat needs at least one message") }
      if first.role == "system" { throw EngineError(.template, "System role not supported") }
      var chat = RenderedChat()
      chat.print(bos)
      for (index, message) in messages.enumerated() {
        guard (message.role == "user") == index.isMultiple(of: 2) else {
          throw EngineError(.template, "Conversation roles must alternate user/assistant/user/assistant/...")
        }
        chat.print("<start_of_turn>\(message.role == "assistant" ? "model" : message.role)\n")
        chat.printContent(trimmed(message.contentBytes))
        chat.print("<end_of_turn>\n")
      }
      if generationPrompt { chat.print("<start_of_turn>model\n") }
      return chat
    }
  }

  /// Llama 3 without the date and the system message that Llama 3.1 and later put in front; content is trimmed.
  public static func llama3(bos: String = "<|begin_of_text|>") -> ChatTemplate {
    ChatTemplate(name: "llama3", endOfTurn: "<|eot_id|>") { messages, generationPrompt in
      var chat = RenderedChat()
      chat.print(bos)
      for message in messages {
        chat.print("<|start_header_id|>\(message.role)<|end_header_id|>\n\n")
        chat.printContent(trimmed(message.contentBytes))
        chat.print("<|eot_id|>")
      }
      if generationPrompt { chat.print("<|start_header_id|>assistant<|end_header_id|>\n\n") }
      return chat
    }
  }

  /// The system message that a ChatML template in Jinja writes out: what stands in one of its strings between
  /// `<|im_start|>system` with a line break and `<|im_end|>`.
  static func defaultSystemMessage(_ source: String) -> String? {
    for opening in ["<|im_start|>system\n", "<|im_start|>system\\n"] {
      for part in source.components(after: opening) {
        guard let end = part.firstRange(of: "<|im_end|>")?.lowerBound else { continue }
        let message = part[..<end]
        if !message.isEmpty, !message.contains(where: { "'\"{}\\".contains($0) }) { return String(message) }
      }
    }
    return nil
  }

  /// Without white space at both ends, as Jinja's `trim` (Python's `str.strip`) cuts it.
  private static func trimmed(_ text: [UInt8]) -> ArraySlice<UInt8> {
    var rest = text[...]
    while let length = rest.leadingWhiteSpace { rest.removeFirst(length) }
    while let length = rest.trailingWhiteSpace { rest.removeLast(length) }
    return rest
  }
}

extension String {
  /// What follows each occurrence of `mark`.
  fileprivate func components(after mark: String) -> [Substring] { ranges(of: mark).map { self[$0.upperBound...] } }
}

extension ArraySlice<UInt8> {
  /// Bytes of the white space character at the start.
  fileprivate var leadingWhiteSpace: Int? { (1...3).first { isWhiteSpace(prefix($0), length: $0) } }

  /// Bytes of the white space character at the end.
  fileprivate var trailingWhiteSpace: Int? { (1...3).first { isWhiteSpace(suffix($0), length: $0) } }

  private func isWhiteSpace(_ bytes: ArraySlice<UInt8>, length: Int) -> Bool {
    guard bytes.count == length else { return false }
    return bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress, utf8Length(base, length) == length else { return false }
      switch utf8Scalar(base, length) {
      case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
        return true
      default: return false
      }
    }
  }
}
