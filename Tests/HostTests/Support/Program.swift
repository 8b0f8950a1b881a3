import Foundation

/// The `acthost` that was built beside these tests, run without a terminal.
struct Program {
  struct Outcome {
    let code: Int32
    let output: String
    let errors: String
  }

  static let path: String = {
    let tests =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (tests as NSString).deletingLastPathComponent + "/acthost"
  }()

  /// What a user's surroundings are, without what would change the results.
  static func environment(_ changes: [String: String] = [:]) -> [String: String] {
    var result = ProcessInfo.processInfo.environment
    for key in ["NO_COLOR", "LUA_INIT", "LUA_INIT_5_4", "LUA_PATH", "ACTHOST_AUTO_PULL", "XDG_CONFIG_HOME"] {
      result[key] = nil
    }
    result["LC_ALL"] = "C.UTF-8"
    result["TERM"] = "xterm"
    return result.merging(changes) { $1 }
  }

  /// Runs a line of the shell, in which `$ACTHOST` is the program.
  static func shell(_ line: String, folder: String? = nil) throws -> Outcome {
    let process = Process(), output = Pipe(), errors = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", line]
    process.environment = Program.environment(["ACTHOST": path])
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let reading = Reading(output), readingErrors = Reading(errors)
    process.waitUntilExit()
    return Outcome(code: process.terminationStatus, output: reading.text(), errors: readingErrors.text())
  }

  /// Runs to the end. `whileRunning` gets the process id once it runs.
  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], folder: String? = nil,
    whileRunning: ((pid_t) throws -> Void)? = nil
  ) throws -> Outcome {
    let process = Process(), output = Pipe(), errors = Pipe(), standardInput = Pipe()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = Program.environment(environment)
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    process.standardInput = standardInput
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let reading = Reading(output), readingErrors = Reading(errors)
    standardInput.fileHandleForWriting.write(Data(input.utf8))
    try standardInput.fileHandleForWriting.close()
    try whileRunning?(process.processIdentifier)
    process.waitUntilExit()
    return Outcome(code: process.terminationStatus, output: reading.text(), errors: readingErrors.text())
  }
}

/// Reads a pipe to its end on a thread, so that two full pipes cannot block each other.
private final class Reading: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var data = Data()

  init(_ pipe: Pipe) {
    let handle = pipe.fileHandleForReading
    DispatchQueue.global().async {
      self.data = handle.readDataToEndOfFile()
      self.done.signal()
    }
  }

  func text() -> String {
    done.wait()
    return String(decoding: data, as: UTF8.self)
  }
}

/// Waits until something is true, at most `seconds`.
func eventually(within seconds: Double = 10, _ condition: () -> Bool) -> Bool {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while !condition() {
    if Date() > deadline { return false }
    usleep(10_000)
  }
  return true
}
