import Engine
import Foundation

/// A program run in its own process group, with a file as input and one log file for what it prints. The group makes
/// it possible to end it with all its children, and keeps Ctrl-C from reaching it before we have cleaned up.
struct ChildProcess {
  let name: String
  private let pid: pid_t

  /// Finds `program` on the PATH of `environment` and starts it. Throws `.missing` when there is no such program.
  init(
    _ program: String, _ arguments: [String], environment: [String: String], log: String, input: String = "/dev/null"
  ) throws {
    guard let path = ChildProcess.find(program, environment: environment) else {
      throw EngineError(.missing, "there is no program '\(program)' on the PATH")
    }
    name = program
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    posix_spawnattr_setpgroup(&attributes, 0)
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    var mask = sigset_t()
    sigemptyset(&mask)
    posix_spawnattr_setsigmask(&attributes, &mask)

    let argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    let envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var child: pid_t = 0
    let status = posix_spawn(&child, path, &actions, &attributes, argv, envp)
    guard status == 0 else {
      throw EngineError(.missing, "\(path) cannot be run: \(String(cString: strerror(status)))")
    }
    pid = child
  }

  /// Waits for the end, calling `tick` about ten times a second. Ctrl-C ends the whole group and throws `.interrupted`.
  /// The exit code; 128 + signal for a program that a signal ended.
  func wait(tick: () -> Void = {}) throws -> Int {
    var status: Int32 = 0
    while true {
      let result = waitpid(pid, &status, WNOHANG)
      if result == pid { break }
      if result < 0, errno != EINTR { return 127 }
      if Interrupt.isRequested {
        end()
        throw EngineError(.interrupted, "interrupted")
      }
      tick()
      usleep(result == 0 ? 50_000 : 0)
    }
    let signal = status & 0x7f
    return signal == 0 ? Int((status >> 8) & 0xff) : 128 + Int(signal)
  }

  /// Asks the group to end, then insists after two seconds.
  private func end() {
    var status: Int32 = 0
    kill(-pid, SIGTERM)
    for _ in 0..<40 {
      if waitpid(pid, &status, WNOHANG) == pid { return }
      usleep(50_000)
    }
    kill(-pid, SIGKILL)
    waitpid(pid, &status, 0)
  }

  /// The executable of that name on the PATH.
  static func find(_ program: String, environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
    if program.contains("/") { return access(program, X_OK) == 0 ? program : nil }
    let path = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
  }
}
