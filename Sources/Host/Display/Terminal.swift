import CEdit
import Foundation

/// What a standard stream is connected to, and what may be written there.
struct Terminal: Sendable {
  let isTerminal: Bool
  /// Colour only on a terminal that has it, and never under `NO_COLOR` (https://no-color.org).
  let hasColour: Bool
  /// Characters beyond ASCII: block elements and Braille.
  let hasUnicode: Bool
  private let descriptor: Int32

  init(descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment) {
    self.descriptor = descriptor
    isTerminal = isatty(descriptor) == 1
    let kind = environment["TERM"] ?? "dumb"
    let noColour = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
    hasColour = isTerminal && kind != "dumb" && !noColour
    hasUnicode = nl_langinfo(Int32(CODESET)).map { String(cString: $0) == "UTF-8" } ?? false
  }

  /// For output that goes nowhere in particular, as in tests.
  init(isTerminal: Bool = false, hasColour: Bool = false, hasUnicode: Bool = true) {
    self.isTerminal = isTerminal
    self.hasColour = hasColour
    self.hasUnicode = hasUnicode
    descriptor = -1
  }

  static let output = Terminal(descriptor: STDOUT_FILENO)
  static let errors = Terminal(descriptor: STDERR_FILENO)

  /// Columns now (the window may have been resized); 80 where nobody knows.
  var width: Int {
    var size = winsize()
    if descriptor >= 0, ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
    return 80
  }

  /// The text in a colour or weight, where the terminal has it.
  func styled(_ text: String, _ style: Style) -> String {
    hasColour && !text.isEmpty ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
  }

  /// Codes of SGR (ECMA-48, 8.3.117).
  enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"
    case cyan = "36"
  }
}

/// Columns that a text takes on a terminal: 0 for combining marks, 2 for wide characters.
func displayWidth(_ text: String) -> Int {
  var width = 0
  for scalar in text.unicodeScalars {
    if scalar.isASCII {
      width += scalar.value >= 32 ? 1 : 0
    } else {
      width += Int(cedit_character_width(scalar.value))
    }
  }
  return width
}

/// The text with spaces to the right (or left) up to a width.
func padded(_ text: String, to width: Int, right: Bool = false) -> String {
  let spaces = String(repeating: " ", count: max(0, width - displayWidth(text)))
  return right ? spaces + text : text + spaces
}

/// The text cut to a width, the cut marked by an ellipsis.
func truncated(_ text: String, to width: Int) -> String {
  guard displayWidth(text) > width else { return text }
  var result = "", used = 0
  for character in text {
    let columns = displayWidth(String(character))
    if used + columns > max(0, width - 1) { break }
    result.append(character)
    used += columns
  }
  return result + "…"
}

/// The text on one line: line breaks and other control characters are spelt out, so that text from a model can neither
/// break a table nor drive the terminal.
func oneLine(_ text: String) -> String {
  text.printable.replacing("\n", with: "\\n").replacing("\t", with: "\\t")
}
