import CShim
import Engine

extension Module {
  /// Global functions that belong to no module.
  static let base = Module(
    "base", "Printing and help.",
    globals: [
      Function(
        "print", "print(...)", "Writes its arguments, as tostring shows them, separated by tabs.", results: "nothing",
        example: "print(\"loss\", 0.25)"
      ) { call in
        var line: [UInt8] = []
        for index in 1..<(call.argumentCount + 1) {
          let stack = call.stack
          guard act_tostring(stack.pointer, Int32(index)) == LUA_OK else { throw stack.takeError() }
          if index > 1 { line.append(9) }
          line += stack.bytes(at: -1)
          stack.pop()
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
