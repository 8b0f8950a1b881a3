import Testing

@testable import Engine

struct TemplateLanguageTests {
  private func variables() throws -> TemplateMapping {
    guard case .mapping(let mapping) = TemplateValue(try JSONValue(parsing: TemplateSamples.variables)) else {
      throw EngineError(.argument, "the samples' variables are no object")
    }
    return mapping
  }

  private func render(_ template: String) throws -> String {
    let run = TemplateRun(variables: try variables(), date: TemplateDate("2024-07-26"))
    return try run.render(TemplateProgram(template)).string
  }

  private func check(_ samples: [TemplateSample]) throws {
    for sample in samples { #expect(try render(sample.template) == sample.output, "\(sample.template)") }
  }

  @Test func whitespaceIsCutAsTheSettingsSay() throws { try check(TemplateSamples.whitespaceIsCutAsTheSettingsSay) }
  @Test func operatorsHavePythonsPrecedence() throws { try check(TemplateSamples.operatorsHavePythonsPrecedence) }
  @Test func slicesGoBothWays() throws { try check(TemplateSamples.slicesGoBothWays) }
  @Test func valuesPrintAsInPython() throws { try check(TemplateSamples.valuesPrintAsInPython) }
  @Test func filtersFollowJinja() throws { try check(TemplateSamples.filtersFollowJinja) }
  @Test func methodsFollowPython() throws { try check(TemplateSamples.methodsFollowPython) }
  @Test func loopsKnowWhereTheyAre() throws { try check(TemplateSamples.loopsKnowWhereTheyAre) }
  @Test func namesLiveInTheirBlocks() throws { try check(TemplateSamples.namesLiveInTheirBlocks) }

  @Test func errorsCarryJinjasWordsAndTheLine() throws {
    for sample in TemplateSamples.errors {
      let error = #expect(throws: EngineError.self, "\(sample.template)") { try render(sample.template) }
      #expect(error?.kind == .template)
      // What a template raises itself comes without a line.
      let isRaised = sample.template.contains("raise_exception")
      let line = sample.template.prefix { $0 == "a" || $0 == "\n" }.count { $0 == "\n" } + 1
      #expect(error?.message == (isRaised ? "" : "chat template, line \(line): ") + sample.output)
    }
  }

  @Test func whatCannotBeReadNamesTheConstructAndItsLine() throws {
    let cases = [
      ("a\n{% include 'x' %}", 2, "'include' blocks are not part of chat templates"), ("{% nope %}", 1, "'nope'"),
      ("\n\n{{ x", 3, "'}}' is missing"), ("{% if x %}\n", 1, "'endif' is missing"),
      ("{{ 'abc }}", 1, "string has no end"),
      ("{{ 1 2 }}", 1, "expected '}}', found 2"), ("{{ (1, 2 }}", 1, "unexpected '}', expected ')'"),
      ("{{ f(a=1, 2) }}", 1, "positional argument"), ("{% set 1 = 2 %}", 1, "expected a name, found 1"),
      ("{% break %}", 1, "'break' outside a loop"), ("{# x", 1, "'#}' is missing"), ("{{ $ }}", 1, "'$'"),
    ]
    for (template, line, words) in cases {
      let error = #expect(throws: EngineError.self, "\(template)") { try TemplateProgram(template) }
      #expect(error?.kind == .template)
      #expect(error?.message.hasPrefix("chat template, line \(line): ") == true, "\(error?.message ?? "")")
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
    let error = #expect(throws: EngineError.self) { try render("{{ s | uper }}") }
    #expect(error?.message.contains("No filter named 'uper' (did you mean upper") == true)
  }

  /// Digits of `repr` in Python.
  @Test func numbersPrintAsInPython() {
    let cases: [(Double, String)] = [
      (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (0.1, "0.1"), (1e15, "1000000000000000.0"), (1e16, "1e+16"),
      (123_456_789_012_345_680, "1.2345678901234568e+17"), (0.0001, "0.0001"), (0.00001234, "1.234e-05"),
      (1e100, "1e+100"), (.leastNonzeroMagnitude, "5e-324"), (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
      (.infinity, "inf"), (.nan, "nan"), (9_007_199_254_740_992, "9007199254740992.0"), (-2.5, "-2.5"), (100, "100.0"),
    ]
    for (value, text) in cases { #expect(pythonText(value) == text) }
  }

  @Test func datesFillTheirFormats() {
    let format = "%d %b %Y|%A %B %j|%y-%m-%e|%-d|%F|%%|%Q"
    let text = "05 Mar 2024|Tuesday March 065|24-03- 5|5|2024-03-05|%|%Q"
    for date in ["5 Mar 2024", "05 March 2024", "2024-03-05"] { #expect(TemplateDate(date).text(format) == text) }
    #expect(TemplateDate("some day").text(format) == "some day")
    #expect(TemplateDate("31 Feb 2024").text("%d") == "31 Feb 2024")
  }
}
