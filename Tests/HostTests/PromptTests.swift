import Engine
import Foundation
import Testing

@testable import Host

/// The prompt as a person sees it, through a real pseudo-terminal.
@Suite struct PromptTests {
  let home: TemporaryFolder

  init() throws { home = try TemporaryFolder() }

  private func start(_ arguments: [String] = [], environment: [String: String] = [:]) throws -> PseudoTerminal {
    let terminal = try PseudoTerminal(arguments, home: home, environment: environment)
    try terminal.expect("\n> ")
    return terminal
  }

  @Test func resultsAreShownWithoutPrint() throws {
    let terminal = try start()
    try terminal.enter("1 + 1", expecting: "\n2\n")
    try terminal.enter("_ * 21", expecting: "\n42\n")
    try terminal.enter("'a', nil, true", expecting: "\na\tnil\ttrue\n")
    #expect(try !terminal.enter("x = 6 * 7").contains("42"))
    #expect(try !terminal.enter("x + 1;").contains("43"))
    try terminal.enter("_", expecting: "\n43\n")
    try terminal.enter("print(x)", expecting: "\n42\n")
    #expect(try terminal.enter("nil").contains("\nnil\n"))
  }

  @Test func anUnfinishedStatementContinues() throws {
    let terminal = try start()
    terminal.send("for i = 1, 2 do\r")
    try terminal.expect("\n.. ")
    terminal.send("print('line', i)\r")
    try terminal.expect("\n.. ")
    terminal.send("end\r")
    try terminal.expect("line\t1\nline\t2\n> ")
    terminal.send("(1 +\r")
    try terminal.expect("\n.. ")
    terminal.send("2) * 5\r")
    try terminal.expect("\n15\n> ")
    terminal.send("if true then\r")
    try terminal.expect("\n.. ")
    terminal.send("\r")
    try terminal.expect("'end' expected")
    try terminal.expect("\n> ")
  }

  @Test func aPasteOfSeveralLinesIsOneEntry() throws {
    let terminal = try start()
    terminal.send("\u{1b}[200~function twice(x)\r\r  return 2 * x\rend\rtwice(21)\r\u{1b}[201~")
    terminal.send("\r")
    try terminal.expect("\n42\n> ")
    terminal.send("\u{1b}[200~local a = 5\rlocal b = 6\ra * b\u{1b}[201~\r")
    try terminal.expect("\n30\n")
    try terminal.expect("\n> ")
  }

  @Test func linesThatArriveAtOnceRunInOrder() throws {
    let terminal = try start()
    terminal.send("a = 1\rfor i = 1, 3 do\r\r  a = a * 2\rend\ra\r")
    try terminal.expect("\n8\n> ")
  }

  @Test func promptsInAPasteAreTakenOff() throws {
    let terminal = try start()
    terminal.send("\u{1b}[200~> x = 20\r> x + 1\r21\r> for i = 1, 1 do\r.. print('i', i)\r.. end\ri\t1\u{1b}[201~\r")
    try terminal.expect("\n21\ni\t1\n> ")
  }

  @Test func historyLastsAcrossSessionsAndIsPrivate() throws {
    let first = try start()
    try first.enter("marker = 'first session'")
    first.send("\u{1b}[200~for i = 1, 2 do\r  print('again', i)\rend\u{1b}[201~\r")
    try first.expect("again\t2\n> ")
    first.send("\u{4}")
    #expect(try first.exitCode() == 0)
    let file = home.path + "/state/acthost/history"
    let attributes = try FileManager.default.attributesOfItem(atPath: file)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    let second = try start()
    second.send("\u{1b}[A\r")  // Up: the last entry, all its lines
    try second.expect("again\t1\nagain\t2\n> ")
    second.send("mark\u{1b}[A\r")  // Up after a beginning: the last entry that begins so
    try second.expect("\n> ")
    try second.enter("marker", expecting: "\nfirst session\n")
    second.send("\u{12}first ses\r\r")  // Ctrl-R
    try second.expect("marker = 'first session'")
    second.send("\r")
    try second.expect("\n> ")
  }

  @Test func anErrorHasItsPositionAndThePromptGoesOn() throws {
    let terminal = try start()
    try terminal.enter("error('broken')", expecting: "prompt:1: broken")
    try terminal.enter("x = = 1", expecting: "prompt:1:")
    try terminal.enter("nothing.field", expecting: "attempt to index a nil value (global 'nothing')")
    try terminal.enter("error({ code = 7 })", expecting: "code = 7")
    try terminal.enter("setmetatable({}, { __tostring = function() error('inner') end })", expecting: "inner")
    try terminal.enter("1 + 1", expecting: "\n2\n")
  }

  @Test func questionMarkAndHelpExplain() throws {
    let terminal = try start()
    try terminal.enter("?print", expecting: "Writes its arguments")
    try terminal.enter("print?", expecting: "Writes its arguments")
    try terminal.enter("help \"tabs\"", expecting: "print")
    try terminal.enter("?", expecting: "print")
    try terminal.enter("?prnt", expecting: "print")
  }

  @Test func tabCompletesNames() throws {
    let terminal = try start()
    try terminal.enter("wonderful = { one = 1, other = 2 }")
    terminal.send("wonder\t.on\t + 41\r")
    try terminal.expect("\n42\n> ")
    try terminal.enter("t = tensor.zeros(2, 3)")
    terminal.send("t:resh\t(3, 2):shape()[1]\r")  // methods
    try terminal.expect("\n3\n> ")
    terminal.send("plot.bar{ tit\t'drawn', labels = { 'a' }, values = { 1 } }\r")  // option keys
    try terminal.expect("\ndrawn\n")
    try terminal.expect("\n> ")
    try home.write("one\ntwo\n", to: "unmistakable.txt")
    terminal.send("#data.lines('\(home.path)/unmis\t')\r")  // file names
    try terminal.expect("\n2\n> ")
    terminal.send("wonderful.o\t")
    try terminal.expect("other")
    terminal.send("ther\r")
    try terminal.expect("\n2\n> ")
  }

  @Test func controlCClearsTheLineAndTheContinuation() throws {
    let terminal = try start()
    terminal.send("error('never runs'")
    try terminal.expect("never runs")
    terminal.send("\u{3}")
    try terminal.expect("^C\n> ")
    terminal.send("for i = 1, 2 do\r")
    try terminal.expect("\n.. ")
    terminal.send("\u{3}")
    try terminal.expect("^C\n> ")
    try terminal.enter("1 + 1", expecting: "\n2\n")
  }

  @Test(arguments: [
    "while true do end",
    "coroutine.wrap(function() while true do end end)()",
    "pcall(function() while true do end end)",
    "while true do pcall(function() print('inside') while true do end end) print('again') end",
  ])
  func controlCStops(_ loop: String) throws {
    let terminal = try start()
    try terminal.enter("value = 'kept'")
    terminal.send("print('running') \(loop) print('after')\r")
    try terminal.expect(loop.contains("inside") ? "\nrunning\ninside\n" : "\nrunning\n")
    terminal.send("\u{3}")
    if loop.contains("again") {  // the first was swallowed
      try terminal.expect("again\n")
      terminal.send("\u{3}")
    }
    if loop.hasPrefix("pcall") { try terminal.expect("after") } else { try terminal.expect("interrupted") }
    try terminal.expect("\n> ")
    try terminal.enter("value", expecting: "\nkept\n")
  }

  @Test func controlDLeaves() throws {
    let terminal = try start()
    try terminal.enter("x = 1")
    terminal.send("\u{4}")
    #expect(try terminal.exitCode() == 0)
  }

  @Test func osExitLeavesWithItsCode() throws {
    let terminal = try start()
    terminal.send("os.exit(3)\r")
    #expect(try terminal.exitCode() == 3)
  }

  @Test func aLocalAtTheTopIsPointedOut() throws {
    let terminal = try start()
    try terminal.enter("local kept = 1", expecting: "leave out 'local'")
    #expect(try !terminal.enter("do local inner = 1 end").contains("leave out"))
  }

  @Test func slowEntriesShowTheirTime() throws {
    let terminal = try start()
    try terminal.enter("local t = os.clock() while os.clock() - t < 1.8 do end", expecting: " s)")
    #expect(try !terminal.enter("1").contains(" s)"))
  }

  @Test func colourFollowsNoColor() throws {
    let coloured = try start()
    try coloured.enter("error('x')")
    #expect(String(decoding: coloured.raw, as: UTF8.self).contains("\u{1b}[1;36m>"))
    let plain = try start(environment: ["NO_COLOR": "1"])
    try plain.enter("error('x')")
    #expect(!String(decoding: plain.raw, as: UTF8.self).contains("\u{1b}[1;36m"))
    #expect(!String(decoding: plain.raw, as: UTF8.self).contains("\u{1b}[31m"))
  }

  @Test func textBeyondASCIIIsEditedByCharacter() throws {
    let terminal = try start()
    try terminal.enter("'naïve – 漢字'", expecting: "\nnaïve – 漢字\n")
    terminal.send("'éü\u{7f}x'\r")
    try terminal.expect("\néx\n> ")
  }

  @Test func progressHasABarOnATerminalOnly() throws {
    let work =
      "for i in progress({ 1, 2, 3, 4 }, 'layers') do local t = os.clock() while os.clock() - t < 0.15 do end end"
    let terminal = try start()
    try terminal.enter(work, expecting: "layers ━━━━━━")
    #expect(terminal.text.contains("4/4"))
    #expect(try Program.run(["-e", work]).errors == "")
  }

  @Test func aMissingModelIsOfferedAtATerminal() throws {
    let terminal = try start()
    terminal.send("model.load('gemma-3-270m')\r")
    try terminal.expect("Pull it now (253.1 MB, Gemma Terms of Use)? [Y/n] ")
    terminal.send("n\r")
    try terminal.expect("acthost pull gemma-3-270m")
    try terminal.expect("\n> ")
  }

  @Test(
    .enabled(
      if: fileSize(ModelStore().path(of: "smollm2-135m-instruct")) != nil, "smollm2-135m-instruct is not in the store"))
  func controlCStopsARunningGenerationAndKeepsItsText() throws {
    let terminal = try start(environment: ["ACTHOST_HOME": ModelStore().home])
    terminal.send("m = model.load('smollm2-135m-instruct')\r")
    try terminal.expect("\n> ", within: 60)
    terminal.send(
      "c = m:generate{ prompt = 'Once', max_tokens = 8000, ignore_eos = true, on_token = function(s) print('tok') end }\r"
    )
    try terminal.expect("\ntok\n", within: 60)
    terminal.send("\u{3}")
    try terminal.expect("interrupted")
    try terminal.expect("\n> ")
    try terminal.enter("c.finish, #c.tokens > 0", expecting: "\ninterrupted\ttrue\n")
  }

  @Test func interactiveAfterAScriptKeepsItsGlobals() throws {
    let script = try home.write("left = 7", to: "script.lua")
    let terminal = try start(["-i", script])
    try terminal.enter("left", expecting: "\n7\n")
  }
}

@Suite struct EntryTests {
  @Test func localsThatAreLostAreNamed() {
    #expect(Entry.lostLocals("local x, y <const> = 1, 2") == ["x", "y"])
    #expect(Entry.lostLocals("local function f(a) end") == ["f"])
    #expect(Entry.lostLocals("do local x = 1 end").isEmpty)
    #expect(Entry.lostLocals("for i = 1, 2 do\n  local x = i\nend").isEmpty)
  }

  @Test func namesAreListedInColumns() {
    #expect(LineEditor.columns(["a", "b", "c", "d", "e"], width: 9) == "a  c  e\nb  d\n")
    #expect(LineEditor.columns([], width: 80) == "")
    #expect(LineEditor.columns((0..<300).map { "n\($0)" }, width: 80).hasSuffix("(100 more)\n"))
  }
}
