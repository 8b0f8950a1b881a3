import Foundation

/// What the files beside a `tokenizer.json` say: `tokenizer_config.json`, else `special_tokens_map.json`, and
/// `chat_template.jinja`.
struct TokenizerSettings {
  /// As text.
  private(set) var bosToken: String?
  private(set) var eosToken: String?
  /// Nil: as `tokenizer.json` says.
  private(set) var addsBOS: Bool?
  private(set) var addsEOS: Bool?
  /// In Jinja; of several the one named "default".
  private(set) var chatTemplate: String?

  init() {}

  /// Reads what is there. Throws `.file` for damaged files.
  init(folder: String) throws {
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
      guard let keys = try Self.settings("\(folder)/\(name)") else { continue }
      bosToken = try bosToken ?? Self.token(keys, "bos_token")
      eosToken = try eosToken ?? Self.token(keys, "eos_token")
      addsBOS = try addsBOS ?? keys.bool(ifPresent: "add_bos_token")
      addsEOS = try addsEOS ?? keys.bool(ifPresent: "add_eos_token")
      chatTemplate = try chatTemplate ?? Self.template(keys)
    }
    if let text = try Self.templateFile("\(folder)/chat_template.jinja") { chatTemplate = text }
  }

  private static func settings(_ path: String) throws -> ConfigurationFile? {
    access(path, F_OK) == 0 ? try ConfigurationFile(path: path) : nil
  }

  /// `"<s>"` or `{"content": "<s>"}`.
  private static func token(_ keys: ConfigurationFile, _ key: String) throws -> String? {
    if case .object = keys[key] { return try keys.object(ifPresent: key)?.string("content") }
    return try keys.string(ifPresent: key)
  }

  /// A text, or a list of `{"name": "default", "template": text}`.
  private static func template(_ keys: ConfigurationFile) throws -> String? {
    guard let list = keys["chat_template"]?.array else { return try keys.string(ifPresent: "chat_template") }
    let templates = try list.map { value -> (name: String, text: String) in
      let entry = try ConfigurationFile(value, source: "\(keys.source): chat_template")
      return (try entry.string("name"), try entry.string("template"))
    }
    return (templates.first { $0.name == "default" } ?? templates.first)?.text
  }

  private static func templateFile(_ path: String) throws -> String? {
    guard access(path, F_OK) == 0 else { return nil }
    let file = try MappedFile(path: path)
    guard file.bytes.count <= 1 << 20, let text = String(validating: file.bytes, as: UTF8.self) else {
      throw EngineError(.file, "\(path) is \(byteText(file.bytes.count)) of text that is no UTF-8, or more than 1 MB")
    }
    return text
  }
}
