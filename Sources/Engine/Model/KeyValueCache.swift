import CKernels
import Foundation

/// Keys (after rotary) and values of one sequence, per layer and key-value head, as panels (`ck_head_cache`). Sized
/// once.
final class KeyValueCache {
  let capacity: Int
  /// Positions stored so far in every layer.
  var length = 0

  private let dHead: Int
  private let heads: Int
  private let layers: Int
  private let headFloats: Int
  private let allocation: UnsafeMutableRawPointer
  /// Aligned to a cache line.
  private let memory: UnsafeMutablePointer<Float>

  /// With `layers` 1 the storage serves one layer after the other: enough for a run that keeps no cache.
  init(_ configuration: ModelConfiguration, positions: Int, layers: Int) throws {
    capacity = (positions + 15) / 16 * 16
    dHead = configuration.dHead
    heads = configuration.kvHeadCount
    self.layers = layers
    headFloats = capacity * (dHead + (dHead + 15) / 16 * 16)
    let bytes = headFloats * heads * layers * MemoryLayout<Float>.stride
    guard bytes <= TensorMemory.budget, let raw = calloc(1, bytes + 64) else {
      throw EngineError(
        .memory,
        "a cache of \(positions) positions needs \(byteText(bytes)); the budget is \(byteText(TensorMemory.budget))")
    }
    allocation = raw
    memory = raw.alignedUp(toMultipleOf: 64).bindMemory(to: Float.self, capacity: headFloats * heads * layers)
  }

  deinit { free(allocation) }

  var byteCount: Int { headFloats * heads * layers * MemoryLayout<Float>.stride }

  private func start(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    memory + ((layers == 1 ? 0 : layer) * heads + head) * headFloats
  }

  func head(layer: Int, head: Int) -> ck_head_cache {
    let keys = start(layer: layer, head: head)
    return ck_head_cache(keys: keys, values: keys + capacity * dHead, capacity: capacity, d_head: dHead)
  }

  /// Stores rows of keys and values, `[rows, kvHeads * dHead]` at distance `stride`, at positions from `first` on.
  func store(
    layer: Int, first: Int, rows: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, stride: Int
  ) {
    parallelRanges(heads, minimum: max(1, (1 << 14) / (rows * dHead))) { range in
      for head in range {
        let target = self.start(layer: layer, head: head)
        ck_store_head(
          rows, first, self.dHead, self.capacity, keys + head * self.dHead, values + head * self.dHead, stride, target,
          target + self.capacity * self.dHead)
      }
    }
  }
}
