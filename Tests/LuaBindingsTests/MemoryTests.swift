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
        local ok, e = pcall(function() local t = {} for i = 1, 1e8 do t[i] = 'x' .. i end end)
        print(ok, e.kind)
        collectgarbage()
        print(collectgarbage("count") < 2000, #string.rep("x", 1000))
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

    @Test func softLimitFollowsUse() {
      var limit = TensorSoftLimit(memory: 8 << 30)
      #expect(limit.bytes == 512 << 20)
      limit.adjust(live: 100 << 20)
      #expect(limit.bytes == 512 << 20)
      limit.adjust(live: 500 << 20)
      #expect(limit.bytes > 700 << 20 && limit.bytes < 800 << 20)
    }
  }
}
