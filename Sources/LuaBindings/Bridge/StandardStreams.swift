import CShim
import Engine
import Foundation

/// Writes to standard error; where that cannot be (a full device, a closed stream, a reader that is gone), the text is
/// lost and nothing else happens.
public func writeToStandardError(_ text: String) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return }
    rest = rest.dropFirst(count)
  }
}

/// Brings what was printed to where it goes.
public func flushStandardOutput() { act_flush() }

/// Opens what whoever started us had closed of standard input, output and error: a file opened later would take its
/// place and receive messages. What is written there fails as before.
public func reserveStandardStreams() {
  for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
    _ = open("/dev/null", O_RDONLY)  // the lowest free one, which is `descriptor`
  }
}

/// The exit code of a program that would end with `code`: 1 in place of 0 where output was lost, which is said on
/// standard error.
public func exitCode(_ code: Int32) -> Int32 {
  let failure = act_output_error()
  guard failure != 0 else { return code }
  writeToStandardError("acthost: standard output could not be written: \(String(cString: strerror(failure)))\n")
  return code == 0 ? 1 : code
}

/// Text for people, with control characters spelt out: texts of models, files and templates are not to be trusted.
public func printable(_ text: String) -> String { text.printable }
