import OrderedCollections

/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// What a message says.
  public enum Body: Sendable, Equatable {
    /// Nothing, as in a message that only calls tools: templates see no `content`.
    case absent
    /// UTF-8 or not: kept as it is.
    case text([UInt8])
    /// `{ "type": "text", "text": ... }` and other parts, as templates of multimodal models read them.
    case parts([JSONValue])
  }

  /// `system`, `user`, `assistant`, `tool`, or what else the template knows.
  public var role: String
  public var body: Body
  /// What else templates may read: `tool_calls`, `reasoning_content`, `name`; `content` too where it is neither text
  /// nor parts.
  public var fields: OrderedDictionary<String, JSONValue>

  public init(role: String, body: Body, fields: OrderedDictionary<String, JSONValue> = [:]) {
    self.role = role
    self.body = body
    self.fields = fields
  }

  public init(role: String, content: String) {
    self.init(role: role, body: .text(Array(content.utf8)))
  }

  public init(role: String, content: [UInt8]) {
    self.init(role: role, body: .text(content))
  }

  /// The text of the message; that of several parts joined.
  public var contentBytes: [UInt8] {
    switch body {
    case .absent: []
    case .text(let bytes): bytes
    case .parts(let parts): parts.flatMap { Array(($0["text"]?.string ?? $0.string ?? "").utf8) }
    }
  }

  /// The message as a template sees it; its content is marked as that of message `index`.
  func value(_ index: Int) -> TemplateValue {
    var mapping = TemplateMapping()
    mapping.set("role", .text(role))
    switch body {
    case .absent: break
    case .text(let bytes): mapping.set("content", .text(TemplateText(content: bytes, of: index)))
    case .parts(let parts):
      var offset = 0
      let values = parts.map { part -> TemplateValue in
        let bytes = Array((part["text"]?.string ?? part.string ?? "").utf8)
        let text = TemplateValue.text(TemplateText(content: bytes, of: index, from: offset))
        offset += bytes.count
        if part.string != nil { return text }
        var value = TemplateValue(part)
        if part["text"]?.string != nil, case .mapping(var members) = value {
          members.set("text", text)
          value = .mapping(members)
        }
        return value
      }
      mapping.set("content", .list(TemplateList(values)))
    }
    for (name, value) in fields where name != "role" && (name != "content" || body == .absent) {
      mapping.set(name, TemplateValue(value))
    }
    return .mapping(mapping)
  }
}

extension TemplateValue {
  init(_ json: JSONValue) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .float(value)
    case .string(let value): self = .text(value)
    case .array(let list): self = .list(TemplateList(list.map(TemplateValue.init)))
    case .object(let members):
      var mapping = TemplateMapping()
      for (name, value) in members { mapping.set(name, TemplateValue(value)) }
      self = .mapping(mapping)
    }
  }
}
