import Foundation

/// Keeps the first error of work spread over threads.
final class FirstError: @unchecked Sendable {
  private let lock = NSLock()
  private var error: (any Error)?

  func catching(_ body: () throws -> Void) {
    do { try body() } catch { lock.withLock { self.error = self.error ?? error } }
  }

  var isSet: Bool { lock.withLock { error != nil } }

  func rethrow() throws {
    if let error = lock.withLock({ error }) { throw error }
  }
}
