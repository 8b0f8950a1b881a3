import Engine
import Foundation
import Testing

@testable import Host

/// What the README shows is true.
@Suite(
  .enabled(
    if: fileSize(ModelStore().path(of: "smollm2-135m-instruct")) != nil, "smollm2-135m-instruct is not in the store"))
struct ReadmeTests {
  /// The lines between the line that begins with `start` and the end of its code block.
  private func block(from start: String) throws -> [String] {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("README.md")
    let lines = try String(contentsOf: path, encoding: .utf8).components(separatedBy: "\n")
    let first = try #require(lines.firstIndex { $0.hasPrefix(start) })
    return Array(lines[(first + 1)...].prefix { $0 != "```" })
  }

  /// Digits and generated text depend on the machine's arithmetic in their last places; the rest is compared.
  @Test func theSessionGivesWhatItSays() throws {
    let session = try block(from: "$ scripts/run").drop { !$0.hasPrefix("> ") }
    let typed = session.filter { $0.hasPrefix("> ") }.map { $0.dropFirst(2) }.joined(separator: "\n") + "\n"
    let shown = session.filter { !$0.hasPrefix("> ") }
    let outcome = try Program.run(["-i"], input: typed)
    let lines = outcome.output.split(separator: "\n").map(String.init)
    #expect(lines.count == shown.count - 1)
    #expect(lines.prefix(3) == shown.prefix(3))
    #expect(lines.dropFirst(3).first?.hasSuffix("Paris") == true)
    #expect(outcome.errors.trimmingCharacters(in: .newlines) == shown.last)
  }

  @Test func theFirstScriptDrawsItsCurve() throws {
    let folder = try TemporaryFolder()
    let script = try folder.write(try block(from: "```lua").joined(separator: "\n"), to: "city.lua")
    let outcome = try Program.run([script])
    #expect(outcome.code == 0 && outcome.errors == "")
    #expect(outcome.output.hasPrefix("logit of Paris minus logit of Rome\n"))
    #expect(outcome.output.contains("layer that was patched"))
  }
}
