import CShim
import Engine
import Foundation
import Synchronization
import Testing

@testable import LuaBindings

/// An object that counts its living instances.
final class Probe: LuaObject {
  static let living = Mutex(0)
  static var livingCount: Int { living.withLock { $0 } }

  var closed = 0
  var key: LuaFunctionKey?

  init() { Probe.living.withLock { $0 += 1 } }
  deinit { Probe.living.withLock { $0 -= 1 } }

  var summary: String { "probe" }

  static let luaType = ObjectType(
    "probe", "An object of the tests.",
    fields: [
      Field("closed", "integer", "How often it was closed.") { call in call.push(try call.this(Probe.self).closed) }
    ],
    methods: [
      Function("keep", "p:keep(f)", "Keeps a function.", results: "nothing", example: "") { call in
        let probe = try call.this(Probe.self)
        probe.key = try LuaFunctionKey(call.argument(1), in: probe)
        return 0
      },
      Function("fire", "p:fire(x)", "Calls the kept function.", results: "its result", example: "") { call in
        let probe = try call.this(Probe.self)
        guard let key = probe.key else { throw call.error("nothing kept") }
        let value = try key.call([try call.argument(1).integer()], results: 1) { try $0[0].integer() }
        return call.push(value)
      },
    ],
    isUnique: true)
}

/// A plain object with `<close>`.
final class Handle: LuaObject {
  var closed = 0
  var summary: String { "handle closed \(closed)" }
  static let luaType = ObjectType(
    "handle", "A handle of the tests.",
    fields: [Field("closed", "integer", "How often.") { call in call.push(try call.this(Handle.self).closed) }],
    close: { call in
      try call.this(Handle.self).closed += 1
      return 0
    })
}

/// Ctrl-C on this very thread, handled before it returns. Test threads come with signals blocked.
func pressInterrupt() {
  var signals = sigset_t()
  sigemptyset(&signals)
  sigaddset(&signals, SIGINT)
  pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  raise(SIGINT)
}

let probeModule = Module(
  "probe", "Functions of the tests.",
  functions: [
    Function("new", "probe.new()", "A probe.", results: "probe", example: "") { call in call.push(Probe()) },
    Function("handle", "probe.handle()", "A handle.", results: "handle", example: "") { call in call.push(Handle()) },
    Function("fail", "probe.fail(message)", "Fails.", results: "nothing", example: "") { call in
      throw EngineError(.shape, try call.argument(1).string())
    },
    Function("wrap", "probe.wrap(f)", "Calls f and wraps its error.", results: "nothing", example: "") { call in
      do { try call.argument(1).function().call() } catch { throw LuaError("shape", "the outer message", cause: error) }
      return 0
    },
    Function("apply", "probe.apply(f, x)", "Calls f.", results: "its result", example: "") { call in
      let f = try call.argument(1).function()
      return call.push(try f.call([try call.argument(2).integer()], results: 1) { try $0[0].integer() })
    },
    Function("interrupt", "probe.interrupt()", "Ctrl-C.", results: "nothing", example: "") { _ in
      pressInterrupt()
      return 0
    },
    Function("poll", "probe.poll()", "What the engine does.", results: "nothing", example: "") { _ in
      try Interrupt.check()
      return 0
    },
    Function("partial", "probe.partial()", "Returns what there is after Ctrl-C.", results: "string", example: "") {
      call in
      pressInterrupt()
      call.state.deferInterruption()
      return call.push("what there is")
    },
    Function("string", "probe.string(n)", "n bytes.", results: "string", example: "") { call in
      call.push(LuaBytes(Array(repeating: 65, count: try call.argument(1).integer(in: 0...1 << 30))))
    },
    Function(
      "options", "probe.options{ layer = }", "Options.",
      options: [
        Option("layer", "integer", .required, "the layer"),
        Option("coeff", "number", .number(1), "the factor"),
        Option("scale", "string", .string("raw"), "the scale", choices: ["raw", "unit", "relative"]),
        Option("site", "string", .string("resid_post"), "the site", choices: Site.allCases.map(\.rawValue)),
        Option("layers", "list", .none, "several"),
        Option("fn", "function", .none, "called"),
      ], results: "text", example: ""
    ) { call in
      let options = try call.options()
      let layer = try options.integer("layer", in: 0...29)
      let coeff = try options.number("coeff")
      let layers = try options.optional("layers")?.oneOrMany { try $0.integer() } ?? []
      return call.push("\(layer) \(coeff) \(try options.choice("scale")) \(layers)")
    },
  ],
  types: [Probe.self, Handle.self])

/// A state with the modules of the program and of the tests, whose output is kept.
func makeState(memoryLimit: Int? = nil) throws -> (state: LuaState, output: PlainOutput) {
  let output = PlainOutput(keeping: true)
  return (try LuaState(output: output, memoryLimit: memoryLimit, modules: Module.standard + [probeModule]), output)
}

/// Runs a chunk in a state of its own and returns what it printed.
@discardableResult
func printed(_ source: String, memoryLimit: Int? = nil) throws -> String {
  let (state, output) = try makeState(memoryLimit: memoryLimit)
  defer { state.close() }
  try state.execute(chunk: Array(source.utf8), name: "=test")
  return output.text
}

/// The Lua error that a chunk ends with.
func failure(_ source: String, memoryLimit: Int? = nil) throws -> LuaError {
  let (state, _) = try makeState(memoryLimit: memoryLimit)
  defer { state.close() }
  return try #require(throws: LuaError.self, "\(source.suffix(160))") {
    try state.execute(chunk: Array(source.utf8), name: "=test")
  }
}

/// The one suite of this target: Ctrl-C, living objects and tensor memory belong to the whole process.
@Suite(.serialized) struct LuaTests {}
