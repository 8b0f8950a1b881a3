import Foundation
import Testing

@testable import Engine

/// Templates as Jinja itself prints them, or refuses them: `Tests/Oracles/make_jinja.py` made the goldens.
struct JinjaGoldenTests {
  static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Oracles/jinja.json").path

  @Test func whatJinjaPrintsWePrint() throws {
    let goldens = try JSONValue(path: Self.path, limit: 1 << 20)
    guard case .mapping(let variables) = TemplateValue(try #require(goldens["variables"])) else { return }
    let rows = try #require(goldens["rows"]?.array)
    #expect(rows.count > 50)
    for row in rows {
      let parts = try #require(row.array), template = try #require(parts[0].string)
      func render() throws -> String {
        let run = TemplateRun(variables: variables, date: TemplateDate("2024-07-26"))
        return try run.render(TemplateProgram(template)).string
      }
      if let text = parts[1].string {
        do { #expect(try render() == text, "\(template)") } catch { Issue.record("\(template): \(error)") }
      } else {
        let error = #expect(throws: EngineError.self, "\(template)") { try render() }
        let message = error?.message ?? ""
        #expect(error?.kind == .template && message.hasSuffix(parts[2].string ?? "?"), "\(template): \(message)")
      }
    }
  }

  @Test func everyFilterAndTestOfJinjaIsKnownOrRefusedByName() {
    let filters = [
      "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape",
      "filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items", "join", "last",
      "length", "list", "lower", "map", "max", "min", "pprint", "random", "reject", "rejectattr", "replace", "reverse",
      "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "tojson", "trim",
      "truncate", "unique", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr",
    ]
    for name in filters {
      #expect(TemplateRun.filters[name] != nil || TemplateRun.refusedFilters[name] != nil, "\(name)")
    }
    for (name, reason) in TemplateRun.refusedFilters {
      let error = #expect(throws: EngineError.self) {
        try TemplateRun(variables: TemplateMapping(), date: TemplateDate()).render(
          TemplateProgram("{{ [1] | \(name) }}"))
      }
      #expect(error?.message.contains(name) == true && error?.message.contains(reason) == true)
    }
    for template in [
      "{{ lipsum() }}", "{% autoescape true %}{% endautoescape %}", "{% block a required %}{% endblock %}",
    ] {
      #expect(throws: EngineError.self) {
        try TemplateRun(variables: TemplateMapping(), date: TemplateDate()).render(TemplateProgram(template))
      }
    }
  }
}
