import Foundation
import Testing

/// The command line without a terminal, as pipes and schedulers use it.
@Suite struct CommandLineTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func pipedInputIsAScriptWithoutPromptOrColour() throws {
    let outcome = try Program.run([], input: "x = 1\nprint(x + 1, ...)\nfor i = 1, 2 do\nprint(i)\nend\n")
    #expect(outcome.output == "2\n1\n2\n" && outcome.errors == "" && outcome.code == 0)
    #expect(try Program.run([], input: "1 + 1").code == 1)
  }

  @Test func argumentsAreThoseOfStockLua() throws {
    let script = try folder.write(
      """
      #!/usr/bin/env acthost
      print(arg[0]:match "[^/]*$", arg[1], arg[2], #arg, ...)
      print(arg[-1], x)
      """, to: "script.lua")
    let outcome = try Program.run(["-e", "x = 5", script, "one", "two words"])
    #expect(outcome.output == "script.lua\tone\ttwo words\t2\tone\ttwo words\nx = 5\t5\n")
    #expect(try Program.run(["-e", "print(1)", "-e", "print(2)"]).output == "1\n2\n")
    #expect(try Program.run(["-", "a"], input: "print(...)").output == "a\n")
    try folder.write("return { name = 'mine' }", to: "mine.lua")
    let required = try Program.run(
      ["-l", "m=mine", "-e", "print(m.name)"], environment: ["LUA_PATH": folder.path + "/?.lua"])
    #expect(required.output == "mine\n")
    #expect(try Program.run(["-e", "print(y)"], environment: ["LUA_INIT": "y = 3"]).output == "3\n")
    #expect(try Program.run(["-E", "-e", "print(y)"], environment: ["LUA_INIT": "y = 3"]).output == "nil\n")
  }

  @Test func exitCodesTellWhatHappened() throws {
    let script = try folder.write("local t = nil\nprint('before')\nprint(t.x)\n", to: "bad.lua")
    let failed = try Program.run([script])
    #expect(failed.code == 1 && failed.output == "before\n")
    #expect(
      failed.errors.contains("bad.lua:3: attempt to index a nil value") && failed.errors.contains("stack traceback"))
    #expect(try Program.run(["-e", "os.exit(7)"]).code == 7)
    #expect(try Program.run(["-e", "os.exit(true)"]).code == 0)
    #expect(try Program.run(["-e", "x ="]).code == 1)
    #expect(try Program.run([folder.path + "/none.lua"]).code == 1)
    #expect(try Program.run(["-q"]).code == 64)
    #expect(try Program.run(["--nonsense"]).code == 64)
    #expect(try Program.run(["-e"]).code == 64)
    #expect(try Program.run(["pull"]).code == 64)
    #expect(try Program.run(["pull", "smollm2-135m-instruct", "--what"]).code == 64)
    #expect(try Program.run(["pull", "nobody-knows"], environment: ["ACTHOST_HOME": folder.path]).code == 1)
  }

  /// Messages that nobody can receive are lost, and the code is that of the script.
  @Test func errorsThatCannotBeWrittenAreNoCrash() throws {
    for redirection in ["2>/dev/full", "2>&-", "2>/dev/null"] {
      #expect(try Program.shell("\"$ACTHOST\" -e 'error(1)' \(redirection)").code == 1, "\(redirection)")
      #expect(try Program.shell("\"$ACTHOST\" -e 'warn(\"@on\") warn(\"x\") print(2)' \(redirection)").output == "2\n")
      #expect(try Program.shell("\"$ACTHOST\" --nonsense \(redirection)").code == 64)
      #expect(try Program.shell("\"$ACTHOST\" pull nobody \(redirection)").code == 1)
    }
    let gone = "trap '' PIPE; (sleep 0.2; \"$ACTHOST\" -e 'error(1)'; echo $? >code) 2>&1 | true; sleep 1; cat code"
    #expect(try Program.shell(gone, folder: folder.path).output == "1\n")
    // A file opened later must not take the place of a closed stream.
    let written = try Program.shell(
      "\"$ACTHOST\" -e 'local f = io.open(\"f\", \"w\") warn(\"@on\") warn(\"lost\") f:write(\"kept\") f:close()' 2>&-; cat f",
      folder: folder.path)
    #expect(written.output == "kept")
  }

  @Test func lostOutputIsNoSuccess() throws {
    for line in ["-e 'print(1)'", "-e 'io.write(1)'", "models", "--help", "-v"] {
      let lost = try Program.shell("\"$ACTHOST\" \(line) >/dev/full")
      #expect(lost.code == 1 && lost.errors.contains("standard output could not be written"), "\(line): \(lost)")
      let closed = try Program.shell("\"$ACTHOST\" \(line) >&-")
      #expect(closed.code == 1, "\(line): \(closed)")
    }
    #expect(try Program.shell("\"$ACTHOST\" -e 'print(1) os.exit(7)' >/dev/full").code == 7)
    #expect(try Program.shell("\"$ACTHOST\" -e 'x = 1' >/dev/full").code == 0)
  }

  @Test func errorsOfSeveralPiecesSayInWhich() throws {
    #expect(try Program.run(["-e", "error('x')"]).errors.hasPrefix("acthost: (command line):1: x\n"))
    let second = try Program.run(["-e", "a = 1", "-e", "b = 1\nerror{ b }"])
    #expect(second.errors.hasPrefix("acthost: (command line, -e 2):2: { 1 }\n"), "\(second.errors)")
    #expect(try Program.run(["-e", "error('x', 0)"]).errors.hasPrefix("acthost: x\n"))
  }

  @Test func controlCharactersOfErrorsDoNotReachTheTerminal() throws {
    let failed = try Program.run(["-e", "error('a\\27[2Jb\\7\\nc')"])
    #expect(failed.errors.hasPrefix("acthost: (command line):1: a\\x1b[2Jb\\x07\nc\n"))
    #expect(try Program.run(["-e", "error({ t = '\\27c' })"]).errors.contains("{ t = \"\\27c\" }"))
    #expect(!(try Program.run(["-i"], input: "'\u{1b}[2J'\n")).output.contains("\u{1b}"))
    #expect(!(try Program.run(["a\u{1b}[2J.lua"])).errors.contains("\u{1b}"))
  }

  /// Paths of one character, which Foundation's path functions cannot be given.
  @Test func namesOfOneCharacterAreNames() throws {
    try folder.write("x", to: "t")
    for call in [
      "tokenizer.load('t')", "tokenizer.load('./t')", "model.load('t')", "model.inspect('t')", "tensor.load('t')",
      "tensor.save('q', { a = tensor.ones(1) })", "steer.load('t')", "mapper.load('t')", "data.lines('q')",
      "plot.line{ y = { 1 }, file = 'q' }", "dofile('q')", "model.load('q')",
    ] {
      let outcome = try Program.run(
        ["-e", "local ok, e = pcall(load([[\(call)]])) print(ok, type(e.message or e))"], folder: folder.path)
      #expect(outcome.code == 0 && outcome.output == "false\tstring\n", "\(call): \(outcome)")
    }
    let saved = try Program.run(
      [
        "-e",
        "local r = run.start('r') r:save('q', 'text') r:save('z', tensor.ones(1)) print(data.lines(r.folder .. '/q')[1])",
      ],
      folder: folder.path)
    #expect(saved.output == "text\n", "\(saved)")
  }

  @Test func controlCInAScriptEndsItWith130() throws {
    let script = try folder.write("print('running') while true do end", to: "loop.lua")
    let terminal = try PseudoTerminal([script], home: folder)
    try terminal.expect("running\n")
    terminal.send("\u{3}")
    #expect(try terminal.exitCode() == 130)
    #expect(terminal.text.contains("interrupted"))
  }

  @Test func versionAndHelpAreForPeople() throws {
    #expect(try Program.run(["--version"]).output.hasPrefix("acthost "))
    let help = try Program.run(["--help"]).output
    for word in ["-e CODE", "pull", "models", "script.lua"] { #expect(help.contains(word)) }
    #expect(try Program.run(["-v"]).output.contains("Lua 5.4"))
    let models = try Program.run(["models"], environment: ["ACTHOST_HOME": folder.path]).output
    #expect(models.contains("smollm2-135m-instruct") && models.contains("acthost pull gemma-3-270m"))
  }

  @Test func interactiveWithoutATerminalRunsLineByLine() throws {
    let outcome = try Program.run(["-i"], input: "1 + 1\nfor i = 1, 2 do\n\nprint('i', i)\nend\nerror('x')\n_ + 1\n")
    #expect(outcome.output == "2\ni\t1\ni\t2\n3\n")
    #expect(outcome.errors.contains("prompt:1: x") && outcome.code == 0)
  }

  @Test func aLineMayEndInAnExpressionAndExitLeaves() throws {
    let outcome = try Program.run(
      ["-i"], input: "x = 1; y = 2; x + y\nx = 5; 'a;b' .. x\nx = 6;\nexit\nprint('never')\n")
    #expect(outcome.output == "3\na;b5\n", "\(outcome.output)")
    #expect(outcome.code == 0)
    let named = try Program.run(["-i"], input: "exit = 3\nexit\nquit\nprint('never')\n")
    #expect(named.output == "3\n" && named.code == 0)
  }

  @Test func theFirstLineRunsSoon() throws {
    let clock = ContinuousClock()
    let times = try (0..<5).map { _ in try clock.measure { _ = try Program.run(["-e", "print(1)"]) } }
    let best = times.min()
    print("start to first Lua line and exit: \(best.map(String.init(describing:)) ?? "-")")
    // The goal is 50 ms for a release build on a quiet machine; this only catches a start that does needless work.
    #expect(try #require(best) < .milliseconds(400))
  }
}
