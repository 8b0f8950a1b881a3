/// Tensor memory that a training loop uses again step after step: fresh memory costs a page fault per 4 KiB.
/// A buffer is free as soon as nobody else refers to it, so a tensor that is kept is never overwritten.
final class Workspace {
  private var buffers: [Int: [TensorStorage]] = [:]

  /// Uninitialised values in memory that may have been used before.
  func tensor(_ shape: [Int]) throws -> Tensor {
    let capacity = Workspace.sizeClass(try Tensor.checkedCount(shape))
    if var known = buffers.removeValue(forKey: capacity) {
      defer { buffers[capacity] = known }
      for place in known.indices where isKnownUniquelyReferenced(&known[place]) {
        return Tensor(storage: known[place], offset: 0, shape: shape)
      }
    }
    do {
      try TensorMemory.reserve(capacity * MemoryLayout<Float>.stride, for: shape)
    } catch {
      releaseUnused()
      try TensorMemory.reserve(capacity * MemoryLayout<Float>.stride, for: shape)
    }
    let storage = try TensorStorage(count: capacity)
    buffers[capacity, default: []].append(storage)
    return Tensor(storage: storage, offset: 0, shape: shape)
  }

  /// Gives back every buffer that no tensor uses.
  func releaseUnused() {
    for (capacity, storages) in buffers {
      var kept = storages
      buffers[capacity] = nil
      var place = 0
      while place < kept.count {
        if isKnownUniquelyReferenced(&kept[place]) { kept.remove(at: place) } else { place += 1 }
      }
      if !kept.isEmpty { buffers[capacity] = kept }
    }
  }

  /// Rounded up to eighths of a power of two, so that ragged batches share buffers at a cost of at most an eighth.
  static func sizeClass(_ count: Int) -> Int {
    guard count > 64 else { return 64 }
    let unit = 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount - 3)
    return (count + unit - 1) / unit * unit
  }
}
