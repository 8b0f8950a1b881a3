import Foundation

/// Memory of tensors that are gone, kept for the next ones of its size: fresh memory costs a page fault per 4 KiB, which
/// for large tensors is more than the arithmetic. Not safe by itself: `TensorMemory` guards the one there is.
struct BufferPool {
  private struct Shelf {
    var blocks: [UnsafeMutableRawPointer] = []
    /// When a block of this size was last asked for or given back.
    var lastUse = 0
  }

  private var shelves: [Int: Shelf] = [:]
  private var clock = 0
  /// Bytes that lie idle.
  private(set) var bytes = 0
  /// Most bytes kept idle.
  let budget: Int

  init(budget: Int) { self.budget = budget }

  /// Bytes to allocate for `bytes`: from 4 KiB to 256 MiB rounded up to eighths of a power of two, so that tensors of
  /// nearly the same size share blocks at a cost of at most an eighth; others as they are, and never pooled.
  static func blockSize(_ bytes: Int) -> Int {
    let bytes = max(64, (bytes + 63) & ~63)
    guard isPooled(bytes) else { return bytes }
    let unit = 1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 3)
    return (bytes + unit - 1) / unit * unit
  }

  private static func isPooled(_ size: Int) -> Bool { size >= 1 << 12 && size <= 1 << 28 }

  /// An idle block of `size`, the one used last since it is likeliest in cache.
  mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    guard Self.isPooled(size) else { return nil }
    clock += 1
    guard let block = shelves[size]?.blocks.popLast() else { return nil }
    shelves[size]?.lastUse = clock
    bytes -= size
    return block
  }

  /// Keeps a block, or frees it; what has not been asked for longest makes room.
  mutating func give(_ block: UnsafeMutableRawPointer, size: Int) {
    guard Self.isPooled(size), size <= budget else { return free(block) }
    shrink(to: budget - size)
    clock += 1
    shelves[size, default: Shelf()].blocks.append(block)
    shelves[size]?.lastUse = clock
    bytes += size
  }

  /// Frees idle blocks, those of the size that was used longest ago first, until at most `limit` bytes are idle.
  mutating func shrink(to limit: Int) {
    while bytes > max(0, limit), let oldest = shelves.min(by: { $0.value.lastUse < $1.value.lastUse }) {
      guard let block = shelves[oldest.key]?.blocks.popLast() else {
        shelves[oldest.key] = nil
        continue
      }
      free(block)
      bytes -= oldest.key
    }
  }
}
