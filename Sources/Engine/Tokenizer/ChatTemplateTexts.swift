import Foundation
import OrderedCollections

/// The chat templates that come with a tokenizer, in Jinja, by name; the usual one is named "default".
struct ChatTemplateTexts: Equatable, Sendable {
  static let usual = "default"
  /// The one for conversations with tools, where there is one.
  static let toolUse = "tool_use"
  /// Where a model's folder keeps templates other than the usual one.
  static let folderName = "additional_chat_templates"
  private static let longest = 1 << 20

  private(set) var byName: OrderedDictionary<String, String> = [:]

  init() {}

  /// One template without a name.
  init(_ text: String?) { if let text { byName[Self.usual] = text } }

  var text: String? { byName[Self.usual] }
  var names: [String] { Array(byName.keys) }

  /// `chat_template.jinja` and `additional_chat_templates/NAME.jinja`; where there is neither, `chat_template` of
  /// `tokenizer_config.json`: a text, a list of `{"name": "default", "template": text}` or an object of texts by name.
  /// Throws `.file` for damaged ones.
  init(folder: String, settings: ConfigurationFile?) throws {
    let main = "\(folder)/chat_template.jinja"
    if access(main, F_OK) == 0 { byName[Self.usual] = try Self.read(main) }
    for path in Self.additional(folder) {
      let name = ((path as NSString).lastPathComponent as NSString).deletingPathExtension
      byName[name] = try Self.read(path)
    }
    guard byName.isEmpty, let settings, let value = settings["chat_template"] else { return }
    let source = "\(settings.source): chat_template"
    if let list = value.array {
      for value in list {
        let entry = try ConfigurationFile(value, source: source)
        byName[try entry.string("name")] = try entry.string("template")
      }
    } else if value.object != nil {
      let entries = try ConfigurationFile(value, source: source)
      for name in value.object?.keys ?? [] { byName[name] = try entries.string(name) }
    } else {
      byName[Self.usual] = try settings.string("chat_template")
    }
  }

  /// `tokenizer.chat_template`, and `tokenizer.chat_template.NAME` for others. Throws `.file` for wrong types.
  init(gguf file: GGUFFile) throws {
    let key = "tokenizer.chat_template"
    if let text = try file.string(ifPresent: key) { byName[Self.usual] = text }
    for name in file.keyNames where name.hasPrefix(key + ".") {
      if let text = try file.string(ifPresent: name) { byName[String(name.dropFirst(key.count + 1))] = text }
    }
  }

  /// As `tokenizer_config.json` states them; nil where there are none.
  var setting: JSONValue? {
    guard !byName.isEmpty else { return nil }
    if byName.count == 1, let text { return .string(text) }
    return .array(byName.map { .object(["name": .string($0.key), "template": .string($0.value)]) })
  }

  /// Paths of a folder's named templates, in order.
  static func additional(_ folder: String) -> [String] {
    let inner = "\(folder)/\(folderName)"
    let files = (try? FileManager.default.contentsOfDirectory(atPath: inner)) ?? []
    return files.filter { $0.hasSuffix(".jinja") }.sorted().map { "\(inner)/\($0)" }
  }

  /// Whether a file stands in the folder of named templates.
  static func isNamed(_ path: String) -> Bool {
    (((path as NSString).deletingLastPathComponent) as NSString).lastPathComponent == folderName
  }

  private static func read(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= longest, let text = String(validating: file.bytes, as: UTF8.self) else {
      throw EngineError(.file, "\(path) is \(byteText(file.bytes.count)) of text that is no UTF-8, or more than 1 MB")
    }
    return text
  }
}
