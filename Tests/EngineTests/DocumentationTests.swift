import Foundation
import Testing

@testable import Engine

/// What pages under `docs` list is what the code has.
struct DocumentationTests {
  private func page(_ name: String) throws -> String {
    try String(contentsOfFile: Files.root.appendingPathComponent("docs/\(name)").path, encoding: .utf8)
  }

  /// The first cells of a table whose header begins so.
  private func rows(_ page: String, _ header: String) throws -> [String] {
    let lines = page.components(separatedBy: "\n")
    let start = try #require(lines.firstIndex { $0.hasPrefix("| \(header) |") })
    return Array(lines[(start + 2)...].prefix { $0.hasPrefix("|") })
  }

  @Test func adapterSettingsAreThoseOfTheCode() throws {
    let page = try page("training.md")
    for (header, list) in [
      ("changes nothing", LoraSettings.harmless), ("refused where it is set", LoraSettings.refused),
    ] {
      #expect(try rows(page, header) == list.map { "| `\($0.key)` | \($0.reason) |" })
    }
    for key in LoraSettings.read + LoraSettings.starts { #expect(page.contains("`\(key)`"), "\(key)") }
  }

  @Test func tokenizerClassesAndFiltersAreThoseOfTheCode() throws {
    let page = try page("tokenizers-and-templates.md")
    let classes = TokenizerClass.known.map { kind -> String in
      let named = kind.tokens.sorted { $0.key < $1.key }.map {
        "`\($0.key)` `\($0.value.replacing("|", with: #"\|"#))`"
      }
      let tokens = named + kind.additional.map { "`\($0)`" }
      var marks = "`post_processor`"
      if case .settings(let bos, let eos) = kind.marks { marks = "`add_bos_token` (\(bos)), `add_eos_token` (\(eos))" }
      return "| `\(kind.name)` | \(tokens.joined(separator: ", ")) | \(marks) |"
    }
    #expect(try rows(page, "class").dropLast() == classes[...])
    let filters = TemplateRun.refusedFilters.sorted { $0.key < $1.key }.map { "| `\($0.key)` | \($0.value) |" }
    #expect(try rows(page, "filter") == filters)
  }
}
