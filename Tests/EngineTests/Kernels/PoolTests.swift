import CKernels
import Foundation
import Testing

@testable import Engine

/// The engine's one pool of threads.
@Suite(.serialized) struct PoolTests {
  private final class Counts: @unchecked Sendable {
    let base = UnsafeMutablePointer<Int32>.allocate(capacity: 1000)
    init() { base.initialize(repeating: 0, count: 1000) }
    deinit { base.deallocate() }
    func all(are value: Int32) -> Bool { (0..<1000).allSatisfy { base[$0] == value } }
  }

  @Test func everyIndexRunsOnceAndNestsSerially() {
    let counts = Counts()
    for _ in 0..<200 { parallel(1000) { counts.base[$0] += 1 } }
    #expect(counts.all(are: 200))
    parallel(10) { outer in parallel(100) { counts.base[outer * 100 + $0] += 1 } }
    #expect(counts.all(are: 201))
  }

  /// Workers that sleep, wake late or lose their core to others: nothing is lost, nothing runs twice or after its end.
  @Test func nothingIsLostUnderContention() {
    final class Flag: @unchecked Sendable {
      private let lock = NSLock()
      private var value = false
      var isSet: Bool { lock.withLock { value } }
      func set() { lock.withLock { value = true } }
    }
    let done = Flag(), finished = DispatchGroup()
    for _ in 0..<2 * threadCount {
      finished.enter()
      Thread {
        var x = 1.0
        while !done.isSet { for _ in 0..<10_000 { x = x * 0.999 + 1 } }
        withExtendedLifetime(x) {}
        finished.leave()
      }.start()
    }
    // Others that use the pool at the same time: they run their own work serially when it is taken.
    for _ in 0..<2 {
      finished.enter()
      Thread {
        while !done.isSet {
          let own = Counts()
          parallel(1000) { own.base[$0] += 1 }
          #expect(own.all(are: 1))
        }
        finished.leave()
      }.start()
    }
    for round in 0..<300 {
      let counts = Counts(), count = 1 + round * 37 % 1000
      parallel(count) { counts.base[$0] += 1 }
      #expect((0..<1000).allSatisfy { counts.base[$0] == ($0 < count ? 1 : 0) })
      if round % 20 == 0 { usleep(2000) }  // long enough for workers to fall asleep
    }
    done.set()
    finished.wait()
  }
}
