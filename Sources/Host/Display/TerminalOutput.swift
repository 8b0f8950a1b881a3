import Engine
import Foundation
import LuaBindings

/// The program's output: tables and plots to standard output, progress and notes to standard error, each with colour
/// only where it is a terminal.
final class TerminalOutput: Output {
  private let output: Terminal
  private let errors: Terminal
  /// Keeps what is printed in order with `io.write`.
  private let plain = PlainOutput()
  private var bars: [Int: ProgressBar] = [:]
  private var lastTask = 0

  init(output: Terminal = .output, errors: Terminal = .errors) {
    self.output = output
    self.errors = errors
  }

  var isTerminal: Bool { output.isTerminal }
  var width: Int { output.isTerminal ? output.width : 100 }
  var colour: Bool { output.hasColour }

  func write(_ bytes: [UInt8]) {
    ProgressBar.active?.clear()
    plain.write(bytes)
  }

  func note(_ text: String) {
    ProgressBar.active?.clear()
    flushStandardOutput()
    writeToStandardError(errors.styled(printable(text), .yellow) + "\n")
  }

  // MARK: progress

  func progressBegin(_ label: String, total: Int?) -> Int {
    lastTask += 1
    bars[lastTask] = ProgressBar(label: label, total: total, terminal: errors)
    return lastTask
  }

  func progressUpdate(_ task: Int, done: Int, detail: String) {
    // One line on the screen: a task inside a task is shown, the outer one waits.
    guard task == bars.keys.max() else { return }
    bars[task]?.update(to: done, detail: detail)
  }

  func progressEnd(_ task: Int, done: Int, completed: Bool) {
    bars.removeValue(forKey: task)?.finish(at: done, keeping: bars.isEmpty || !completed)
  }

  /// Ends what an error or Ctrl-C left unfinished.
  func endProgress() {
    for bar in bars.values { bar.finish(at: nil, keeping: true) }
    bars.removeAll()
  }

  // MARK: tables and plots

  func show(_ table: DataTable) { write(TextTable(table).text(terminal: output)) }

  func draw(_ plot: Plot, file: String?) throws {
    guard let file else { return write(TextPlot(terminal: output).text(plot)) }
    try Gnuplot.save(plot, to: file)
  }
}
