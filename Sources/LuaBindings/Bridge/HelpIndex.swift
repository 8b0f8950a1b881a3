import Engine
import Foundation

/// Everything the registration rows say, by name: the text behind `?name`, `help "word"` and the reference page.
public final class HelpIndex {
  /// A name with its page.
  struct Entry {
    let name: String
    let summary: String
    let page: String
  }

  let modules: [Module]
  private(set) var entries: [Entry] = []

  init(modules: [Module]) {
    self.modules = modules
    for module in modules {
      if !module.functions.isEmpty { entries.append(page(of: module)) }
      for row in module.functions { entries.append(page(of: row, named: "\(module.name).\(row.name)")) }
      for row in module.globals { entries.append(page(of: row, named: row.name)) }
      for type in module.types { append(type.luaType) }
      for topic in module.topics {
        entries.append(Entry(name: topic.name, summary: firstSentence(topic.text), page: topic.text))
      }
    }
  }

  private func append(_ type: ObjectType) {
    entries.append(page(of: type))
    for field in type.fields {
      let name = "\(type.name).\(field.name)"
      entries.append(Entry(name: name, summary: field.summary, page: "\(name): \(field.type)\n\(field.summary)"))
    }
    for row in type.methods { entries.append(page(of: row, named: "\(type.name):\(row.name)")) }
    for row in type.operators { entries.append(page(of: row, named: "\(type.name) \(row.signature)")) }
  }

  // MARK: Look-up

  /// The page of `name`: `tensor`, `tensor.zeros`, `tensor:topk`, or a last part that is unambiguous enough
  /// (`topk`, `:topk`, `t.topk`): then every page that ends so.
  public func text(for name: String) -> String? {
    let name = name.trimmingCharacters(in: .whitespaces)
    let exact = entries.filter { $0.name == name }
    if !exact.isEmpty { return exact.map(\.page).joined(separator: "\n\n") }
    let last = lastPart(name)
    guard !last.isEmpty else { return nil }
    let ending = entries.filter { $0.name.hasSuffix(".\(last)") || $0.name.hasSuffix(":\(last)") || $0.name == last }
    var pages: [String] = []  // a method of two types has one page
    for entry in ending where !pages.contains(entry.page) { pages.append(entry.page) }
    return pages.isEmpty ? nil : pages.joined(separator: "\n\n")
  }

  /// The page of a row found in some other way.
  func text(for row: Function) -> String { page(of: row, named: row.name).page }

  /// Names whose page contains `word`, each with its first sentence, best first; or the nearest names.
  public func search(_ word: String) -> String {
    let needle = word.lowercased()
    let byName = entries.filter { $0.name.lowercased().contains(needle) }
    let byText = entries.filter { !$0.name.lowercased().contains(needle) && $0.page.lowercased().contains(needle) }
    let found = byName + byText
    guard !found.isEmpty else {
      return "nothing about '\(word)'\(suggestion(for: word, in: entries.flatMap { [$0.name, lastPart($0.name)] }))"
    }
    let width = min(32, found.map(\.name.count).max() ?? 0)
    return found.prefix(40).map { entry in
      entry.name + String(repeating: " ", count: max(1, width - entry.name.count + 2)) + firstSentence(entry.summary)
    }.joined(separator: "\n")
  }

  /// What is there: one line for each module and global function.
  public var overview: String {
    var lines = ["?name explains a function, help \"word\" searches, TAB completes.", ""]
    for module in modules {
      let names = (module.functions.map { "\(module.name).\($0.name)" } + module.globals.map(\.name))
      guard !names.isEmpty else { continue }
      lines.append("\(module.name): \(firstSentence(module.summary))")
      lines.append("  " + names.joined(separator: "  "))
    }
    return lines.joined(separator: "\n")
  }
}

/// `zeros` of `tensor.zeros`.
private func lastPart(_ name: String) -> String { String(name.split(whereSeparator: { ".:".contains($0) }).last ?? "") }

func firstSentence(_ text: String) -> String {
  let line = text.split(separator: "\n", maxSplits: 1).first.map(String.init) ?? ""
  guard let end = line.range(of: ". ") else { return line }
  return String(line[..<end.lowerBound]) + "."
}

// MARK: Pages

private func page(of module: Module) -> HelpIndex.Entry {
  var lines = ["\(module.name): \(module.summary)", ""]
  for row in module.functions { lines.append("  \(row.signature)\n      \(firstSentence(row.summary))") }
  for type in module.types {
    lines.append("  \(type.luaType.name) objects: " + type.luaType.members.joined(separator: " "))
  }
  return HelpIndex.Entry(name: module.name, summary: module.summary, page: lines.joined(separator: "\n"))
}

private func page(of type: ObjectType) -> HelpIndex.Entry {
  var lines = ["\(type.name): \(type.summary)"]
  if !type.fields.isEmpty {
    lines.append("\nFields")
    lines += type.fields.map { "  .\($0.name): \($0.type)  \(firstSentence($0.summary))" }
  }
  if !type.methods.isEmpty {
    lines.append("\nMethods")
    lines += type.methods.map { "  \($0.signature)\n      \(firstSentence($0.summary))" }
  }
  if !type.operators.isEmpty {
    lines.append("\nOperators")
    lines += type.operators.map { "  \($0.signature)  \(firstSentence($0.summary))" }
  }
  return HelpIndex.Entry(name: type.name, summary: type.summary, page: lines.joined(separator: "\n"))
}

private func page(of row: Function, named name: String) -> HelpIndex.Entry {
  var lines = [row.signature, row.summary]
  if !row.options.isEmpty {
    lines.append("\nOptions")
    let width = row.options.map(\.name.count).max() ?? 0
    for option in row.options {
      let space = String(repeating: " ", count: width - option.name.count)
      var line = "  \(option.name)\(space)  \(option.type)"
      if option.fallback == .required { line += ", required" }
      if option.fallback != .none, option.fallback != .required { line += ", default \(option.fallback.text)" }
      line += ". \(option.summary)"
      if !option.choices.isEmpty, option.choices.count <= 20 {
        line += " One of: \(option.choices.joined(separator: ", "))."
      }
      lines.append(line)
    }
  }
  lines.append("\nReturns \(row.results).")
  lines.append("\nExample")
  lines += row.example.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }
  return HelpIndex.Entry(name: name, summary: row.summary, page: lines.joined(separator: "\n"))
}
