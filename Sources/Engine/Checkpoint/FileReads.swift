import Synchronization

/// Which files the engine opens for reading while a piece of work runs: what a result follows from besides its
/// arguments.
public enum FileReads {
  private static let recordings = Mutex<[[String]]>([])

  /// Runs `body` and returns its value with the paths opened meanwhile, in order, each once. Recordings nest.
  public static func recording<Value>(_ body: () throws -> Value) rethrows -> (value: Value, paths: [String]) {
    recordings.withLock { $0.append([]) }
    do {
      let value = try body()
      return (value, finish())
    } catch {
      _ = finish()
      throw error
    }
  }

  /// A file was opened.
  static func note(_ path: String) {
    recordings.withLock { list in
      for index in list.indices where !list[index].contains(path) { list[index].append(path) }
    }
  }

  private static func finish() -> [String] { recordings.withLock { $0.popLast() ?? [] } }
}
