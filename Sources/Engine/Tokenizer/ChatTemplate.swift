/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// `system`, `user`, `assistant`, or what else the template knows.
  public var role: String
  /// UTF-8 or not: kept as it is.
  public var contentBytes: [UInt8]

  public var content: String {
    get { String(decoding: contentBytes, as: UTF8.self) }
    set { contentBytes = Array(newValue.utf8) }
  }

  public init(role: String, content: String) {
    self.init(role: role, content: Array(content.utf8))
  }

  public init(role: String, content: [UInt8]) {
    self.role = role
    contentBytes = content
  }
}

/// A conversation as a template prints it.
public struct RenderedChat: Sendable, Equatable {
  public internal(set) var text: [UInt8] = []
  /// Byte range in `text` of each message's content, as printed (trimmed where the template trims), in order.
  public internal(set) var contentSpans: [Range<Int>] = []

  mutating func print(_ literal: String) { text += literal.utf8 }

  mutating func printContent(_ content: some Sequence<UInt8>) {
    let start = text.count
    text += content
    contentSpans.append(start..<text.count)
  }
}

/// How a model was taught to tell the turns of a conversation apart.
///
/// ```swift
/// let template = ChatTemplate.chatML()
/// let chat = try template.render([ChatMessage(role: "user", content: "Hi")], generationPrompt: true)
/// // <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n
/// ```
public struct ChatTemplate: Sendable {
  public typealias Renderer = @Sendable (_ messages: [ChatMessage], _ generationPrompt: Bool) throws -> RenderedChat

  /// For records of runs: which template a prompt was made with.
  public let name: String
  /// The token that ends a turn, which generation stops at; nil where the template does not tell.
  public let endOfTurn: String?
  private let renderer: Renderer

  public init(name: String, endOfTurn: String?, renderer: @escaping Renderer) {
    self.name = name
    self.endOfTurn = endOfTurn
    self.renderer = renderer
  }

  /// Prints `messages`; with `generationPrompt`, the opening of the assistant's next turn after them. Throws
  /// `.template` with the template's own words where it refuses the conversation.
  public func render(_ messages: [ChatMessage], generationPrompt: Bool = true) throws -> RenderedChat {
    try renderer(messages, generationPrompt)
  }
}
