import Testing

@testable import Engine

struct ChatTemplateTests {
  private struct Row: Decodable {
    let name: String
    let template: String
    let cases: [Case]
  }

  private struct Case: Decodable {
    struct Message: Decodable {
      let role: String
      let content: String
    }

    let messages: [Message]
    let add_generation_prompt: Bool
    let text: String?
    let error: String?
  }

  @Test(
    .enabled(if: TokenizerFixtures.has("chat_templates.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: ["smollm2", "gemma-2"])
  func chatsEqualJinja(name: String) throws {
    let rows = try TokenizerFixtures.decode([Row].self, "chat_templates.json")
    let row = try #require(rows.first { $0.name == name })
    let template =
      name == "gemma-2" ? ChatTemplate.gemma() : .chatML(defaultSystem: ChatTemplate.defaultSystemMessage(row.template))
    #expect(row.cases.count == 10)
    for example in row.cases {
      let messages = example.messages.map { ChatMessage(role: $0.role, content: $0.content) }
      if let text = example.text {
        let chat = try template.render(messages, generationPrompt: example.add_generation_prompt)
        #expect(String(decoding: chat.text, as: UTF8.self) == text)
        #expect(chat.contentSpans.count == messages.count)
        for (span, message) in zip(chat.contentSpans, messages) {
          let printed = String(decoding: chat.text[span], as: UTF8.self)
          #expect(printed == (name == "gemma-2" ? message.content.trimmingSpaces : message.content))
        }
      } else {
        let error = #expect(throws: EngineError.self) {
          try template.render(messages, generationPrompt: example.add_generation_prompt)
        }
        #expect(error?.message == example.error)
        #expect(error?.kind == .template)
      }
    }
  }

  @Test func llama3PrintsItsTurns() throws {
    let chat = try ChatTemplate.llama3().render(
      [ChatMessage(role: "system", content: " Be brief. "), ChatMessage(role: "user", content: "Hi")],
      generationPrompt: true)
    #expect(
      String(decoding: chat.text, as: UTF8.self)
        == "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    #expect(chat.contentSpans.map { String(decoding: chat.text[$0], as: UTF8.self) } == ["Be brief.", "Hi"])
  }

  @Test func contentKeepsItsBytesAndGemmaTrimsAsPythonDoes() throws {
    let broken: [UInt8] = [0x20, 0xFF, 0xC3, 0x20]
    let chat = try ChatTemplate.chatML().render([ChatMessage(role: "user", content: broken)])
    #expect(Array(chat.text[chat.contentSpans[0]]) == broken)
    let spaces = "\u{3000}\u{85}\u{1C}\t x\u{200B} \u{2028}\u{A0}\n"
    let gemma = try ChatTemplate.gemma().render([ChatMessage(role: "user", content: spaces)])
    #expect(Array(gemma.text[gemma.contentSpans[0]]) == Array("x\u{200B}".utf8))
    let empty = try ChatTemplate.gemma().render([ChatMessage(role: "user", content: " \u{A0} ")])
    #expect(empty.contentSpans[0].isEmpty)
    #expect(throws: EngineError.self) { try ChatTemplate.gemma().render([]) }
  }

  @Test func theDefaultSystemMessageComesFromTheTemplate() {
    func found(_ source: String) -> String? { ChatTemplate.defaultSystemMessage(source) }
    #expect(found("{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}") == "Be kind.")
    #expect(found(#"{{- '<|im_start|>system\n' }}{{- '<|im_start|>system\nBe kind.<|im_end|>\n' }}"#) == "Be kind.")
    #expect(found("{{ '<|im_start|>system\n' + content + '<|im_end|>' }}") == nil)
    #expect(found("") == nil)
  }

  @Test(
    .enabled(if: TokenizerFixtures.hasModels, "\(TokenizerFixtures.noModels)"))
  func realModelsGetTheTemplateOfTheirTokens() throws {
    let file = try GGUFFile(path: TokenizerFixtures.modelPath("smollm2-135m-instruct"))
    let smollm = try Tokenizer(gguf: file)
    let chatML = try #require(
      ChatTemplate.builtIn(
        family: "llama", tokenizer: smollm, source: file.string(ifPresent: "tokenizer.chat_template")))
    let hi = [ChatMessage(role: "user", content: "Hi")]
    #expect(try String(decoding: chatML.render(hi).text, as: UTF8.self).contains("a helpful AI assistant named SmolLM"))
    #expect(smollm.id(of: try #require(chatML.endOfTurn)) == 2)
    #expect(smollm.endTokens == [2])

    let gemma = try TokenizerFixtures.tokenizer("gemma-3-270m")
    let template = try #require(ChatTemplate.builtIn(family: "gemma3", tokenizer: gemma))
    let ids = try gemma.encode(template.render(hi).text).ids
    #expect(ids == [2, 105, 2364, 107, 10979, 106, 107, 105, 4368, 107])
    #expect(gemma.id(of: try #require(template.endOfTurn)) == 106)
    #expect(gemma.endTokens == [1])
    #expect(try ChatTemplate.builtIn(family: "llama", tokenizer: Tokenizer(TokenizerTextTests.byteLevel)) == nil)
  }
}

extension String {
  fileprivate var trimmingSpaces: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
