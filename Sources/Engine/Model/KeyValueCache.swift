import CKernels
import Foundation

/// Keys and values of one sequence: per layer and key-value head, keys `[dHead, capacity]` (after rotary, transposed)
/// and values `[capacity, dHead rounded up to 16]`. Sized once.
final class KeyValueCache {
  let capacity: Int
  /// Positions stored so far in every layer.
  var length = 0

  private let dHead: Int
  private let valueStride: Int
  private let heads: Int
  private let layers: Int
  private let headFloats: Int
  private let memory: UnsafeMutablePointer<Float>

  /// With `layers` 1 the storage serves one layer after the other: enough for a run that keeps no cache.
  init(_ configuration: ModelConfiguration, positions: Int, layers: Int) throws {
    // An odd number of 16-float lines: rows of keys then fall into different cache sets.
    capacity = ((positions + 15) / 16 | 1) * 16
    dHead = configuration.dHead
    valueStride = (dHead + 15) / 16 * 16
    heads = configuration.kvHeadCount
    self.layers = layers
    headFloats = capacity * (dHead + valueStride)
    let bytes = headFloats * heads * layers * MemoryLayout<Float>.stride
    guard bytes <= TensorMemory.budget, let raw = calloc(1, bytes) else {
      throw EngineError(
        .memory, "a cache of \(positions) positions needs \(byteText(bytes)); the budget is \(byteText(TensorMemory.budget))")
    }
    memory = raw.bindMemory(to: Float.self, capacity: headFloats * heads * layers)
  }

  deinit { free(memory) }

  var byteCount: Int { headFloats * heads * layers * MemoryLayout<Float>.stride }

  private func start(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    memory + ((layers == 1 ? 0 : layer) * heads + head) * headFloats
  }

  func head(layer: Int, head: Int) -> ck_head_cache {
    let keys = start(layer: layer, head: head)
    return ck_head_cache(
      keys: keys, values: keys + capacity * dHead, capacity: capacity, value_stride: valueStride, d_head: dHead)
  }

  /// Stores rows of keys and values, `[rows, kvHeads * dHead]` at distance `stride`, at positions from `first` on.
  func store(
    layer: Int, first: Int, rows: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, stride: Int
  ) {
    for head in 0..<heads {
      let target = start(layer: layer, head: head), valueTarget = target + capacity * dHead
      ck_store_head(
        rows, dHead, keys + head * dHead, values + head * dHead, stride, target + first, capacity,
        valueTarget + first * valueStride, valueStride)
    }
  }
}
