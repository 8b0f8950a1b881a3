/// Holds back streamed bytes that may turn into a stop string, and finds the first one that is complete.
struct StopMatcher {
  private let stops: [[UInt8]]
  private var pending: [UInt8] = []

  init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) } }

  /// Adds bytes; returns those that are safe to show, and whether a stop string ended the text.
  mutating func push(_ bytes: [UInt8]) -> (text: [UInt8], isStopped: Bool) {
    guard !stops.isEmpty else { return (bytes, false) }
    pending += bytes
    for start in pending.indices {
      let rest = pending[start...]
      if stops.contains(where: { rest.starts(with: $0) }) {
        defer { pending = [] }
        return (Array(pending[..<start]), true)
      }
      if stops.contains(where: { $0.count > rest.count && $0.starts(with: rest) }) {
        let safe = Array(pending[..<start])
        pending.removeFirst(start)
        return (safe, false)
      }
    }
    defer { pending = [] }
    return (pending, false)
  }

  /// What was held back, when nothing more comes: up to a stop string that is complete in it. (One that waited for the
  /// end of a longer one which began before it.)
  mutating func flush() -> (text: [UInt8], isStopped: Bool) {
    defer { pending = [] }
    for start in pending.indices where stops.contains(where: { pending[start...].starts(with: $0) }) {
      return (Array(pending[..<start]), true)
    }
    return (pending, false)
  }
}
