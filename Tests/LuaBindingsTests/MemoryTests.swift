import CShim
import Engine
import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct Memory {
    @Test func heapLimitIsAnErrorThatNamesTheSizes() throws {
      let limit = 16 << 20
      let error = try failure("local t = {} for i = 1, 1e8 do t[i] = 'x' .. i end", memoryLimit: limit)
      #expect(error.kind == "memory")
      #expect(error.message.contains("of at most 16.8 MB"), "\(error.message)")
      let text = try printed(
        """
        collectgarbage()
        local before = collectgarbage("count")
        local ok, e = pcall(function() local t = {} for i = 1, 1e8 do t[i] = 'x' .. i end end)
        print(ok, e.kind)
        collectgarbage()
        print(collectgarbage("count") < before + 6000, #string.rep("x", 1000))
        """, memoryLimit: limit)
      #expect(text == "false\tmemory\ntrue\t1000\n")
    }

    @Test func hugeStringsAreErrors() throws {
      for source in [
        "string.rep('x', 1 << 40)", "string.rep('x', 1 << 62)", "local s = 'x' while true do s = s .. s end",
        "table.concat({ string.rep('x', 1e7), string.rep('y', 1e7) })", "('x'):rep(1e9, ',')",
      ] {
        let error = try failure(source, memoryLimit: 16 << 20)
        #expect(error.kind == "memory" || error.message.contains("too large"), "\(source): \(error.message)")
      }
    }

    @Test func whatSwiftMakesCountsToo() throws {
      let error = try failure("local s = probe.string(64 << 20) error('kept ' .. #s)", memoryLimit: 16 << 20)
      #expect(error.kind == "memory")
    }

    @Test func limitInsideCoroutinesIsCaught() throws {
      let text = try printed(
        """
        local co = coroutine.create(function() local t = {} for i = 1, 1e8 do t[i] = 'x' .. i end end)
        local ok, e = coroutine.resume(co)
        print(ok, e.kind)
        local ok, e = pcall(coroutine.wrap(function() return string.rep('x', 1 << 30) end))
        print(ok, e.kind)
        """, memoryLimit: 16 << 20)
      #expect(text == "false\tmemory\nfalse\tmemory\n")
    }

    /// Every allocation of a script that uses all the bridge's error paths is refused once in some round.
    @Test func refusedAllocationsAreErrorsEverywhere() throws {
      let before = Probe.livingCount
      let source = """
        local function try(f, ...) local ok, e = pcall(f, ...) if not ok then return tostring(e) end end
        try(probe.fail, "bad") try(probe.apply, probe.fail, 1) try(probe.wrap, function() error("x") end)
        try(probe.apply, function() error({}) end, 1) try(probe.options, { layr = 1 })
        try(coroutine.wrap(function() probe.apply(function() probe.fail("y") end, 1) end))
        local p <close> = probe.new() p:keep(function(x) return x end) p:fire(1)
        local co = coroutine.create(function() local q <close> = probe.new() coroutine.yield(1) end)
        coroutine.resume(co) coroutine.close(co)
        xpcall(probe.fail, function(e) return e.message .. "h" end, "z")
        try(load, "x = = 1") try(require, "nope") try(string.rep, "x", 3000)
        """
      var succeeded = 0
      var failed = 0
      for room in stride(from: 0, to: 60_000, by: 401) {
        let (state, _) = try makeState()
        state.collectGarbage()
        state.heapLimit = state.heapBytes + room
        do {
          try state.execute(chunk: Array(source.utf8), name: "=t")
          succeeded += 1
        } catch let error as LuaError {
          #expect(error.kind == "memory", "\(error)")
          failed += 1
        }
        state.close()
        #expect(Probe.livingCount == before)
      }
      #expect(succeeded > 10 && failed > 10, "\(succeeded) \(failed)")
    }

    @Test func softLimitFollowsUse() {
      var limit = TensorSoftLimit(memory: 8 << 30)
      #expect(limit.bytes == 64 << 20)
      limit.adjust(live: 40 << 20, heap: 0)
      #expect(limit.bytes == 64 << 20)
      limit.adjust(live: 100 << 20, heap: 0)
      #expect(limit.bytes >= 125 << 20 && limit.bytes < 180 << 20)
      limit.adjust(live: 0, heap: 1 << 30)
      #expect(limit.bytes == 512 << 20)
    }
  }
}
