import Testing

@testable import Engine

/// Where contents stand in what a template prints.
struct ContentSpanTests {
  private let messages = [
    ChatMessage(role: "system", content: "user"), ChatMessage(role: "user", content: "  assistant  "),
    ChatMessage(role: "assistant", content: "<think>\nhm\n</think>\n\nyes"), ChatMessage(role: "user", content: "yes"),
  ]

  private func spans(_ template: String, _ messages: [ChatMessage]? = nil) throws -> [String] {
    let chat = try ChatTemplate(text: template).render(messages ?? self.messages)
    return chat.contentSpans.map { String(decoding: chat.text[$0], as: UTF8.self) }
  }

  @Test func contentsAreFoundByOriginNotBySearch() throws {
    // Every content is also the name of a role, or another's content, or stands in the template.
    let template =
      "yes user assistant {% for m in messages %}{{ m.role ~ ':' + m['content'] | trim + '\\n' }}{% endfor %}"
    #expect(try spans(template) == ["user", "assistant", "<think>\nhm\n</think>\n\nyes", "yes"])
    let chat = try ChatTemplate(text: template).render(messages)
    #expect(chat.contentSpans[0] == 26..<30)
    #expect(zip(chat.contentSpans, chat.contentSpans.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
  }

  @Test func aContentCutInTwoIsOneSpan() throws {
    let both = """
      {%- for m in messages %}
        {%- set text = m.content %}
        {%- if '</think>' in text %}
          {{- '<r>' + text.split('</think>')[0].split('<think>')[-1].strip('\\n') + '</r>' }}
          {%- set text = text.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '[' ~ text ~ ']' }}
      {%- endfor %}
      """
    #expect(try spans(both) == ["user", "  assistant  ", "hm</r>[yes", "yes"])
    let last = "{% for m in messages %}[{{ m.content.split('</think>')[-1].lstrip('\\n') }}]{% endfor %}"
    #expect(try spans(last) == ["user", "  assistant  ", "yes", "yes"])
  }

  @Test func theFirstOfSeveralPlacesCounts() throws {
    let template = "{{ messages[1].content }}{% for m in messages %}<{{ m.content }}>{% endfor %}"
    let chat = try ChatTemplate(text: template).render(messages)
    #expect(chat.contentSpans[1] == 0..<13)
    #expect(chat.contentSpans[0] == 14..<18)
  }

  @Test func aSystemMessageMayComeLate() throws {
    let template = """
      {%- for m in messages[1:] %}
        {{- '[' + (messages[0].content + '/' if loop.last else '') + m.content + ']' }}
      {%- endfor %}
      """
    let chat = try ChatTemplate(text: template).render(messages)
    #expect(try spans(template) == messages.map { String(decoding: $0.contentBytes, as: UTF8.self) })
    #expect(chat.contentSpans[0].lowerBound > chat.contentSpans[2].upperBound)
    #expect(chat.contentSpans[0].upperBound + 1 == chat.contentSpans[3].lowerBound)
  }

  @Test func transformedContentKeepsItsPlace() throws {
    let template = """
      {%- for m in messages %}
        {%- set text %}{{ m.content | upper | replace('E', 'ee') }}{% endset %}
        {{- {'role': m.role, 'text': text} | tojson ~ [m.content] }}
      {%- endfor %}
      """
    #expect(try spans(template) == ["USeeR", "  ASSISTANT  ", #"<THINK>\nHM\n</THINK>\n\nYeeS"#, "YeeS"])
    let macro = """
      {%- macro turn(m) %}<{{ m.content | title }}>{% endmacro %}
      {%- filter upper %}{% for m in messages %}{{ turn(m) }}{% endfor %}{% endfilter %}
      """
    #expect(try spans(macro).last == "YES")
  }

  @Test func whatLostItsOriginIsSearchedForElseEmpty() throws {
    let numbers = [ChatMessage(role: "user", content: "7"), ChatMessage(role: "user", content: " 7")]
    let template = "{% for m in messages %}<{{ m.content | int }}>{% endfor %}"
    let chat = try ChatTemplate(text: template).render(numbers)
    #expect(chat.contentSpans == [1..<2, 4..<5])
    let dropped = try ChatTemplate(text: "{{ messages[1].content }}!").render(messages)
    #expect(dropped.contentSpans.count == 4)
    #expect(dropped.contentSpans[0].isEmpty && dropped.contentSpans[2].isEmpty && dropped.contentSpans[3].isEmpty)
    #expect(dropped.contentSpans[1] == 0..<13)
  }

  @Test func partsOfAContentAreOneSpan() throws {
    let parts = ChatMessage(
      role: "user",
      body: .parts([
        .object(["type": .string("text"), "text": .string(" a ")]), .object(["type": .string("image")]),
        .object(["type": .string("text"), "text": .string("b")]),
      ]))
    let template = """
      {%- for m in messages %}[
        {%- for part in m.content %}
          {{- '<image>' if part.type == 'image' else part.text | trim }}
        {%- endfor %}]
      {%- endfor %}
      """
    #expect(try spans(template, [parts]) == ["a<image>b"])
    #expect(parts.contentBytes == Array(" a b".utf8))
  }
}
