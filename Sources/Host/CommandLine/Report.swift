import Foundation
import LuaBindings

/// A line on standard error, after everything printed so far.
func report(_ message: String, _ style: Terminal.Style? = nil) {
  fflush(nil)
  let text = printable(message)
  writeToStandardError((style.map { Terminal.errors.styled(text, $0) } ?? text) + "\n")
}
