import Foundation
import Testing

@testable import Engine

@Suite(.serialized) struct BufferPoolTests {
  @Test func sizesAreRoundedByAtMostAnEighth() {
    for bytes in [1, 64, 4095, 4097, 5000, 65_537, 4_718_592, (1 << 28) - 1, 1 << 29, (1 << 29) + 1] {
      let size = BufferPool.blockSize(bytes)
      #expect(size >= bytes && size % 64 == 0, "\(bytes)")
      #expect(bytes < 4096 || Double(size) <= Double(bytes) * 1.125 + 64, "\(bytes): \(size)")
      #expect(BufferPool.blockSize(size) == size, "\(bytes)")
    }
  }

  @Test func blocksOfOneSizeAreUsedAgainAndTheBudgetHolds() {
    var pool = BufferPool(budget: 40_960)
    let size = BufferPool.blockSize(8192)
    #expect(pool.take(size) == nil)
    let blocks = (0..<8).map { _ in aligned_alloc(64, size)! }
    for block in blocks { pool.give(block, size: size) }
    #expect(pool.bytes <= 40_960 && pool.bytes >= 40_960 - size)
    #expect(pool.take(size) == blocks[7])
    // Another size makes room for itself where the first is not asked for.
    let other = BufferPool.blockSize(16_384)
    for _ in 0..<2 { pool.give(aligned_alloc(64, other)!, size: other) }
    #expect(pool.bytes <= 40_960)
    let again = pool.take(other)
    #expect(again != nil)
    free(again)
    pool.shrink(to: 0)
    #expect(pool.bytes == 0 && pool.take(size) == nil && pool.take(other) == nil)
    free(blocks[7])
  }

  @Test func tensorsThatAreHeldAreNeverOverwritten() throws {
    let kept = try (0..<20).map { try Tensor(repeating: Float($0), shape: [2000]) }
    for round in 0..<50 { _ = try Tensor(repeating: Float(-round), shape: [2000]) }
    for (i, tensor) in kept.enumerated() { #expect(tensor.values.allSatisfy { $0 == Float(i) }) }
  }

  @Test func memoryIsCountedWhileItLivesAndNotWhenIdle() throws {
    let before = TensorMemory.live
    do {
      let tensor = try Tensor.zeros([1 << 20])
      #expect(TensorMemory.live - before == 4 << 20)
      _ = tensor.count
    }
    #expect(TensorMemory.live == before)
    #expect(TensorMemory.idle >= 4 << 20)
    TensorMemory.releaseIdle()
    #expect(TensorMemory.idle == 0)
  }

  @Test func idleMemoryNeverKeepsATensorOut() throws {
    let budget = TensorMemory.budget
    defer { TensorMemory.budget = budget }
    for _ in 0..<4 { _ = try Tensor.zeros([1 << 22]) }
    TensorMemory.budget = TensorMemory.live + (20 << 20)
    let large = try Tensor.zeros([(20 << 20) / 4])
    #expect(TensorMemory.live + TensorMemory.idle <= TensorMemory.budget)
    #expect(throws: EngineError.self) { try Tensor.zeros([1024]) }
    withExtendedLifetime(large) {}
  }

  @Test func threadsShareThePool() async throws {
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          for round in 0..<200 {
            let value = Float(task * 1000 + round), tensor = try Tensor(repeating: value, shape: [3000 + round])
            guard tensor.values.allSatisfy({ $0 == value }) else { return false }
          }
          return true
        }
      }
      for try await isIntact in group { #expect(isIntact) }
    }
  }
}
