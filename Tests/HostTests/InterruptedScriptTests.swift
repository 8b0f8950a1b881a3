import Engine
import Foundation
import Testing

@testable import Host

/// Ctrl-C as a process gets it, at several moments: nothing that follows a cut result runs, and nothing exits with 0.
@Suite(
  .serialized,
  .enabled(
    if: fileSize(ModelStore().path(of: "smollm2-135m-instruct")) != nil, "smollm2-135m-instruct is not in the store"))
struct InterruptedScriptTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a script after `log(...)` and `m` are made, and presses Ctrl-C once its log has `lines` lines, `delay`
  /// microseconds later. Returns the outcome and the log.
  private func interrupted(
    _ script: String, after lines: Int, delay: UInt32 = 0
  ) throws -> (code: Int32, log: [String], errors: String) {
    let path = folder.path + "/log-\(UUID().uuidString)"
    let head = """
      local file = io.open("\(path)", "w")
      local function log(...) file:write(table.concat({ ... }, " "), "\\n") file:flush() end
      local m = model.load("smollm2-135m-instruct")

      """
    let file = try folder.write(head + script, to: "script.lua")
    func read() -> [String] {
      ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }
    let outcome = try Program.run([file], environment: ["ACTHOST_HOME": ModelStore().home]) { pid in
      guard eventually(within: 60, { read().count >= lines }) else {
        kill(pid, SIGKILL)
        throw TestFailure("the script wrote only \(read())")
      }
      usleep(delay)
      kill(pid, SIGINT)
    }
    return (outcome.code, read(), outcome.errors)
  }

  @Test func aLoopOfGenerationsEndsAtOnce() throws {
    let script = """
      for i = 1, 300 do
        local c = m:generate{ prompt = "Once upon a time", max_tokens = 6, ignore_eos = true }
        log(c.finish, #c.tokens)
      end
      log("rate")
      """
    // In the first call, between calls, and at places inside later ones.
    for (lines, delay) in [(1, UInt32(0)), (2, 15_000), (3, 40_000), (4, 90_000)] {
      let (code, log, errors) = try interrupted(script, after: lines, delay: delay)
      #expect(code == 130 && errors.contains("interrupted"), "\(errors)")
      #expect(log.count < 300 && !log.contains("rate"))
      // At most the last one was cut, and it says so.
      #expect(log.dropLast().allSatisfy { $0 == "length 6" }, "\(log)")
      let last = try #require(log.last)
      #expect(last == "length 6" || last.hasPrefix("interrupted"), "\(last)")
    }
  }

  @Test func partialResultsAreKeptAndTheExitCodeTells() throws {
    let script = """
      local c = m:generate{ prompt = "Once", max_tokens = 4000, ignore_eos = true, on_token = function() log("token") end }
      log(c.finish, tostring(#c.tokens > 0))
      """
    for leave in ["", "os.exit(0)", "os.exit(true, true)"] {
      let (code, log, errors) = try interrupted(script + leave, after: 2, delay: 5000)
      #expect(log.last == "interrupted true")
      #expect(code == 130 && errors.contains("interrupted"), "\(leave): \(errors)")
    }
    #expect(try interrupted(script + "os.exit(7)", after: 2).code == 7)
  }

  @Test func groupsThatFollowInABatchDoNotRun() throws {
    let script = """
      local prompts = {}
      for i = 1, 150 do prompts[i] = "Number " .. i end
      local n = 0
      local cs = m:generate{ prompts = prompts, max_tokens = 4, ignore_eos = true,
        on_token = function(text, id, sequence) n = n + 1 if n < 20 then log("token") end end }
      local cut = 0
      for _, c in ipairs(cs) do if c.finish == "interrupted" then cut = cut + 1 end end
      log(#cs, tostring(cut > 85), cs[150].finish, #cs[150].tokens)
      """
    let (code, log, _) = try interrupted(script, after: 2)
    #expect(log.last == "150 true interrupted 0" && code == 130)
  }

  @Test func whatCatchesTheInterruptionStillEndsWith130() throws {
    let script = """
      local ok, e = pcall(function() while true do m:run{ prompt = "Hello" } log("run") end end)
      log(tostring(ok), e.kind)
      """
    let (code, log, _) = try interrupted(script, after: 2, delay: 3000)
    #expect(code == 130 && log.last == "false interrupted")
  }

  @Test func aHookFunctionThatIsInterruptedEndsTheGenerationWithWhatItHas() throws {
    let script = """
      local h = m:hook{ layer = 3, pos = "generated", fn = function(x) log("hook") local n = 0 for i = 1, 1e6 do n = n + i end end }
      local c = m:generate{ prompt = "Once", max_tokens = 400, ignore_eos = true }
      log(c.finish, tostring(#c.tokens > 0 and #c.tokens < 400))
      """
    let (code, log, errors) = try interrupted(script, after: 3, delay: 2000)
    #expect(code == 130 && log.last == "interrupted true", "\(errors)")
  }

  @Test func chunksAfterAnInterruptedOneDoNotRun() throws {
    let path = folder.path + "/log"
    let first = """
      file = io.open("\(path)", "w")
      c = model.load("smollm2-135m-instruct"):generate{ prompt = "Once", max_tokens = 4000, ignore_eos = true,
        on_token = function() file:write("token\\n") file:flush() end }
      """
    let outcome = try Program.run(
      ["-e", first, "-e", "print('second')"], environment: ["ACTHOST_HOME": ModelStore().home]
    ) { pid in
      _ = eventually(within: 60) { fileSize(path).map { $0 > 0 } ?? false }
      kill(pid, SIGINT)
    }
    #expect(outcome.code == 130 && outcome.output == "")
  }
}
