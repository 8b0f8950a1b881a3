import Testing

@testable import Host

@Suite struct LuaArgumentsTests {
  private func parse(_ words: String...) throws -> LuaArguments { try LuaArguments(["acthost"] + words) }

  @Test func optionsKeepTheirOrder() throws {
    let parsed = try parse("-e", "x=1", "-lm=mod", "-ey=2", "-i", "script.lua", "-e", "arg")
    #expect(parsed.actions == [.execute("x=1"), .require(module: "mod", global: "m"), .execute("y=2")])
    #expect(parsed.isInteractive && parsed.script == .file("script.lua"))
    #expect(parsed.scriptArguments == ["-e", "arg"] && parsed.scriptIndex == 6)
  }

  @Test func dashIsStandardInputAndTwoDashesEndOptions() throws {
    #expect(try parse("-", "a").script == .standardInput)
    #expect(try parse("-", "a").scriptArguments == ["a"])
    #expect(try parse("--", "-x.lua").script == .file("-x.lua"))
    #expect(try parse("--").script == nil)
    #expect(try parse().scriptArguments.isEmpty)
  }

  @Test func whatIsNotUnderstoodIsAnError() {
    #expect(throws: UsageError.self) { try parse("-x") }
    #expect(throws: UsageError.self) { try parse("-e") }
    #expect(throws: UsageError.self) { try parse("-e", "-i") }
    #expect(throws: UsageError.self) { try parse("-ix") }
    #expect(throws: UsageError.self) { try parse("--wrong") }
  }
}
