import CShim
import Engine
import Foundation
import Synchronization
import Testing

@testable import LuaBindings

private let leftWith = Mutex<Int32>(0)

extension LuaTests {
  /// Ctrl-C, raised by the script itself so that nothing depends on time.
  @Suite struct Interrupts {
    /// Lua code that runs for seconds and then fails, so that no test hangs when Ctrl-C does not stop it.
    private static let spin = "for _ = 1, 3e8 do end error('never interrupted')"

    init() { LuaState.installInterruptHandler() }

    @Test func firstStopsALoop() throws {
      let error = try failure("probe.interrupt() \(Self.spin)")
      #expect(error.isInterruption)
      #expect(error.description == "test:1: interrupted")
      #expect(!Interrupt.isRequested)
    }

    @Test func firstStopsALoopInACoroutine() throws {
      #expect(try failure("coroutine.wrap(function() probe.interrupt() \(Self.spin) end)()").isInterruption)
      let nested = """
        local function spin() probe.interrupt() \(Self.spin) end
        local inner = coroutine.create(spin)
        print(coroutine.resume(coroutine.create(function() return coroutine.resume(inner) end)))
        """
      #expect(try printed(nested).contains("interrupted"))
      #expect(
        try failure(
          "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function()"
            + " probe.interrupt() \(Self.spin) end }) coroutine.yield() end)"
            + " coroutine.resume(co) error(select(2, coroutine.close(co)))"
        ).isInterruption)
    }

    @Test func firstCanBeCaughtOnce() throws {
      #expect(
        try printed(
          """
          local ok, e = pcall(function() probe.interrupt() \(Self.spin) end)
          local n = 0 for i = 1, 1000 do n = n + i end
          print(ok, e.kind, n)
          """) == "false\tinterrupted\t500500\n")
    }

    @Test func secondCannotBeSwallowed() throws {
      let error = try failure(
        """
        local presses = 0
        for _ = 1, 10 do
          pcall(function()
            if presses < 2 then presses = presses + 1 probe.interrupt() end
            \(Self.spin)
          end)
        end
        """)
      #expect(error.isInterruption)
    }

    @Test func secondStopsResumeLoops() throws {
      let error = try failure(
        """
        local presses = 0
        for _ = 1, 10 do
          coroutine.resume(coroutine.create(function()
            if presses < 2 then presses = presses + 1 probe.interrupt() end
            \(Self.spin)
          end))
        end
        """)
      #expect(error.isInterruption)
    }

    @Test func thirdLeavesTheProcess() throws {
      act_interrupt_set_leave { code in leftWith.withLock { $0 = code } }
      defer { act_interrupt_set_leave(nil) }
      _ = try failure("probe.interrupt() probe.interrupt() probe.interrupt()")
      // Three signals in one go: the hook stops the script after the first call, so press inside Swift.
      let (state, _) = try makeState()
      defer { state.close() }
      let three = Module(
        "three", "Three presses.",
        functions: [
          Function("press", "three.press()", "Presses.", results: "nothing", example: "") { _ in
            for _ in 0..<3 { pressInterrupt() }
            return 0
          }
        ])
      state.install(three)
      #expect(throws: LuaError.self) { try state.execute(chunk: Array("three.press() \(Self.spin)".utf8), name: "=t") }
      #expect(leftWith.withLock { $0 } == 130)
    }

    @Test func engineSeesItAndScriptsAreToldOnce() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      state.install(
        Module(
          "busy", "Work.",
          functions: [
            Function("work", "busy.work()", "Polls.", results: "nothing", example: "") { _ in
              pressInterrupt()
              try Interrupt.check()
              return 0
            }
          ]))
      try state.execute(
        chunk: Array("local ok, e = pcall(busy.work) probe.poll() for i = 1, 100 do end print(ok, e.kind)".utf8),
        name: "=t")
      #expect(output.text == "false\tinterrupted\n")
    }

    @Test func partialResultsComeBackAndTheNextEngineCallStops() throws {
      let (state, output) = try makeState()
      defer { state.close() }
      let error = try #require(throws: LuaError.self) {
        try state.execute(
          chunk: Array("print(probe.partial()) for i = 1, 100 do end print('saved') probe.poll() print('no')".utf8),
          name: "=t")
      }
      #expect(error.isInterruption)
      #expect(output.text == "what there is\nsaved\n")
      let loop = try #require(throws: LuaError.self) {
        try state.execute(chunk: Array("probe.partial() \(Self.spin)".utf8), name: "=t")
      }
      #expect(loop.isInterruption)
      #expect(!Interrupt.isRequested)
    }

    @Test func closersRunAfterAnInterruption() throws {
      let text = try printed(
        """
        pcall(function()
          local guard <close> = setmetatable({}, { __close = function() print("closed") end })
          probe.interrupt()
          \(Self.spin)
        end)
        """)
      #expect(text == "closed\n")
    }

    @Test func nothingHappensOutsideLua() throws {
      pressInterrupt()
      #expect(!Interrupt.isRequested)
      #expect(try printed("print(1)") == "1\n")
    }
  }
}
