import Engine
import Foundation

/// One pull at a time: an advisory lock on `models/.lock`, freed by the kernel if its holder dies.
final class StoreLock {
  private let descriptor: Int32

  /// Takes the lock, waiting while another process holds it; `waiting` is called once if so. Ctrl-C ends the wait.
  init(folder: String, waiting: () -> Void) throws {
    let path = folder + "/.lock"
    let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else {
      throw EngineError(.file, "\(path) cannot be opened: \(String(cString: strerror(errno)))")
    }
    descriptor = opened
    var told = false
    while flock(opened, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else {
        throw EngineError(.file, "\(path) cannot be locked: \(String(cString: strerror(errno)))")
      }
      try Interrupt.check()
      if !told {
        waiting()
        told = true
      }
      usleep(100_000)
    }
  }

  deinit { close(descriptor) }
}
