import CShim
import Engine

extension Module {
  /// Global functions that belong to no module.
  static let base = Module(
    "base", "Printing and help.",
    globals: [
      Function(
        "print", "print(...)",
        "Writes its arguments separated by tabs: as tostring shows them, but tables without a __tostring by what they hold "
          + "(to depth 3 and 30 items), not by their address.", results: "nothing",
        example: "print(\"loss\", 0.25)"
      ) { call in
        var line: [UInt8] = []
        for index in 1..<(call.argumentCount + 1) {
          let stack = call.stack
          if index > 1 { line.append(9) }
          line += try stack.printed(at: Int32(index))
        }
        line.append(10)
        call.state.output.write(line)
        return 0
      },
      Function(
        "help", "help([name])", "Explains a function, or lists every name whose page contains a word.",
        results: "nothing; the text is printed", example: "help \"softmax\""
      ) { call in
        let state = call.state
        guard let word = try call.optionalArgument(1)?.string() else {
          state.output.write(state.help.overview + "\n")
          return 0
        }
        state.output.write(state.helpText(for: word) + "\n")
        return 0
      },
    ])
}

extension LuaStack {
  /// What `print` writes for a value: strings of scripts byte for byte, what files and models may have put into objects
  /// and errors without control characters.
  fileprivate func printed(at index: Int32) throws -> [UInt8] {
    let isTable = lua_type(pointer, index) == LUA_TTABLE
    if act_function_context(pointer, index) != nil || (isTable && state.isPlain(at: index, on: self)) {
      return Array(state.describe(at: index, on: self, width: state.output.width).utf8)
    }
    guard act_tostring(pointer, index) == LUA_OK else { throw takeError() }
    defer { pop() }
    let isOurs = act_object_type(pointer, index) != nil || act_iserror(pointer, index)
    return isOurs ? Array(printable(string(at: -1)).utf8) : bytes(at: -1)
  }
}
