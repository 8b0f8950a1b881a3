import OrderedCollections

/// How a model was taught to tell the turns of a conversation apart: a template in Jinja, with the settings under which
/// chat templates are written (Hugging Face transformers' `apply_chat_template`).
///
/// ```swift
/// let template = ChatTemplate(text: "chatml")
/// let chat = try template.render([ChatMessage(role: "user", content: "Hi")], generationPrompt: true)
/// // <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n
/// ```
public struct ChatTemplate: Sendable {
  /// What a template is told besides the messages.
  public struct Variables: Sendable {
    /// Descriptions of functions that the model may call.
    public var tools: [JSONValue]?
    /// The date that the template prints, such as `26 Jul 2024`; today where it is not given.
    public var date: String?
    /// Names of the template's own, such as `enable_thinking`.
    public var others: OrderedDictionary<String, JSONValue>

    public init(
      tools: [JSONValue]? = nil, date: String? = nil, others: OrderedDictionary<String, JSONValue> = [:]
    ) {
      self.tools = tools
      self.date = date
      self.others = others
    }
  }

  /// For records of runs: which template a prompt was made with.
  public let name: String
  /// The template in Jinja.
  public let source: String
  /// What the template knows of special tokens: `bos_token`, `eos_token`, `pad_token`, `unk_token` and others;
  /// undefined where absent.
  let tokens: OrderedDictionary<String, JSONValue>
  private let program: Result<TemplateProgram, EngineError>

  public init(name: String, source: String, bos: String? = nil, eos: String? = nil) {
    var tokens: OrderedDictionary<String, JSONValue> = [:]
    tokens["bos_token"] = bos.map { .string($0) }
    tokens["eos_token"] = eos.map { .string($0) }
    self.init(name: name, source: source, tokens: tokens)
  }

  /// A template that cannot be read is no error until it is used.
  init(name: String, source: String, tokens: OrderedDictionary<String, JSONValue>) {
    self.name = name
    self.source = source
    self.tokens = tokens
    program = Result { () throws(EngineError) in
      do { return try TemplateProgram(source) } catch let error as EngineError { throw error } catch {
        throw EngineError(.template, "\(error)")
      }
    }
  }

  /// Prints `messages`; with `generationPrompt`, the opening of the assistant's next turn after them. Throws
  /// `.template`: the template's own words where it refuses the conversation, else what is wrong with its line.
  /// `.interrupted` on Ctrl-C.
  public func render(
    _ messages: [ChatMessage], generationPrompt: Bool = true, variables: Variables = Variables()
  ) throws -> RenderedChat {
    let program = try program.get()
    let run = TemplateRun(
      variables: values(messages, generationPrompt, variables),
      date: variables.date.map { TemplateDate($0) } ?? TemplateDate())
    return RenderedChat(try run.render(program), contents: messages.map(\.contentBytes))
  }

  private func values(
    _ messages: [ChatMessage], _ generationPrompt: Bool, _ variables: Variables
  ) -> TemplateMapping {
    var values = TemplateMapping()
    for (name, token) in tokens { values.set(name, TemplateValue(token)) }
    if let date = variables.date { values.set("date_string", .text(date)) }
    for (name, value) in variables.others { values.set(name, TemplateValue(value)) }
    values.set("messages", .list(TemplateList(messages.enumerated().map { $1.value($0) })))
    // transformers passes these whether they are given or not.
    values.set("tools", variables.tools.map { TemplateValue(.array($0)) } ?? .none)
    values.set("documents", variables.others["documents"].map { TemplateValue($0) } ?? .none)
    values.set("add_generation_prompt", .bool(generationPrompt))
    return values
  }

  /// The token that ends a turn, which generation stops at: the first special token that the template prints after an
  /// assistant's content. nil where it prints none or cannot print a conversation of two messages.
  public func endOfTurn(_ tokenizer: Tokenizer) -> Int? {
    let probe = [ChatMessage(role: "user", content: "Hello"), ChatMessage(role: "assistant", content: "Good morning")]
    guard let chat = try? render(probe, generationPrompt: false), let end = chat.contentSpans.last?.upperBound,
      let rest = try? tokenizer.encode(Array(chat.text[end...]), bos: .never)
    else { return nil }
    return rest.ids.first { id in
      // Read as plain text a special token falls apart.
      guard let bytes = try? tokenizer.tokenBytes(id) else { return false }
      return (try? tokenizer.encode(bytes, bos: .never, special: false).ids) != [id]
    }
  }
}
