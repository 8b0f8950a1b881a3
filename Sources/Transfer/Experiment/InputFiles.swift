import Engine
import Foundation

/// Digests of files by path, computed once for each state of a file.
public final class InputFiles {
  private struct State: Hashable {
    let device: UInt64, inode: UInt64
    let size: Int64
    let seconds: Int, nanoseconds: Int
  }
  private var known: [State: String] = [:]

  public init() {}

  /// SHA-256 of the file's content; `"absent"` where there is none that can be read.
  public func digest(_ path: String) throws -> String {
    guard let state = InputFiles.state(path) else { return "absent" }
    if let found = known[state] { return found }
    let digest: String
    do { digest = try SHA256.hex(ofFile: path) } catch let error as EngineError where error.kind != .interrupted {
      return "absent"
    }
    known[state] = digest
    return digest
  }

  /// A time that everything written before is older than, and nothing written after: the next tick of the clock that
  /// file systems take their times from (4 ms).
  static func startOfTime() -> timespec {
    var before = timespec(), now = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &before)
    repeat {
      usleep(500)
      clock_gettime(CLOCK_REALTIME_COARSE, &now)
    } while (now.tv_sec, now.tv_nsec) == (before.tv_sec, before.tv_nsec)
    return now
  }

  /// Whether the file was last written after `date`: something that this run made, not what it was given.
  static func isNewer(_ path: String, than date: timespec) -> Bool {
    guard let state = state(path) else { return true }
    return (state.seconds, state.nanoseconds) >= (date.tv_sec, date.tv_nsec)
  }

  private static func state(_ path: String) -> State? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return State(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
  }
}
