import CEdit
import Foundation
import LuaBindings

/// Where the prompt's lines come from.
protocol LineSource: AnyObject {
  /// The next entry; it may hold line breaks after a paste.
  func read(prompt: String) -> LineRead
  /// Puts a whole statement into the history.
  func remember(_ entry: String)
  /// Whether more input is waiting: lines that were pasted without the terminal marking them.
  var hasMore: Bool { get }
}

enum LineRead {
  case line(String)
  case interrupted
  case end
}

/// Lines edited at a terminal by libedit.
final class LineEditor: LineSource {
  private var edit: OpaquePointer?
  private let complete: (String) -> Completions
  private let terminal: Terminal

  /// Nil where libedit cannot start. `complete` gets the text up to the cursor.
  init?(history: String?, terminal: Terminal, complete: @escaping (String) -> Completions) {
    self.complete = complete
    self.terminal = terminal
    let completer: cedit_completer = { edit, text, length, context in
      guard let edit, let text, let context else { return }
      let editor = Unmanaged<LineEditor>.fromOpaque(context).takeUnretainedValue()
      let bytes = UnsafeRawBufferPointer(start: text, count: length)
      editor.completeLine(String(decoding: bytes, as: UTF8.self), edit: edit)
    }
    edit = cedit_open(history, terminal.hasColour ? 1 : 0, completer, Unmanaged.passUnretained(self).toOpaque())
    if edit == nil { return nil }
  }

  deinit { cedit_close(edit) }

  func read(prompt: String) -> LineRead {
    var text: UnsafePointer<CChar>?
    switch Int(cedit_read(edit, prompt, &text)) {
    case CEDIT_LINE: return .line(text.map { String(cString: $0) } ?? "")
    case CEDIT_INTERRUPTED: return .interrupted
    default: return .end
    }
  }

  func remember(_ entry: String) { cedit_remember(edit, entry) }

  var hasMore: Bool {
    var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    return poll(&input, 1, 0) > 0
  }

  /// One completion goes in; several give their common beginning, or are listed when that adds nothing.
  private func completeLine(_ line: String, edit: OpaquePointer) {
    let completions = complete(line)
    let typed = String(decoding: Array(line.utf8).dropFirst(completions.start), as: UTF8.self)
    let fitting = completions.items.filter { $0.hasPrefix(typed) }
    guard var common = fitting.first else { return }
    for item in fitting { common = String(zip(common, item).prefix { $0 == $1 }.map(\.0)) }
    if common.count > typed.count {
      cedit_insert(edit, String(common.dropFirst(typed.count)))
    } else if fitting.count > 1 {
      cedit_show(edit, LineEditor.columns(fitting, width: terminal.width))
    }
  }

  /// Names in columns, read downwards; at most 200.
  static func columns(_ items: [String], width: Int) -> String {
    let shown = items.prefix(200).map(oneLine)
    let cell = (shown.map(displayWidth).max() ?? 0) + 2
    let across = max(1, width / cell), down = (shown.count + across - 1) / across
    var text = ""
    for row in 0..<down {
      let line = stride(from: row, to: shown.count, by: down).map { padded(shown[$0], to: cell) }.joined()
      text += String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
    }
    return items.count > shown.count ? text + "(\(items.count - shown.count) more)\n" : text
  }

  /// `$XDG_STATE_HOME/acthost/history`, else `~/.local/state/acthost/history`.
  static func historyPath(environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
    let state = environment["XDG_STATE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
    let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? NSHomeDirectory()
    return (state ?? home + "/.local/state") + "/acthost/history"
  }
}

/// Lines of an input that is no terminal, for `acthost -i < file`: no prompt, no history.
final class PlainLines: LineSource {
  func read(prompt: String) -> LineRead { readLine().map { .line($0) } ?? .end }
  func remember(_ entry: String) {}
  var hasMore: Bool { true }
}
