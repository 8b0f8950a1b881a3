extension HelpIndex {
  /// The reference page as Markdown, from the same rows as the help.
  public var markdown: String {
    var lines = ["# Reference", "", "Made from the registration rows by `acthost`; edit the rows, not this page.", ""]
    for module in modules {
      lines += ["## \(module.name)", "", module.summary, ""]
      for topic in module.topics { lines += ["### \(topic.name)", "", topic.text, ""] }
      for row in module.functions + module.globals { lines += section(of: row) }
      for type in module.types { lines += section(of: type.luaType) }
    }
    return lines.joined(separator: "\n")
  }

  private func section(of row: Function) -> [String] {
    var lines = ["### `\(row.signature)`", "", row.summary + " Returns \(row.results).", ""]
    if !row.options.isEmpty {
      lines += ["| option | type | default | |", "|---|---|---|---|"]
      lines += row.options.map { option in
        let choices = option.choices.isEmpty ? "" : " One of " + option.choices.joined(separator: ", ") + "."
        return
          "| `\(option.name)` | \(option.type) | \(cell(option.fallback.text)) | \(cell(option.summary + choices)) |"
      }
      lines.append("")
    }
    return lines + ["```lua", row.example, "```", ""]
  }

  private func section(of type: ObjectType) -> [String] {
    var lines = ["### \(type.name) objects", "", type.summary, ""]
    if !type.fields.isEmpty {
      lines += ["| field | type | |", "|---|---|---|"]
      lines += type.fields.map { "| `.\($0.name)` | \($0.type) | \(cell($0.summary)) |" }
      lines.append("")
    }
    return lines + (type.methods + type.operators).flatMap(section)
  }

  private func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
