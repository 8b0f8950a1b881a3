import Engine

/// Chat templates by themselves, without a model.
let renderTemplateRow = Function(
  "render_template", "model.render_template{ template =, messages =, generation_prompt =, bos_token =, eos_token = }",
  "What a chat template in Jinja prints for a conversation, as Hugging Face transformers would; no model is needed.",
  options: [
    Option("template", "string", .required, "the text of a template, or a built-in one's name"),
    Option("messages", "text or list of { role =, content = }", .required, "the conversation"),
    Option("bos_token", "string", .none, "what the template prints as bos_token"),
    Option("eos_token", "string", .none, "what the template prints as eos_token"),
  ] + SharedOptions.chatVariables,
  results: "string",
  example: """
    local template = "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}\\n{% endfor %}"
    print(model.render_template{ template = template, messages = { { role = "user", content = " Hi " } } })
    """
) { call in
  let options = try call.options()
  let reader = try options.required("messages")
  let messages = reader.isTable ? try reader.list { try $0.message() } : try reader.messages()
  let template = ChatTemplate(
    text: try options.string("template"), bos: try options.optional("bos_token")?.string(),
    eos: try options.optional("eos_token")?.string())
  try reader.checkKeys(of: messages, in: template)
  let chat = try template.render(
    messages, generationPrompt: try options.boolean("generation_prompt"), variables: try options.chatVariables())
  return call.push(LuaBytes(chat.text))
}
