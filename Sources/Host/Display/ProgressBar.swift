import Engine
import Foundation
import LuaBindings

/// Progress on standard error. On a terminal a bar with the time left, redrawn at most ten times a second; elsewhere a
/// line now and then, at most one in ten seconds. Work that is over at once shows nothing.
final class ProgressBar {
  enum Unit { case count, bytes }

  private let label: String
  private let total: Int?
  private let unit: Unit
  private let terminal: Terminal
  private let started = ContinuousClock.now
  private var lastDrawn = ContinuousClock.now
  private var done = 0
  private var detail = ""
  private var isDrawn = false
  private var hasPrinted = false

  /// The bar that stands on the terminal's last line, if one does: whoever prints clears it first.
  nonisolated(unsafe) private(set) static weak var active: ProgressBar?

  init(label: String, total: Int?, unit: Unit = .count, terminal: Terminal = .errors) {
    self.label = oneLine(label)
    self.total = total
    self.unit = unit
    self.terminal = terminal
  }

  /// `done` of `total` are done; `detail` stands behind the time.
  func update(to done: Int, detail: String = "") {
    self.done = done
    self.detail = detail
    let now = ContinuousClock.now
    if terminal.isTerminal {
      guard now - lastDrawn >= .milliseconds(isDrawn ? 100 : 200) else { return }
      lastDrawn = now
      draw(ending: "")
      isDrawn = true
      hasPrinted = true
      ProgressBar.active = self
    } else if now - lastDrawn >= .seconds(10) {
      lastDrawn = now
      hasPrinted = true
      write(line(width: 79) + "\n")
    }
  }

  /// The work is over, or was given up. What was shown stays as a last line, or goes when not `keeping`.
  func finish(at done: Int?, keeping: Bool) {
    guard hasPrinted else { return }
    self.done = done ?? self.done
    if !terminal.isTerminal {
      write(line(width: 79) + "\n")
    } else if keeping {
      draw(ending: "\n")
    } else {
      clear()
    }
    isDrawn = false
    hasPrinted = false
    if ProgressBar.active === self { ProgressBar.active = nil }
  }

  /// Takes the bar off the last line, so that other text can be printed; the next update draws it again.
  func clear() {
    guard isDrawn else { return }
    write("\r\u{1b}[K")
    isDrawn = false
  }

  private func draw(ending: String) { write("\r\u{1b}[K" + line(width: max(20, terminal.width - 1)) + ending) }

  /// `label ━━━━━━━╸      14/26  3.2/s  0:04 left`, at most `width` columns.
  func line(width: Int) -> String {
    let seconds =
      Double((ContinuousClock.now - started).components.seconds)
      + Double((ContinuousClock.now - started).components.attoseconds) * 1e-18
    let rate = seconds > 0 ? Double(done) / seconds : 0
    var tail = total.map { "\(amount(min(done, $0)))/\(amount($0))" } ?? amount(done)
    if rate > 0 { tail += "  " + (unit == .bytes ? "\(byteText(Int(rate)))/s" : rateText(rate)) }
    if let total, done < total, rate > 0 {
      tail += "  \(timeText(Double(total - done) / rate)) left"
    } else {
      tail += "  \(timeText(seconds))"
    }
    if !detail.isEmpty { tail += "  \(detail)" }
    let head = truncated(label, to: max(8, width / 3))
    let room = width - displayWidth(head) - displayWidth(tail) - 3
    guard let total, total > 0, room >= 8 else { return truncated("\(head)  \(tail)", to: width) }
    return "\(head) \(bar(Double(done) / Double(total), width: min(40, room)))  \(tail)"
  }

  private func bar(_ fraction: Double, width: Int) -> String {
    let filled = Int((max(0, min(1, fraction)) * Double(width)).rounded())
    let (full, empty) = terminal.hasUnicode ? ("━", "─") : ("#", "-")
    return String(repeating: full, count: filled)
      + terminal.styled(String(repeating: empty, count: width - filled), .dim)
  }

  private func amount(_ value: Int) -> String { unit == .bytes ? byteText(value) : "\(value)" }

  private func rateText(_ rate: Double) -> String {
    rate >= 1 ? String(format: rate >= 100 ? "%.0f/s" : "%.1f/s", rate) : String(format: "%.1f s each", 1 / rate)
  }

  private func write(_ text: String) { writeToStandardError(text) }
}

/// `0:07`, `12:30`, `1:02:03`.
func timeText(_ seconds: Double) -> String {
  let whole = Int(max(0, min(seconds, 359_999)).rounded())
  let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
  return hours > 0 ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
}
