import CShim
import Engine

extension Module {
  static let args = Module(
    "args", "Arguments of a script.",
    functions: [
      Function(
        "parse", "args.parse{ name = default, ... }",
        "Reads `--name value` and `--name=value` from the script's arguments. A default's type is the option's: numbers, "
          + "booleans (`--flag`, `--flag false`, `--no-flag`), strings, lists (`--layers 1,2,3`). Unknown options are "
          + "errors; --help lists them.",
        results: "a table with every name",
        example: "local opt = args.parse{ n = 16, source = \"smollm2-135m-instruct\" }"
      ) { call in
        let defaults = try call.argument(1).json()
        guard case .object(let members) = defaults else { throw call.argument(1).mismatch("a table of defaults") }
        let words = call.state.scriptArguments
        var values = members, index = 0
        while index < words.count {
          let word = words[index]
          index += 1
          guard word.hasPrefix("--"), word.count > 2 else {
            throw LuaError("usage", "unexpected argument '\(word)'; options are written --name value")
          }
          let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
          var name = parts[0].replacing("-", with: "_"), inline = parts.count > 1 ? parts[1] : nil
          if name == "help" {
            call.state.output.write(usage(members))
            throw LuaExit(code: 0)
          }
          if members[name] == nil, name.hasPrefix("no_"), case .bool = members[String(name.dropFirst(3))] {
            name = String(name.dropFirst(3))
            inline = "false"
          }
          guard let fallback = members[name] else {
            throw LuaError(
              "usage",
              "unknown option '--\(parts[0])'\(suggestion(for: name, in: Array(members.keys))); --help lists them")
          }
          if case .bool = fallback, inline == nil, !(index < words.count && ["true", "false"].contains(words[index])) {
            values[name] = .bool(true)
            continue
          }
          if inline == nil {
            guard index < words.count else { throw LuaError("usage", "option '--\(name)' needs a value") }
            inline = words[index]
            index += 1
          }
          values[name] = try parsed(inline ?? "", like: fallback, name)
        }
        return call.push(JSONValue.object(values))
      }
    ])

  private static func parsed(_ text: String, like fallback: JSONValue, _ name: String) throws -> JSONValue {
    func wrong(_ expected: String) -> LuaError {
      LuaError("usage", "option '--\(name)' expects \(expected), found '\(text)'")
    }
    switch fallback {
    case .integer, .number:
      if let value = Int(text) { return .integer(value) }
      guard let value = Double(text), value.isFinite else { throw wrong("a number") }
      return .number(value)
    case .bool:
      guard ["true", "false", "yes", "no", "1", "0"].contains(text) else { throw wrong("true or false") }
      return .bool(["true", "yes", "1"].contains(text))
    case .array(let list):
      let parts = text.isEmpty ? [] : text.split(separator: ",").map(String.init)
      return .array(try parts.map { try parsed($0, like: list.first ?? .string(""), name) })
    default: return .string(text)
    }
  }

  private static func usage(_ members: some Sequence<(key: String, value: JSONValue)>) -> String {
    "options (default):\n" + members.map { "  --\($0.key.replacing("_", with: "-"))  (\($0.value.text))\n" }.joined()
  }
}

extension LuaState {
  /// Entries 1, 2, ... of the global `arg`.
  var scriptArguments: [String] {
    guard let stack = currentStack else { return [] }
    let top = stack.top
    defer { lua_settop(stack.pointer, top) }
    pushGlobals(on: stack)
    stack.push("arg")
    lua_rawget(stack.pointer, -2)
    let reader = ArgumentReader(stack: stack, index: -1) { "arg" }
    // A script may put anything there.
    return (try? reader.entries { try $0.string() }) ?? []
  }
}
