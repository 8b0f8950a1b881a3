import CShim
import Engine
import Foundation

/// What a piece of source is, before it runs.
public enum SourceCheck: Sendable {
  case complete
  /// More lines may complete it.
  case incomplete
  /// A syntax error that no further line repairs: `name:line: message`.
  case damaged(String)
}

extension LuaState {
  /// Whether `source`, typed at the prompt, can run.
  public func check(_ source: String) -> SourceCheck {
    guard let stack = mainStack else { return .damaged("the Lua state is closed") }
    let base = stack.top
    defer { lua_settop(stack.pointer, base) }
    if load("return " + source, name: "=prompt", on: stack) == LUA_OK { return .complete }
    if load(source, name: "=prompt", on: stack) == LUA_OK { return .complete }
    let message = stack.string(at: -1)
    // A string in quotes ends with its line, unless the line ends in a backslash.
    if message.contains("unfinished string"), !source.hasSuffix("\\") { return .damaged(message) }
    return message.hasSuffix("<eof>") ? .incomplete : .damaged(message)
  }

  /// Runs one entry of the prompt, an expression or statements, and returns its values.
  /// Throws `LuaError` or `LuaExit`.
  public func evaluate(_ source: String, name: String = "=prompt") throws -> [LuaReference] {
    try enter { stack in
      if load("return " + source, name: name, on: stack) != LUA_OK {
        stack.pop()
        guard load(source, name: name, on: stack) == LUA_OK else { throw syntaxError(on: stack) }
      }
      let base = stack.top - 1
      guard act_pcall(stack.pointer, 0, LUA_MULTRET) == LUA_OK else { throw improved(stack.takeError()) }
      guard stack.top > base else { return [] }
      return (base + 1...stack.top).map { reference(copying: $0, on: stack) }
    }
  }

  /// Runs a chunk such as the text of `-e` or of standard input.
  public func execute(chunk: [UInt8], name: String, arguments: [String] = []) throws {
    try enter { stack in
      let status = chunk.withUnsafeBufferPointer { bytes in
        bytes.withMemoryRebound(to: CChar.self) { act_load(stack.pointer, $0.baseAddress, $0.count, name) }
      }
      guard status == LUA_OK else { throw syntaxError(on: stack) }
      try run(arguments, on: stack)
    }
  }

  /// Runs a script; `arguments` are its `...`. Nil reads standard input.
  public func execute(file: String?, arguments: [String] = []) throws {
    try enter { stack in
      guard act_loadfile(stack.pointer, file) == LUA_OK else { throw syntaxError(on: stack) }
      try run(arguments, on: stack)
    }
  }

  /// `-l name` and `-l global=name`: requires a module into a global.
  public func require(_ specification: String) throws {
    let parts = specification.split(separator: "=", maxSplits: 1).map(String.init)
    guard let module = parts.last, !module.isEmpty else { throw LuaError("usage", "-l needs a module name") }
    try enter { stack in
      stack.push("require")
      pushGlobals(on: stack)
      lua_rotate(stack.pointer, -2, 1)
      lua_rawget(stack.pointer, -2)
      lua_rotate(stack.pointer, -2, 1)
      stack.pop()
      stack.push(module)
      guard act_pcall(stack.pointer, 1, 1) == LUA_OK else { throw improved(stack.takeError()) }
      setGlobal(parts[0], on: stack)
    }
  }

  /// The global `arg` as stock Lua has it: the script is entry 0, what follows it 1, 2, ..., what precedes it negative.
  public func setArguments(_ all: [String], scriptIndex: Int) {
    guard let stack = mainStack else { return }
    var table = LuaTable()
    for (place, text) in all.enumerated() { table.set(place - scriptIndex, text) }
    table.push(on: stack)
    setGlobal("arg", on: stack)
  }

  /// Sets a global to a value obtained before, for `_`.
  public func setGlobal(_ name: String, to value: LuaReference) {
    guard let stack = mainStack, value.push(on: stack) else { return }
    setGlobal(name, on: stack)
  }

  // MARK: Ctrl-C

  /// Takes over SIGINT for the whole process: see `act_interrupt_install`. `restoring` is written to the terminal
  /// before the process ends at the third Ctrl-C (switching bracketed paste off).
  public static func installInterruptHandler(restoring text: String = "") {
    act_interrupt_restore_text(text)
    act_interrupt_install()
  }

  /// For a function that returns partial results after Ctrl-C: the script goes on with them, and is interrupted by its
  /// next engine call or after 100,000 instructions.
  public func deferInterruption() {
    if let current { act_interrupt_defer(current, 100_000) }
  }

  /// Whether Ctrl-C was pressed since the host called into Lua last, even where the script caught it or went on with
  /// partial results.
  public var wasInterrupted: Bool { current.map { act_interrupt_count($0) > 0 } ?? false }

  // MARK: Pieces

  private func load(_ source: String, name: String, on stack: LuaStack) -> Int32 {
    var source = source
    return source.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { act_load(stack.pointer, $0.baseAddress, $0.count, name) }
    }
  }

  private func enter<R>(_ body: (LuaStack) throws -> R) throws -> R {
    guard let stack = currentStack else { throw LuaError("missing", "the Lua state is closed") }
    let base = stack.top
    guard lua_checkstack(stack.pointer, 64) != 0 else { throw LuaError("lua", "stack overflow") }
    defer { lua_settop(stack.pointer, base) }
    return try body(stack)
  }

  private func run(_ arguments: [String], on stack: LuaStack) throws {
    guard lua_checkstack(stack.pointer, Int32(clamping: arguments.count + 16)) != 0 else {
      throw LuaError("usage", "too many arguments")
    }
    for argument in arguments { stack.push(argument) }
    guard act_pcall(stack.pointer, Int32(arguments.count), 0) == LUA_OK else { throw improved(stack.takeError()) }
  }

  /// The message of a chunk that does not load, on top: a string, or an error value.
  private func syntaxError(on stack: LuaStack) -> any Error {
    guard lua_type(stack.pointer, -1) == LUA_TSTRING else { return stack.takeError() }
    return LuaError("syntax", stack.string(at: -1))
  }

  /// "attempt to call a nil value (global 'tensr')" gains the nearest global.
  private func improved(_ error: any Error) -> any Error {
    guard let error = error as? LuaError, error.kind == "lua", let start = error.message.range(of: "(global '"),
      let end = error.message.range(of: "')", range: start.upperBound..<error.message.endIndex)
    else { return error }
    let name = String(error.message[start.upperBound..<end.lowerBound])
    let near = suggestion(for: name, in: globalNames().filter { $0 != name })
    return near.isEmpty ? error : error.with(message: error.message + near)
  }

  func pushGlobals(on stack: LuaStack) {
    lua_rawgeti(stack.pointer, LuaRegistry.index, lua_Integer(LUA_RIDX_GLOBALS))
  }

  /// Names of all globals, sorted.
  public func globalNames() -> [String] {
    guard let stack = currentStack else { return [] }
    let base = stack.top
    defer { lua_settop(stack.pointer, base) }
    pushGlobals(on: stack)
    let reader = ArgumentReader(stack: stack, index: -1) { "globals" }
    return (try? reader.fieldNames(limit: 100_000, allowList: true)) ?? []
  }
}
