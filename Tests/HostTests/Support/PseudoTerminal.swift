import Foundation

/// `acthost` with a terminal of its own, as a person at a keyboard has it. Reads have deadlines; nothing sleeps.
final class PseudoTerminal {
  private let master: Int32
  private let pid: pid_t
  private var status: Int32?
  /// Everything written so far, escape sequences taken out.
  private(set) var text = ""
  /// Everything written so far, as it came.
  private(set) var raw: [UInt8] = []
  private var seen = 0

  /// `home` takes the history and the store.
  init(
    _ arguments: [String] = [], home: TemporaryFolder, environment changes: [String: String] = [:], columns: Int = 100
  ) throws {
    // What posix_openpt, unlockpt and ptsname do; Swift's Glibc lacks them.
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var lock: Int32 = 0, number: UInt32 = 0
    guard master >= 0, ioctl(master, 0x4004_5431 /* TIOCSPTLCK */, &lock) == 0,
      ioctl(master, 0x8004_5430 /* TIOCGPTN */, &number) == 0
    else { throw TestFailure("no pseudo-terminal") }
    let name = "/dev/pts/\(number)"
    var size = winsize(ws_row: 40, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // The first terminal that a session's leader opens controls it: Ctrl-C becomes a signal.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(0x80 /* POSIX_SPAWN_SETSID */))
    var environment = Program.environment([
      "XDG_STATE_HOME": home.path + "/state", "ACTHOST_HOME": home.path + "/store",
    ])
    environment.merge(changes) { $1 }
    let argv: [UnsafeMutablePointer<CChar>?] = (["acthost"] + arguments).map { strdup($0) } + [nil]
    let envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var child: pid_t = 0
    guard posix_spawn(&child, Program.path, &actions, &attributes, argv, envp) == 0 else {
      throw TestFailure("\(Program.path) does not start")
    }
    pid = child
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    close(master)
  }

  /// Types; `\r` is the Return key.
  func send(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(master, $0.baseAddress, min($0.count, 512)) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
      _ = read(for: 0)
    }
  }

  /// Types a line and waits for what it prints and for the next prompt. What stood between.
  @discardableResult
  func enter(_ line: String, expecting result: String? = nil) throws -> String {
    send(line + "\r")
    var before = ""
    if let result { before = try expect(result) }
    return before + (try expect("\n> "))
  }

  /// Waits until `wanted` has appeared after what was expected before; what came up to its end.
  @discardableResult
  func expect(_ wanted: String, within seconds: Double = 20) throws -> String {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while true {
      let all = Array(text.utf8)
      let rest = String(decoding: all[seen...], as: UTF8.self)
      if let range = rest.range(of: wanted) {
        let found = String(rest[..<range.upperBound])
        seen += found.utf8.count - (wanted.hasSuffix("\n") ? 1 : 0)  // "\n> " may follow
        return found
      }
      let left = deadline.timeIntervalSinceNow
      guard left > 0, read(for: left) else {
        throw TestFailure("expected \(wanted.debugDescription), found \(rest.debugDescription)")
      }
    }
  }

  /// Waits for the end of the process; its exit code.
  func exitCode(within seconds: Double = 20) throws -> Int32 {
    let deadline = Date(timeIntervalSinceNow: seconds)
    var state: Int32 = 0
    while waitpid(pid, &state, WNOHANG) == 0 {
      guard Date() < deadline else { throw TestFailure("still running; wrote \(text.suffix(300).debugDescription)") }
      _ = read(for: 0.02)
    }
    while read(for: 0) {}
    status = state
    return state & 0x7f == 0 ? (state >> 8) & 0xff : 128 + (state & 0x7f)
  }

  /// Reads once, waiting at most so long; false at the end or when nothing came.
  private func read(for seconds: Double) -> Bool {
    var input = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
    guard poll(&input, 1, Int32(seconds * 1000)) > 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = Foundation.read(master, &buffer, buffer.count)
    guard count > 0 else { return false }
    raw += buffer[..<count]
    text = PseudoTerminal.plain(raw)
    return true
  }

  /// The text without escape sequences and carriage returns.
  private static func plain(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = [], index = 0
    while index < bytes.count {
      if bytes[index] == 27, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "[") {
        index += 2
        while index < bytes.count, !(0x40...0x7e).contains(bytes[index]) { index += 1 }
        index += 1
      } else {
        if bytes[index] != 13 { result.append(bytes[index]) }
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
