import Engine
import Foundation

/// One writer to a folder: an advisory lock on `FOLDER/.lock`, which the kernel frees when its holder ends, however it
/// ends. The file says who holds it. Over NFS the lock lives at the server, which frees it when the client is gone.
public final class FolderLock {
  private let descriptor: Int32

  /// Throws `.file` at once where another process, or another sweep of this one, holds the lock.
  public init(folder: String) throws {
    let path = folder + "/.lock"
    let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard opened >= 0 else {
      throw EngineError(.file, "cannot open \(path): \(String(cString: strerror(errno)))")
    }
    while flock(opened, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      let code = errno, holder = FolderLock.holder(opened)
      close(opened)
      guard code == EWOULDBLOCK else {
        throw EngineError(
          .file, "\(path) cannot be locked: \(String(cString: strerror(code))); the file system must support flock")
      }
      throw EngineError(
        .file,
        "\(folder) is being written by \(holder): wait until it has ended, end it, or give this one another name")
    }
    descriptor = opened
    let text = "\(getpid()) \(FolderLock.host) \(ISO8601DateFormatter().string(from: Date()))\n"
    ftruncate(opened, 0)
    _ = text.withCString { pwrite(opened, $0, strlen($0), 0) }
  }

  deinit { close(descriptor) }

  static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "an unknown host" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// `process 12 on this machine (since 2026-11-25T17:00:00Z)`.
  private static func holder(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    let words = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count >= 3 else { return "another process" }
    if words[0] == "\(getpid())", words[1] == host { return "another sweep of this process (\(words[0]))" }
    return "process \(words[0]) on \(words[1]) (since \(words[2]))"
  }
}
