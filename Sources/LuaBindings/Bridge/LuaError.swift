import CShim
import Engine

/// An error as Lua sees it: `.message`, `.kind`, `.traceback`, `.cause`, and `tostring` is `file:line: message`.
public struct LuaError: InterruptionError, CustomStringConvertible {
  /// `lua` for Lua's own errors, else an `EngineError.Kind`, or `usage`.
  public let kind: String
  public let message: String
  /// `file:line`, once it has been raised in Lua.
  public let place: String?
  public let traceback: String?
  /// What it followed from, outermost first.
  public let causes: [String]
  /// The Lua value that was thrown, to be thrown again unchanged.
  let value: LuaReference?

  public init(_ kind: String, _ message: String) {
    self.init(kind: kind, message: message, place: nil, traceback: nil, causes: [], value: nil)
  }

  /// An error that follows from `cause`, whose text stays beside it and is not repeated.
  public init(_ kind: String, _ message: String, cause: any Error) {
    let inner = LuaError(cause)
    self.init(
      kind: kind, message: message, place: nil, traceback: inner.traceback, causes: [inner.description] + inner.causes,
      value: nil)
  }

  /// Any Swift error as Lua will see it.
  public init(_ error: any Error) {
    switch error {
    case let error as LuaError: self = error
    case let error as EngineError: self.init(error.kind.rawValue, error.message)
    default: self.init("host", String(describing: error))
    }
  }

  init(kind: String, message: String, place: String?, traceback: String?, causes: [String], value: LuaReference?) {
    self.kind = kind
    self.message = message.printable
    self.place = place?.printable
    self.traceback = traceback?.printable
    self.causes = causes.map(\.printable)
    self.value = value
  }

  public var isInterruption: Bool { kind == EngineError.Kind.interrupted.rawValue }

  /// `file:line: message`.
  public var description: String { place.map { "\($0): \(message)" } ?? message }

  /// Message, causes and traceback: what an uncaught error prints.
  public var report: String {
    var lines = [description]
    lines += causes.map { "caused by: \($0)" }
    if let traceback { lines.append(traceback) }
    return lines.joined(separator: "\n")
  }

  func with(message: String) -> LuaError {
    LuaError(kind: kind, message: message, place: place, traceback: traceback, causes: causes, value: nil)
  }
}

/// `os.exit(code)`: unwinds to the host, which ends the process.
public struct LuaExit: Error {
  public let code: Int32
}

extension LuaStack {
  /// Pushes the error value that the trampoline raises.
  func push(error: any Error) {
    lua_checkstack(pointer, 8)
    if let exit = error as? LuaExit {
      act_set_exit_code(pointer, exit.code)
      act_pushexit(pointer)
      return
    }
    let error = LuaError(error)
    if let value = error.value, value.push(on: self) { return }
    var cause: Int32 = 0
    for text in error.causes.reversed() {
      pushError(kind: error.kind, message: text, cause: cause)
      if cause != 0 {
        lua_rotate(pointer, -2, 1)
        lua_settop(pointer, -2)
      }
      cause = lua_gettop(pointer)
    }
    pushError(kind: error.kind, message: error.message, cause: cause)
    if cause != 0 {
      lua_rotate(pointer, -2, 1)
      lua_settop(pointer, -2)
    }
    if let place = error.place { setField("where", place) }
    if let traceback = error.traceback, error.causes.isEmpty { setField("traceback", traceback) }
  }

  private func pushError(kind: String, message: String, cause: Int32) {
    var message = message
    message.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { act_pusherror(pointer, kind, $0.baseAddress, $0.count, cause) }
    }
  }

  private func setField(_ key: String, _ value: String) {
    push(key)
    push(value)
    lua_rawset(pointer, -3)
  }

  /// Pops the error value on top after a failed protected call.
  func takeError() -> any Error {
    lua_checkstack(pointer, 8)
    defer { lua_settop(pointer, -2) }
    if act_isexit(pointer, -1) { return LuaExit(code: act_exit_code(pointer)) }
    if act_iserror(pointer, -1) {
      var causes: [String] = []
      lua_pushvalue(pointer, -1)
      while causes.count < 16 {
        push("cause")
        lua_rawget(pointer, -2)
        lua_rotate(pointer, -2, 1)
        lua_settop(pointer, -2)
        if lua_type(pointer, -1) == LUA_TNIL { break }
        causes.append(text(at: -1))
        if !act_iserror(pointer, -1) { break }
      }
      lua_settop(pointer, -2)
      return LuaError(
        kind: stringField("kind") ?? "lua", message: stringField("message") ?? "",
        place: stringField("where").flatMap { $0.isEmpty ? nil : $0 },
        traceback: stringField("traceback"), causes: causes, value: state.reference(copying: -1, on: self))
    }
    act_pushtraceback(pointer)
    let traceback = lua_type(pointer, -1) == LUA_TSTRING ? string(at: -1) : nil
    lua_settop(pointer, -2)
    act_pushwhere(pointer)
    let place = lua_type(pointer, -1) == LUA_TSTRING ? string(at: -1) : nil
    lua_settop(pointer, -2)
    // What says itself how it reads is left as it is; a plain value is shown with its place.
    let isPlain = state.isPlain(at: -1, on: self)
    let message = isPlain ? state.describe(at: -1, on: self, width: 100) : text(at: -1)
    return LuaError(
      kind: "lua", message: message, place: isPlain ? place : nil, traceback: traceback, causes: [],
      value: state.reference(copying: -1, on: self))
  }

  private func stringField(_ key: String) -> String? {
    push(key)
    lua_rawget(pointer, -2)
    defer { lua_settop(pointer, -2) }
    return lua_type(pointer, -1) == LUA_TSTRING ? string(at: -1) : nil
  }

  /// `tostring` of a value; never fails.
  func text(at index: Int32) -> String {
    if lua_type(pointer, index) == LUA_TSTRING { return string(at: index) }
    let status = act_tostring(pointer, index)
    defer { lua_settop(pointer, -2) }
    if status == LUA_OK { return string(at: -1) }
    return "(error in __tostring)"
  }
}
