import Engine
import Foundation
import LuaBindings

/// Does what the Lua part of the command line asks for, in its order, and says with which code the process ends:
/// 0, 1 after a Lua error, 64 after a usage error, 130 after Ctrl-C, or what `os.exit` gave. A script that was
/// interrupted never ends with 0, whatever it made of that.
struct ScriptRunner {
  let state: LuaState
  let output: TerminalOutput

  static func run(_ words: [String]) -> Int32 {
    let arguments: LuaArguments
    do {
      arguments = try LuaArguments(words)
    } catch {
      report("acthost: \(error)\nusage: acthost [options] [script.lua [arguments ...]]; acthost --help says more")
      return 64
    }
    let output = TerminalOutput()
    Module.programVersion = Acthost.version
    Module.isVerbose = arguments.isVerbose
    do {
      let state = try LuaState(output: output)
      defer { state.close() }
      LuaState.installInterruptHandler(restoring: Terminal.output.isTerminal ? "\u{1b}[?2004l" : "")
      ModelStore.fetchMissing = { model, store in try MissingModel.fetch(model, into: store, output: output) }
      return ScriptRunner(state: state, output: output).run(arguments)
    } catch {
      report("acthost: \(error)")
      return 1
    }
  }

  private func run(_ arguments: LuaArguments) -> Int32 {
    do {
      if arguments.showsVersion, !arguments.isInteractive { output.write(Acthost.versionLine + "\n") }
      state.setArguments(arguments.words, scriptIndex: arguments.scriptIndex)
      if arguments.warns { try state.execute(chunk: Array("warn '@on'".utf8), name: "=-W") }
      if !arguments.ignoresEnvironment { try whole { try runInitialisation() } }
      var pieces = 0
      for action in arguments.actions {
        switch action {
        case .execute(let code):
          pieces += 1
          let name = arguments.hasSeveralPieces ? "=(command line, -e \(pieces))" : "=(command line)"
          try whole { try state.execute(chunk: Array(code.utf8), name: name) }
        case .require(let module, let global): try whole { try state.require("\(global)=\(module)") }
        }
      }
      switch arguments.script {
      case .file(let path): try whole { try state.execute(file: path, arguments: arguments.scriptArguments) }
      case .standardInput: try whole { try state.execute(file: nil, arguments: arguments.scriptArguments) }
      case nil: break
      }
      let isPlain = arguments.script == nil && arguments.actions.isEmpty && !arguments.showsVersion
      if arguments.isInteractive || (isPlain && isatty(STDIN_FILENO) == 1) {
        return Prompt(state: state, output: output).run()
      }
      if isPlain { try whole { try state.execute(file: nil) } }
      return 0
    } catch {
      return finish(error)
    }
  }

  /// Runs a piece of Lua and throws `.interrupted` where it came to its end in spite of Ctrl-C: what it has may be
  /// partial, and nothing after it runs.
  private func whole(_ body: () throws -> Void) throws {
    do { try body() } catch let exit as LuaExit where exit.code == 0 && state.wasInterrupted {
      throw EngineError(.interrupted, "interrupted; the script left with exit code 0 after that")
    }
    if state.wasInterrupted {
      throw EngineError(
        .interrupted, "interrupted; the script went on to its end, with partial results where it kept any")
    }
  }

  /// `LUA_INIT_5_4`, else `LUA_INIT`: code, or `@` and a file.
  private func runInitialisation() throws {
    let environment = ProcessInfo.processInfo.environment
    for name in ["LUA_INIT_5_4", "LUA_INIT"] {
      guard let text = environment[name] else { continue }
      if text.hasPrefix("@") {
        try state.execute(file: String(text.dropFirst()))
      } else {
        try state.execute(chunk: Array(text.utf8), name: "=" + name)
      }
      return
    }
  }

  /// Reports an error that nothing caught; the exit code.
  private func finish(_ error: any Error) -> Int32 {
    output.endProgress()
    if let exit = error as? LuaExit { return exit.code }
    let error = LuaError(error)
    output.write("")
    if error.isInterruption {
      report("acthost: \(error.description)\(error.description.contains("interrupted") ? "" : " (interrupted)")")
      return 130
    }
    report("acthost: \(error.report)")
    return 1
  }
}
