extension ChatTemplate {
  /// Names that `named(_:)` knows.
  public static let builtInNames = ["alpaca", "chatml", "gemma", "llama3"]

  /// The template of a model: its own where its file carries one, else the built-in one that fits its tokens; nil where
  /// none does.
  public init?(source: String?, family: String, tokenizer: Tokenizer) {
    guard let source else {
      let own = tokenizer.chatTemplates
      guard own.names.isEmpty || own.text != nil else { return nil }  // which of them is the caller's choice
      guard let builtIn = ChatTemplate.builtIn(family: family, tokenizer: tokenizer) else { return nil }
      self = builtIn
      return
    }
    self.init(name: "model", source: source, tokenizer: tokenizer)
  }

  /// A template that prints a vocabulary's tokens: those that its files name, else its BOS and first end.
  public init(name: String, source: String, tokenizer: Tokenizer) {
    var tokens = tokenizer.templateValues
    for (key, id) in [("bos_token", tokenizer.bos), ("eos_token", tokenizer.endTokens.first)] where tokens[key] == nil {
      guard let id, let text = try? tokenizer.tokenBytes(id) else { continue }
      tokens[key] = .string(String(decoding: text, as: UTF8.self))
    }
    self.init(name: name, source: source, tokens: tokens)
  }

  /// One of the model's own templates by name; nil where it has none of that name.
  static func own(_ name: String, of tokenizer: Tokenizer) -> ChatTemplate? {
    tokenizer.chatTemplates.byName[name].map {
      ChatTemplate(name: name == ChatTemplateTexts.usual ? "model" : name, source: $0, tokenizer: tokenizer)
    }
  }

  /// A built-in template by name, else `text` itself as a template.
  public init(text: String, bos: String? = nil, eos: String? = nil) {
    let builtIn = ChatTemplate.builtInSources[text]
    self.init(name: builtIn == nil ? "custom" : text, source: builtIn ?? text, bos: bos, eos: eos)
  }

  /// The same with the tokens of a vocabulary, whose own templates' names (`tool_use`) go first. Throws `.template`
  /// where `text` is no name and has no tags either.
  public static func named(_ text: String, tokenizer: Tokenizer?) throws -> ChatTemplate {
    if let own = tokenizer.flatMap({ ChatTemplate.own(text, of: $0) }) { return own }
    guard builtInNames.contains(text) || text.contains("{") else {
      let known = (tokenizer?.chatTemplates.names ?? []) + builtInNames
      throw EngineError(
        .template,
        "there is no template '\(text.prefix(40))'\(suggestion(for: text, in: known)); known: "
          + "\(known.joined(separator: ", ")), or the text of a Jinja template")
    }
    let template = ChatTemplate(text: text)
    return tokenizer.map { ChatTemplate(name: template.name, source: template.source, tokenizer: $0) } ?? template
  }

  /// The built-in template whose tokens a vocabulary has as special tokens: Gemma's, ChatML, Llama 3's; nil where none
  /// fits.
  static func builtIn(family: String, tokenizer: Tokenizer) -> ChatTemplate? {
    func has(_ tokens: String...) -> Bool { tokens.allSatisfy { tokenizer.id(of: $0) != nil } }
    let name: String
    if has("<start_of_turn>", "<end_of_turn>") {
      name = "gemma"
    } else if family.hasPrefix("gemma") {
      return nil
    } else if has("<|im_start|>", "<|im_end|>") {
      name = "chatml"
    } else if has("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>") {
      name = "llama3"
    } else {
      return nil
    }
    return builtInSources[name].map { ChatTemplate(name: name, source: $0, tokenizer: tokenizer) }
  }

  private static let builtInSources = ["alpaca": alpaca, "chatml": chatML, "gemma": gemma, "llama3": llama3]

  /// ChatML, as SmolLM2's and Qwen's templates print it, without their default system messages.
  private static let chatML = """
    {%- for message in messages -%}
      {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endfor -%}
    {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
    """

  /// Gemma 1 and 2: turns alternate, beginning with the user's; there is no system role; content is trimmed.
  private static let gemma = """
    {{- bos_token }}
    {%- if not messages %}{{ raise_exception('a Gemma chat needs at least one message') }}{% endif %}
    {%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
    {%- for message in messages %}
      {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
      {%- endif %}
      {%- set role = 'model' if message.role == 'assistant' else message.role %}
      {{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
    {%- endfor %}
    {%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif -%}
    """

  /// Llama 3 without the date and the system message that Llama 3.1 and later put in front; content is trimmed.
  private static let llama3 = """
    {{- bos_token }}
    {%- for message in messages %}
      {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
    {%- endfor %}
    {%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif -%}
    """

  /// Instructions and responses under headings (Taori et al. 2023), with the end-of-text token after each response.
  private static let alpaca = """
    {%- for message in messages %}
      {%- if message.role == 'system' %}{{ message.content | trim + '\\n\\n' }}
      {%- elif message.role == 'user' %}{{ '### Instruction:\\n' + message.content | trim + '\\n\\n' }}
      {%- else %}{{ '### Response:\\n' + message.content | trim ~ eos_token ~ '\\n\\n' }}
      {%- endif %}
    {%- endfor %}
    {%- if add_generation_prompt %}{{ '### Response:\\n' }}{% endif -%}
    """
}
