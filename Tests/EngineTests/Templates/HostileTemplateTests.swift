import Foundation
import Testing

@testable import Engine

/// Templates come with downloaded models: whatever they do ends in an error, soon and without a crash.
struct HostileTemplateTests {
  private func render(_ template: String, limits: TemplateLimits = TemplateLimits()) throws -> String {
    var variables = TemplateMapping()
    variables.set("text", .text("aé\u{1F600}"))
    let run = TemplateRun(variables: variables, date: TemplateDate("2024-07-26"), limits: limits)
    return try run.render(TemplateProgram(template)).string
  }

  /// A tenth of the usual limits, so that the tests are quick.
  private var small: TemplateLimits {
    var limits = TemplateLimits()
    limits.steps /= 10
    limits.textBytes /= 10
    limits.outputBytes /= 10
    limits.allocatedBytes /= 10
    return limits
  }

  private static let grow =
    "{% set ns = namespace(x=START) %}{% for i in range(500) %}{% set ns.x = NEXT %}{% endfor %}"

  private static func growing(_ start: String, _ next: String, then: String = "") -> String {
    grow.replacingOccurrences(of: "START", with: start).replacingOccurrences(of: "NEXT", with: next) + then
  }

  static let unbounded = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
    "{{ range(1000000000000) }}", "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ 'a' * 1000000000000 }}",
    "{{ [1] * 1000000000000 }}", growing("'aa'", "ns.x + ns.x"), growing("[1]", "ns.x + ns.x"),
    growing("[1]", "[ns.x, ns.x]", then: "{{ ns.x }}"), growing("[1]", "[ns.x]"), growing("{}", "{'a': ns.x}"),
    growing("'a'", "[ns.x].copy"), "{% set ns = namespace() %}{% set ns.x = [ns, ns] %}{{ ns }}",
    "{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
    "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      + "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% macro f(x) %}{{ f(f(x)) }}{% endmacro %}{{ f(1) }}",
    "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
    "{{ 9223372036854775807 + 1 }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ 10 ** 10 ** 10 }}",
    "{{ (-9223372036854775807 - 1) | abs }}", "{{ 1e300 | int }}", "{{ 99999999999999999999 }}",
    "{{ 'a'.center(9223372036854775807) }}", "{{ 'a'.ljust(4611686018427387904, 'é') }}",
    "{{ 'a\nb' | indent(9223372036854775807) }}", "{{ [1] | tojson(indent=9223372036854775807) }}",
    "{{ '%999999999999999999999d' % 1 }}", "{{ '{:999999999999}'.format(1) }}",
    "{{ '%*d' % (-9223372036854775807 - 1, 1) }}",
    "{{ [1] | batch(9223372036854775807, 0) | list }}", "{{ [1] | slice(9223372036854775807) | list }}",
    "{{ ('a' * 1000000).replace('', 'b' * 1000) }}", "{{ ('b' * 1000000).join('a' * 1000) }}",
    "{% for n in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% for n in range(1000) recursive %}{{ loop(range(1000)) }}{% endfor %}",
    "{% block a %}{{ self.a() }}{% endblock %}", "{% block a %}{{ self.a() ~ self.a() }}{% endblock %}",
    "{% set x = cycler('a' * 100000) %}{% for i in range(100000) %}{{ x.next() }}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100) %}{% set c = cycler(range(100) | list) %}{{ c.items }}"
      + "{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% set j = joiner('a' * 1000000) %}{{ j() }}{{ j() }}{% endfor %}",
    "{% for i in range(10000) %}{{ ('a ' * 500000) | wordwrap(1) }}{% endfor %}",
    "{% for i in range(10000) %}{{ ('-a' * 500000) | wordwrap(3) }}{% endfor %}",
    "{{ ('a ' * 500000) | wordwrap(1, wrapstring='b' * 1000) }}",
    "{% for i in range(10000) %}{{ ('a ' * 500000) | pprint }}{% endfor %}",
    "{% set ns = namespace(x=[1, 2]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | pprint }}",
    "{% for i in range(10000) %}{{ ('<a>' * 300000) | striptags }}{{ ('é' * 500000) | urlencode }}{% endfor %}",
    "{% for i in range(10000) %}{{ range(100000) | groupby('x', default=1) }}{% endfor %}",
    "{% for i in range(10000) %}{{ {'a': 'b' * 1000000} | xmlattr }}{% endfor %}",
    "{{ '\t'.expandtabs(9223372036854775807) }}", "{{ '{' * 100000 }}{{ ('{' * 100001).format(1) }}",
    "{% set x = 'A' * 1000000 %}{% for i in range(100000) %}{{ x is upper }}{% endfor %}",
    "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x.find('b') }}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100) %}{% macro m() %}{% endmacro %}{% endfor %}{% endfor %}",
  ]

  @Test(arguments: unbounded) func whatHasNoBoundEndsInAnError(template: String) throws {
    let error = #expect(throws: EngineError.self) { try render(template, limits: small) }
    #expect(error?.kind == .template)
  }

  @Test func deepSourceIsRefused() {
    let many = 20_000
    func times(_ text: String) -> String { String(repeating: text, count: many) }
    let sources = [
      "{{ \(times("("))1\(times(")")) }}", "{{ \(times("["))\(times("]")) }}", "{{ \(times("-"))1 }}",
      "{{ \(times("not "))1 }}", "{{ 1\(times("+1")) }}", "{{ a\(times(".b")) }}", "{{ 'a'\(times("|upper")) }}",
      "{{ a\(times("[0"))\(times("]")) }}", "{{ \(times("1 if 0 else "))2 }}", times("{% if 1 %}"),
      "{% set \(times("("))a\(times(")")) = 1 %}", times("{{ "), "{% raw %}\(times("{% "))", "{#\(times("#"))",
    ]
    for source in sources { #expect(throws: EngineError.self) { try TemplateProgram(source) } }
  }

  /// Recursion ends within the stack that threads other than the first have on some systems.
  @Test func recursionNeedsLittleStack() throws {
    final class Outcome: @unchecked Sendable { var message = "" }
    let outcome = Outcome()
    let thread = Thread {
      do {
        _ = try render(
          "{% macro f(x) %}{% for i in [1] %}{{ [{'a': (f(x) ~ 'a') | upper}] }}{% endfor %}{% endmacro %}{{ f(1) }}")
      } catch { outcome.message = "\(error)" }
    }
    thread.stackSize = 2 << 20
    thread.start()
    while !thread.isFinished { usleep(1000) }
    #expect(outcome.message.contains("calls itself too deeply"))
  }

  @Test func extremeBoundsOfSlicesAreNoBounds() throws {
    let least = "-9223372036854775807 - 1"
    let most = "9223372036854775807"
    #expect(try render("{{ 'abc'[\(most):-\(most):-\(most)] }}") == "c")
    #expect(try render("{{ 'abc'[::\(least)] }}") == "c")
    #expect(try render("{{ [1, 2][\(least):\(most)] }}{{ 'abc'[\(least)] }}") == "[1, 2]")
    #expect(try render("{{ 'a'.zfill(\(least)) }}{{ text[1] }}{{ text[::-1] }}") == "aé\u{1F600}éa")
  }

  /// Random bytes and shuffled pieces of templates are read or refused.
  @Test func damagedTemplatesNeverTrap() {
    let pieces = [
      "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "if", "for", " x ", "in", "endif", "endfor", "set", "=", "(", ")",
      "[",
      "]", "{", "}", "'", "\"", "\\", "|", "is", "not", "upper", ".", ",", ":", "1", "1e5", "0x", "~", "\n", " ", "é",
      "raw",
      "endraw",
      "macro", "m", "endmacro", "else", "**", "namespace", "loop", "_", "\\u12", "range(9)", "text",
    ]
    var random = SeededBytes(state: 7)
    for _ in 0..<4000 {
      let source = (0..<Int.random(in: 1...30, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
      _ = try? render(source.joined(), limits: small)
      _ = try? render("{{ " + source.joined(separator: " ") + " }}", limits: small)
    }
  }
}
