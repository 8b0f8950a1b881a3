import Testing

@testable import LuaBindings

extension LuaTests {
  /// Merging and saving from Lua.
  @Suite struct Saving {
    @Test func aMergedModelIsSavedAndLoaded() throws {
      try ScriptModels.tiny { setup in
        let text = try printed(
          setup + """
            local a = train.adapter{ model = m, rank = 2 }
            local merged = m:merge(a)
            print(merged.name, merged.family, merged.hash ~= m.hash, #m:adapters())
            local function loss(model) return train.gradients{ model = model, tokens = tokens(3, 1) }.loss end
            for dtype, most in pairs{ f32 = 1e-6, bf16 = 0.05, f16 = 0.01 } do
              merged:save(folder .. "/" .. dtype, { dtype = dtype })
              local difference = math.abs(loss(model.load(folder .. "/" .. dtype)) - loss(m))
              assert(difference <= most, dtype .. " " .. difference)
            end
            a:save(folder .. "/adapter")
            print(m:merge(folder .. "/adapter").hash == merged.hash)
            m:attach(a)
            print(pcall(m.save, m, folder .. "/no"))
            print(pcall(m.save, m, folder .. "/no", { dtype = "q4" }))
            """)
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "llama+adapter\tllama\ttrue\t0" && lines[1] == "true")
        #expect(lines[2].hasPrefix("false") && lines[2].contains("merge") && lines[3].hasPrefix("false"))
      }
    }
  }
}
