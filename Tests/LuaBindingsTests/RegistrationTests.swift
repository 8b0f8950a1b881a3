import Testing

@testable import LuaBindings

extension LuaTests {
  /// Design decision 15: what a row says is what help, completion and the reference page show.
  @Suite struct Registration {
    private static var rows: [(name: String, row: Function)] {
      Module.standard.flatMap { module in
        module.functions.map { ("\(module.name).\($0.name)", $0) } + module.globals.map { ($0.name, $0) }
          + module.types.flatMap { type in
            (type.luaType.methods + type.luaType.operators).map { ("\(type.luaType.name):\($0.name)", $0) }
          }
      }
    }

    @Test func everyRowIsDocumented() {
      for (name, row) in Self.rows {
        #expect(
          !row.signature.isEmpty && !row.summary.isEmpty && !row.results.isEmpty && !row.example.isEmpty, "\(name)")
        #expect(row.summary.hasSuffix("."), "\(name): the summary is a sentence")
        for option in row.options {
          #expect(!option.type.isEmpty && !option.summary.isEmpty, "\(name), \(option.name)")
        }
        #expect(Set(row.options.map(\.name)).count == row.options.count, "\(name)")
      }
      for module in Module.standard {
        #expect(!module.summary.isEmpty)
        for type in module.types {
          #expect(!type.luaType.summary.isEmpty)
          for field in type.luaType.fields { #expect(!field.summary.isEmpty && !field.type.isEmpty, "\(field.name)") }
          #expect(Set(type.luaType.members).count == type.luaType.members.count, "\(type.luaType.name)")
        }
      }
      #expect(Self.rows.count > 60)
    }

    @Test func everyExampleParses() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      for (name, row) in Self.rows {
        if case .complete = state.check(row.example) { continue }
        Issue.record("\(name): \(state.check(row.example))")
      }
    }

    @Test func everyTensorExampleRuns() throws {
      let rows = Module.standard.filter { $0.name == "tensor" }.flatMap { module in
        module.functions + module.types.flatMap { $0.luaType.methods + $0.luaType.operators }
      }
      for row in rows where row.name != "load" && row.name != "save" {
        #expect(throws: Never.self, "\(row.name)") { try printed(row.example) }
      }
    }

    @Test func signaturesNameTheOptionsThatAreRequired() {
      for (name, row) in Self.rows {
        for option in row.options where option.fallback == .required {
          #expect(row.signature.contains(option.name), "\(name): \(option.name)")
        }
      }
    }

    @Test func everyFunctionHasAPage() throws {
      let (state, _) = try makeState()
      defer { state.close() }
      for module in Module.standard {
        for row in module.functions {
          #expect(state.helpText(for: "\(module.name).\(row.name)").contains(row.signature))
        }
        for row in module.globals { #expect(state.helpText(for: row.name).contains(row.signature)) }
      }
      let page = state.help.markdown
      for (name, row) in Self.rows { #expect(page.contains("`\(row.signature)`"), "\(name)") }
    }
  }
}
