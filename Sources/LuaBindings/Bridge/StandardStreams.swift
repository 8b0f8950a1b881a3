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

/// Text for people with everything spelt out that could drive a terminal: control characters but line breaks and tabs,
/// and marks that reverse the direction of writing. Texts of models, files and templates are not to be trusted.
public func printable(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: isDriving) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    guard isDriving(scalar) else {
      result.unicodeScalars.append(scalar)
      continue
    }
    switch scalar {
    case "\r": result += "\\r"
    case _ where scalar.value < 0x100: result += "\\x" + hex(scalar, 2)
    default: result += "\\u{" + hex(scalar, 4) + "}"
    }
  }
  return result
}

private func hex(_ scalar: Unicode.Scalar, _ digits: Int) -> String {
  let text = String(scalar.value, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}

private func isDriving(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 9, 10: false
  case 0..<32, 0x7f...0x9f, 0x202a...0x202e, 0x2066...0x2069: true
  default: false
  }
}
