import Engine
import Foundation
import LuaBindings

/// The prompt: reads an entry, runs it, shows its values, and goes on whatever happens.
final class Prompt {
  static let prompt = "> "
  static let continuation = ".. "

  private let state: LuaState
  private let output: TerminalOutput
  private let source: any LineSource
  /// Whether somebody sits there.
  private let isTerminal: Bool
  private let terminal = Terminal.output

  init(state: LuaState, output: TerminalOutput) {
    self.state = state
    self.output = output
    isTerminal = isatty(STDIN_FILENO) == 1 && terminal.isTerminal
    let editor =
      isTerminal
      ? LineEditor(history: LineEditor.historyPath(), terminal: terminal) { line in
        state.complete(line: line, cursor: line.utf8.count)
      } : nil
    source = editor ?? PlainLines()
  }

  /// Runs until the end of input or `os.exit`; the exit code.
  func run() -> Int32 {
    if isTerminal {
      output.write(
        "\(Acthost.versionLine)\n?name explains a name, help \"word\" searches, TAB completes, exit or Ctrl-D leaves.\n"
      )
    }
    while true {
      switch readEntry() {
      case .end:
        if isTerminal { output.write("\n") }
        return 0
      case .interrupted: continue
      case .line(let text):
        if let code = run(text) { return code }
      }
    }
  }

  // MARK: reading

  /// Lines until they make a whole statement. A blank line that nobody pasted ends an unfinished one.
  private func readEntry() -> LineRead {
    let read = source.read(prompt: Prompt.prompt)
    guard case .line(let first) = read else { return read }
    var text = Entry.withoutPrompts(first, check: state.check)
    while needsMore(text) {
      let next = source.read(prompt: Prompt.continuation)
      guard case .line(let line) = next else {
        if case .end = next, !isTerminal { break }
        return next
      }
      let code = line.hasPrefix(Prompt.continuation) ? String(line.dropFirst(Prompt.continuation.count)) : line
      if code.allSatisfy(\.isWhitespace), !source.hasMore { break }
      text += "\n" + code
    }
    if !text.allSatisfy(\.isWhitespace) { source.remember(text) }
    return .line(text)
  }

  private func needsMore(_ text: String) -> Bool {
    guard helpRequest(text) == nil, case .incomplete = state.check(text) else { return false }
    return Entry.returningEnd(of: text, check: state.check) == nil
  }

  /// The name in `?name` or `name?`; empty for `?` alone.
  private func helpRequest(_ text: String) -> String? {
    let line = text.trimmingCharacters(in: .whitespaces)
    guard !line.contains("\n") else { return nil }
    if line.hasPrefix("?") { return line.drop { $0 == "?" }.trimmingCharacters(in: .whitespaces) }
    let name = line.dropLast()
    let isName = !name.isEmpty && name.allSatisfy { $0.isLetter || $0.isNumber || "_.:".contains($0) }
    return line.hasSuffix("?") && isName ? String(name) : nil
  }

  // MARK: running

  /// Runs an entry; a code when the process is to end.
  private func run(_ text: String) -> Int32? {
    if text.allSatisfy(\.isWhitespace) { return nil }
    let word = text.trimmingCharacters(in: .whitespaces)
    if word == "exit" || word == "quit", !state.globalNames().contains(word) { return 0 }
    if let name = helpRequest(text) {
      output.write((name.isEmpty ? state.help.overview : state.helpText(for: name)) + "\n")
      return nil
    }
    let start = ContinuousClock.now
    do {
      for chunk in Entry(text, check: state.check).chunks {
        let values = try state.evaluate(chunk)
        if state.wasInterrupted { showInterruption(at: nil) }
        show(values, of: chunk)
        if state.wasInterrupted { break }  // what follows in the entry was meant for the whole result
      }
    } catch let exit as LuaExit {
      return exit.code
    } catch {
      output.endProgress()
      show(LuaError(error))
      return nil
    }
    output.endProgress()
    let lost = Entry.lostLocals(text)
    if isTerminal, !lost.isEmpty {
      output.note("\(lost.joined(separator: ", ")): local to this entry and gone now; leave out 'local' to keep it")
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if isTerminal, seconds > 0.5 {
      output.write(terminal.styled(String(format: "(%.*f s)", seconds < 10 ? 2 : 1, seconds), .dim) + "\n")
    }
    return nil
  }

  /// Shows the values of a chunk, unless it ends in a semicolon, and keeps the first as `_`.
  private func show(_ values: [LuaReference], of chunk: String) {
    guard let first = values.first else { return }
    state.setGlobal("_", to: first)
    guard !chunk.trimmingCharacters(in: .whitespacesAndNewlines).hasSuffix(";") else { return }
    let texts = values.map { state.describe($0) }
    output.write(texts.joined(separator: texts.contains { $0.contains("\n") } ? "\n" : "\t") + "\n")
  }

  private func show(_ error: LuaError) {
    output.write("")  // takes a progress bar off the line, and puts what was printed before the error
    if error.isInterruption { return showInterruption(at: error.place) }
    report(error.description, .red)
    for cause in error.causes { report("caused by: \(cause)") }
    if let traceback = error.traceback, Prompt.isTelling(traceback) { report(traceback, .dim) }
  }

  /// What Ctrl-C stopped says so, even where a function gave what it had and the entry went on.
  private func showInterruption(at place: String?) {
    if isTerminal { output.write("\n") }  // after the ^C that the terminal shows
    report("interrupted" + (place.map { " at \($0)" } ?? ""), .yellow)
  }

  /// Whether a traceback says more than that the entry itself failed.
  private static func isTelling(_ traceback: String) -> Bool {
    let frames = traceback.split(separator: "\n").dropFirst().map { $0.trimmingCharacters(in: .whitespaces) }
    return frames.contains { !$0.hasPrefix("[C]") && !$0.hasSuffix("in main chunk") }
  }
}
