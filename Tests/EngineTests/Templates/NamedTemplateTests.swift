import Foundation
import OrderedCollections
import Testing

@testable import Engine

/// Chat templates by name, as transformers keeps and chooses them.
@Suite(.serialized) struct NamedTemplateTests {
  private static let usual = "D{{ messages[0].content }}", tools = "T{{ tools | length }}", rag = "R{{ documents }}"

  /// The tiny Llama with a tokenizer and these files beside it.
  private func withModel(_ files: [String: String], _ body: (Model) throws -> Void) throws {
    guard let source = Files.fixture("tiny/llama") else { return }
    try Files.withFolder { folder in
      for name in ["config.json", "model.safetensors"] {
        try FileManager.default.createSymbolicLink(
          atPath: "\(folder)/\(name)", withDestinationPath: "\(source)/\(name)")
      }
      try FileManager.default.createDirectory(
        atPath: folder + "/additional_chat_templates", withIntermediateDirectories: true)
      try "{\(TokenizerJSONTests.model)}".write(toFile: folder + "/tokenizer.json", atomically: true, encoding: .utf8)
      for (name, text) in files { try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8) }
      try body(try Model.load(path: folder))
    }
  }

  private func printed(_ model: Model, tools: Int? = nil, template: String? = nil) throws -> String {
    let own = try template.map { try ChatTemplate.named($0, tokenizer: model.tokenizer) }
    let chat = try model.renderChat(
      [ChatMessage(role: "user", content: "Hi")], generationPrompt: true, template: own,
      variables: ChatTemplate.Variables(tools: tools.map { Array(repeating: .null, count: $0) }))
    return String(decoding: chat.text, as: UTF8.self)
  }

  private func settings(_ template: String) -> [String: String] {
    ["tokenizer_config.json": #"{"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": \#(template)}"#]
  }

  private func check(_ model: Model) throws {
    #expect(try printed(model) == "DHi")
    #expect(try printed(model, tools: 2) == "T2")
    #expect(try printed(model, tools: 0) == "T0")
    #expect(try printed(model, template: "rag") == "RNone")
    #expect(try printed(model, tools: 2, template: "default") == "DHi")
    // Named, it gets what there is: no tools, whose number Jinja refuses to give.
    let none = #expect(throws: EngineError.self) { try printed(model, template: "tool_use") }
    #expect(none?.message.contains("NoneType") == true)
    let error = #expect(throws: EngineError.self) { try printed(model, template: "rga") }
    for name in ["default", "tool_use", "rag", "chatml", "did you mean rag"] {
      #expect(error?.message.contains(name) == true, "\(name)")
    }
  }

  @Test func aListADictionaryAndFilesNameTemplates() throws {
    let list = """
      [{"name": "rag", "template": "\(Self.rag)"}, {"name": "default", "template": "\(Self.usual)"},
       {"name": "tool_use", "template": "\(Self.tools)"}]
      """
    try withModel(settings(list)) { try check($0) }
    let object = #"{"rag": "\#(Self.rag)", "default": "\#(Self.usual)", "tool_use": "\#(Self.tools)"}"#
    try withModel(settings(object)) { try check($0) }
    // Files go before settings, which then count for nothing.
    let files = [
      "chat_template.jinja": Self.usual, "additional_chat_templates/tool_use.jinja": Self.tools,
      "additional_chat_templates/rag.jinja": Self.rag, "additional_chat_templates/note.txt": "x",
    ]
    try withModel(files.merging(settings(#""S""#)) { $1 }) { model in
      try check(model)
      // A copy of the model has them all.
      try Files.withFolder { folder in
        for _ in 0..<2 {
          try model.save(folder + "/copy")
          try check(try Model.load(path: folder + "/copy"))
        }
      }
    }
    try withModel(["chat_template.jinja": Self.usual].merging(settings(object)) { $1 }) { model in
      let text = try printed(model, tools: 2)
      #expect(text == "DHi")
    }
    try TinyGGUF.withFile(
      "llama",
      adding: { builder in
        builder.add("tokenizer.ggml.model", "gpt2")
        builder.add("tokenizer.ggml.tokens", ["a", "b", "ab"])
        builder.add("tokenizer.ggml.merges", ["a b"])
        builder.add("tokenizer.chat_template", Self.usual)
        builder.add("tokenizer.chat_template.rag", Self.rag)
        builder.add("tokenizer.chat_template.tool_use", Self.tools)
        builder.add("tokenizer.chat_templates", ["rag", "tool_use"])
      }
    ) { path in
      let model = try Model.load(path: path)
      try check(model)
      try Files.withFolder { folder in
        try model.save(folder + "/copy")
        try check(try Model.load(path: folder + "/copy"))
      }
      let given = try Model.load(path: path, template: "rag")
      #expect(try printed(given, tools: 1) == "RNone")
    }
  }

  @Test func withoutAUsualTemplateOneMustBeNamed() throws {
    try withModel(settings(#"[{"name": "rag", "template": "\#(Self.rag)"}]"#)) { model in
      let error = #expect(throws: EngineError.self) { try printed(model) }
      #expect(error?.message.contains("rag") == true && error?.message.contains("default") == true)
      let named = try printed(model, template: "rag")
      #expect(named == "RNone")
    }
    try withModel(["additional_chat_templates/tool_use.jinja": Self.tools]) { model in
      let text = try printed(model, tools: 3)
      #expect(text == "T3")
      #expect(throws: EngineError.self) { try printed(model) }
    }
    for damaged in [#"[{"name": "x"}]"#, #"{"default": 1}"#, "7", #"["x"]"#] {
      #expect(throws: EngineError.self, "\(damaged)") { try withModel(settings(damaged)) { _ in } }
    }
  }

  @Test func templatesKnowTheSpecialTokens() throws {
    let template =
      "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ sep_token }}|{{ mask_token is defined }}"
      + "|{{ additional_special_tokens | join(',') }}|{{ image_token }}"
    let settings = """
      {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": {"__type": "AddedToken",
       "content": "</s>"}, "unk_token": "<unk>", "pad_token": "<pad>", "sep_token": "<sep>",
       "additional_special_tokens": ["<x>", "<y>"], "extra_special_tokens": {"image_token": "<img>"},
       "chat_template": \(jsonQuoted(template))}
      """
    try withModel(["tokenizer_config.json": settings]) { model in
      let text = try printed(model)
      #expect(text == "<s>|</s>|<unk>|<pad>|<sep>|False|<x>,<y>|<img>")
    }
    try TinyGGUF.withFile(
      "llama",
      adding: { builder in
        builder.add("tokenizer.ggml.model", "gpt2")
        builder.add("tokenizer.ggml.tokens", ["a", "b", "ab", "<s>", "</s>", "<pad>", "<unk>", "<sep>"])
        builder.add("tokenizer.ggml.merges", ["a b"])
        for (key, id) in [("bos", 3), ("eos", 4), ("padding", 5), ("unknown", 6), ("seperator", 7)] {
          builder.add("tokenizer.ggml.\(key)_token_id", UInt32(id))
        }
        builder.add("tokenizer.chat_template", template)
      }
    ) { path in
      let model = try Model.load(path: path)
      #expect(try printed(model) == "<s>|</s>|<unk>|<pad>|<sep>|False||")
    }
  }
}
