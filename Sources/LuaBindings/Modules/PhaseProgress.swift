/// Progress lines of work in several phases, one after the other, whose lengths are known only when they begin.
final class PhaseProgress {
  private let output: any Output
  private var task: (id: Int, label: String, done: Int)?

  fileprivate init(_ output: any Output) { self.output = output }

  /// `done` of `total` steps of a phase; another label ends the phase before.
  func update(_ label: String, _ done: Int, of total: Int?) {
    if task?.label != label {
      end(completed: true)
      task = (output.progressBegin(label, total: total), label, 0)
    }
    task?.done = done
    if let task { output.progressUpdate(task.id, done: done) }
  }

  fileprivate func end(completed: Bool) {
    if let task { output.progressEnd(task.id, done: task.done, completed: completed) }
    task = nil
  }
}

extension Call {
  /// Runs long work of several phases under progress lines.
  func withPhases<Result>(_ body: (PhaseProgress) throws -> Result) rethrows -> Result {
    let phases = PhaseProgress(state.output)
    do {
      let result = try body(phases)
      phases.end(completed: true)
      return result
    } catch {
      phases.end(completed: false)
      throw error
    }
  }
}
