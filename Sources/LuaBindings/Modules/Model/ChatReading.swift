import Engine
import OrderedCollections

extension OptionReader {
  /// `template =`, which needs `chat = true`; nil where it is not given.
  func template(of model: Model) throws -> ChatTemplate? {
    guard let reader = optional("template") else { return nil }
    guard try boolean("chat") else { throw reader.error("a template is used with chat = true only") }
    return try reader.template(of: model)
  }

  /// `tools`, `date_string` and `variables`.
  func chatVariables() throws -> ChatTemplate.Variables {
    var variables = ChatTemplate.Variables()
    if let reader = optional("tools") {
      variables.tools = try reader.tools()
    }
    variables.date = try optional("date_string")?.string()
    if let reader = optional("variables") {
      guard let others = try reader.templateValue().object else { throw reader.mismatch("a table of names and values") }
      variables.others = others
    }
    return variables
  }
}

extension ArgumentReader {
  /// A built-in template's name, or the text of a Jinja template.
  func template(of model: Model) throws -> ChatTemplate {
    let text = try string()
    do { return try ChatTemplate.named(text, tokenizer: model.tokenizer) } catch let failure as EngineError {
      throw error(failure.message, kind: .template)
    }
  }

  /// A conversation: text of one user turn, or a list of messages.
  func messages() throws -> [ChatMessage] {
    if isString { return [ChatMessage(role: "user", content: try bytes())] }
    guard isTable, listCount > 0 else { throw mismatch("text or a list of { role =, content = }") }
    return try list { try $0.message() }
  }

  /// `{ role =, content = text or list of parts, tool_calls =, ... }`.
  func message() throws -> ChatMessage {
    guard isTable, let role = field("role") else { throw error("a message needs role and content") }
    var message = ChatMessage(role: try role.string(), body: .absent)
    let names = try fieldNames()
    if let content = field("content") {
      if content.isTable {
        let value = try content.templateValue()
        if let parts = value.array { message.body = .parts(parts) } else { message.fields["content"] = value }
      } else {
        message.body = .text(try content.bytes())
      }
    } else if names.count == 1 {
      throw error("a message needs role and content")
    }
    for name in names where name != "role" && name != "content" {
      let near = ChatMessage.usualKeys.contains(name) ? "" : suggestion(for: name, in: ["role"] + ChatMessage.usualKeys)
      guard near.isEmpty else { throw error("unknown key '\(name)'\(near)") }
      if let value = field(name) { message.fields[name] = try value.templateValue() }
    }
    return message
  }

  /// Throws where a message has a key of its own that the template never names: nobody would read it.
  func checkKeys(of messages: [ChatMessage], in template: ChatTemplate) throws {
    for message in messages {
      for name in message.fields.keys where !ChatMessage.usualKeys.contains(name) && !template.source.contains(name) {
        throw error(
          "unknown key '\(name)' in a message: the template does not read it (it may be one of role, "
            + ChatMessage.usualKeys.joined(separator: ", ") + ", or what the template names)")
      }
    }
  }

  /// Descriptions of functions: a list, or its JSON text, which keeps the order of keys.
  fileprivate func tools() throws -> [JSONValue] {
    let value: JSONValue
    if isString {
      do { value = try JSONValue(parsing: try string(), source: "the text") } catch let failure as EngineError {
        throw error(failure.message)
      }
    } else {
      value = try templateValue()
    }
    if let list = value.array { return list }
    guard value.object?.isEmpty == true else { throw mismatch("a list of tools, or its JSON text") }
    return []
  }

  /// A Lua value as a template sees it: a table with entries 1 to n is a list, else a mapping.
  func templateValue() throws -> JSONValue { try json().inSchemaOrder }
}

extension ChatMessage {
  /// What messages have in the formats of Hugging Face and OpenAI, whether a template reads it or not.
  fileprivate static let usualKeys = [
    "content", "name", "tool_calls", "tool_call_id", "tool_responses", "reasoning_content", "reasoning", "thinking",
  ]
}

extension JSONValue {
  /// Lua tables have no order: keys come as descriptions of functions are usually written, the others sorted.
  var inSchemaOrder: JSONValue {
    switch self {
    case .array(let list): return .array(list.map(\.inSchemaOrder))
    case .object(let members):
      let usual = [
        "id", "type", "function", "name", "description", "parameters", "arguments", "properties", "required",
      ]
      var ordered: OrderedDictionary<String, JSONValue> = [:]
      for key in usual.filter({ members[$0] != nil }) + members.keys.filter({ !usual.contains($0) }) {
        ordered[key] = members[key]?.inSchemaOrder
      }
      return .object(ordered)
    default: return self
    }
  }
}
