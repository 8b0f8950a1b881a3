import Testing

@testable import Engine

struct ChatTemplateTests {
  private struct Row: Decodable {
    let name: String
    let bos_token: String
    let eos_token: String
    let date_string: String
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

  /// The goldens, rendered by the template of the file (`builtIn` nil) or by one of ours that is to agree with it.
  @Test(
    .enabled(if: TokenizerFixtures.has("chat_templates.json"), "\(TokenizerFixtures.noGoldens)"),
    arguments: [("smollm2", nil), ("gemma-2", nil), ("llama-3.2", nil), ("gemma-2", "gemma")] as [(String, String?)])
  func chatsEqualJinja(name: String, builtIn: String?) throws {
    let rows = try TokenizerFixtures.decode([Row].self, "chat_templates.json")
    let row = try #require(rows.first { $0.name == name })
    let template = ChatTemplate(text: builtIn ?? row.template, bos: row.bos_token, eos: row.eos_token)
    #expect(row.cases.count == 10)
    for example in row.cases {
      let messages = example.messages.map { ChatMessage(role: $0.role, content: $0.content) }
      func render() throws -> RenderedChat {
        try template.render(
          messages, generationPrompt: example.add_generation_prompt,
          variables: ChatTemplate.Variables(date: row.date_string))
      }
      if let text = example.text {
        let chat = try render()
        #expect(String(decoding: chat.text, as: UTF8.self) == text)
        #expect(chat.contentSpans.count == messages.count)
        for (span, message) in zip(chat.contentSpans, example.messages) {
          let printed = String(decoding: chat.text[span], as: UTF8.self)
          #expect(printed == (name == "smollm2" ? message.content : message.content.trimmingSpaces))
        }
      } else {
        let error = #expect(throws: EngineError.self) { try render() }
        #expect(error?.message == example.error)
        #expect(error?.kind == .template)
      }
    }
  }

  @Test func builtInTemplatesPrintTheirTurns() throws {
    let messages = [
      ChatMessage(role: "system", content: " Be brief. "), ChatMessage(role: "user", content: "Hi"),
      ChatMessage(role: "assistant", content: "Yes"),
    ]
    func printed(_ name: String, _ messages: [ChatMessage]) throws -> String {
      let template = ChatTemplate(text: name, bos: "<s>", eos: "</s>")
      #expect(template.name == name)
      return String(decoding: try template.render(messages).text, as: UTF8.self)
    }
    #expect(
      try printed("llama3", messages)
        == "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        + "Yes<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    #expect(
      try printed("chatml", messages)
        == "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        + "<|im_start|>assistant\nYes<|im_end|>\n<|im_start|>assistant\n")
    #expect(
      try printed("alpaca", messages)
        == "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nYes</s>\n\n### Response:\n")
    #expect(
      try printed("gemma", Array(messages[1...]))
        == "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes<end_of_turn>\n<start_of_turn>model\n")
    #expect(throws: EngineError.self) { try printed("gemma", []) }
    #expect(ChatTemplate.builtInNames == ["alpaca", "chatml", "gemma", "llama3"])
  }

  @Test func contentKeepsItsBytesAndIsTrimmedAsPythonDoes() throws {
    let broken: [UInt8] = [0x20, 0xFF, 0xC3, 0x20]
    let chat = try ChatTemplate(text: "chatml").render([ChatMessage(role: "user", content: broken)])
    #expect(Array(chat.text[chat.contentSpans[0]]) == broken)
    let spaces = "\u{3000}\u{85}\u{1C}\t x\u{200B} \u{2028}\u{A0}\n"
    let gemma = try ChatTemplate(text: "gemma").render([ChatMessage(role: "user", content: spaces)])
    #expect(Array(gemma.text[gemma.contentSpans[0]]) == Array("x\u{200B}".utf8))
    let empty = try ChatTemplate(text: "gemma").render([ChatMessage(role: "user", content: " \u{A0} ")])
    #expect(empty.contentSpans[0].isEmpty && empty.contentSpans[0].lowerBound == 20)
  }

  @Test func aTemplateThatCannotBeReadFailsWhenItIsUsed() {
    let template = ChatTemplate(text: "{% for m in messages %}\n{% extends 'x' %}")
    let error = #expect(throws: EngineError.self) { try template.render([ChatMessage(role: "user", content: "Hi")]) }
    #expect(error?.kind == .template)
    #expect(error?.message == "chat template, line 2: 'extends' blocks are not part of chat templates")
    let unknown = #expect(throws: EngineError.self) { try ChatTemplate.named("chatmll", tokenizer: nil) }
    #expect(unknown?.message.contains("did you mean chatml") == true)
  }

  @Test func variablesReachTheTemplate() throws {
    let template = ChatTemplate(
      text: "{{ date_string }}|{{ strftime_now('%Y') }}|{{ tools | length }}|{{ think }}"
        + "|{{ messages[0].reasoning_content }}|{{ messages[0].content is defined }}|{{ documents }}|{{ bos_token }}",
      bos: "<s>")
    let message = ChatMessage(role: "assistant", body: .absent, fields: ["reasoning_content": .string("hm")])
    let chat = try template.render(
      [message], variables: ChatTemplate.Variables(tools: [.null], date: "1 Feb 2023", others: ["think": .bool(false)]))
    #expect(String(decoding: chat.text, as: UTF8.self) == "1 Feb 2023|2023|1|False|hm|False|None|<s>")
    #expect(chat.contentSpans == [0..<0])
  }

  @Test(.enabled(if: TokenizerFixtures.hasModels, "\(TokenizerFixtures.noModels)"))
  func realModelsUseTheirOwnTemplateElseThatOfTheirTokens() throws {
    let file = try GGUFFile(path: TokenizerFixtures.modelPath("smollm2-135m-instruct"))
    let smollm = try Tokenizer(gguf: file)
    let source = try #require(try file.string(ifPresent: "tokenizer.chat_template"))
    let own = try #require(ChatTemplate(source: source, family: "llama", tokenizer: smollm))
    let hi = [ChatMessage(role: "user", content: "Hi")]
    #expect(own.name == "model" && own.source == source)
    #expect(try String(decoding: own.render(hi).text, as: UTF8.self).contains("a helpful AI assistant named SmolLM"))
    #expect(own.endOfTurn(smollm) == 2)
    // <|im_end|> as the file says, <|endoftext|> and <reponame> by their names, as llama.cpp finds them.
    #expect(smollm.endTokens == [2, 0, 4])
    let chatML = try #require(ChatTemplate(source: nil, family: "llama", tokenizer: smollm))
    #expect(chatML.name == "chatml" && chatML.endOfTurn(smollm) == 2)

    let gemma = try TokenizerFixtures.tokenizer("gemma-3-270m")
    let template = try #require(ChatTemplate(source: nil, family: "gemma3", tokenizer: gemma))
    let ids = try gemma.encode(template.render(hi).text).ids
    #expect(ids == [2, 105, 2364, 107, 10979, 106, 107, 105, 4368, 107])
    #expect(template.endOfTurn(gemma) == 106)
    #expect(gemma.endTokens == [1, 106])
    // Tokens that the vocabulary does not have as special ones end no turn.
    #expect(ChatTemplate(text: "llama3").endOfTurn(gemma) == nil)
    #expect(try ChatTemplate(source: nil, family: "llama", tokenizer: Tokenizer(TokenizerTextTests.byteLevel)) == nil)
  }
}

extension String {
  fileprivate var trimmingSpaces: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
