import Foundation

/// Bytes held by all live tensors, and the budget above which a new one is refused. Idle memory kept for the next
/// tensors is not live, gives way to them, and counts against the machine, not against the budget of a script.
public enum TensorMemory {
  private static let lock = NSLock()
  nonisolated(unsafe) private static var liveBytes = 0
  nonisolated(unsafe) private static var budgetBytes = Int(clamping: ProcessInfo.processInfo.physicalMemory / 4 * 3)
  nonisolated(unsafe) private static var pool = BufferPool(
    budget: min(512 << 20, Int(clamping: ProcessInfo.processInfo.physicalMemory / 32)))

  public static var live: Int { lock.withLock { liveBytes } }

  /// Bytes of tensors that are gone, kept for the next ones.
  public static var idle: Int { lock.withLock { pool.bytes } }

  /// Most bytes that tensors may hold together; three quarters of the machine's memory at first.
  public static var budget: Int {
    get { lock.withLock { budgetBytes } }
    set { lock.withLock { budgetBytes = newValue } }
  }

  /// Gives idle memory back to the system.
  public static func releaseIdle() { lock.withLock { pool.shrink(to: 0) } }

  /// Throws `.memory` where `bytes` more would pass the budget.
  static func reserve(_ bytes: Int, for shape: [Int]) throws {
    let (live, budget) = lock.withLock {
      // Idle and live memory together stay below the budget.
      if liveBytes + bytes <= budgetBytes { pool.shrink(to: budgetBytes - liveBytes - bytes) }
      return (liveBytes, budgetBytes)
    }
    guard live + bytes <= budget else {
      throw EngineError(
        .memory,
        "a tensor of shape \(shapeText(shape)) needs \(byteText(bytes)); \(byteText(live)) of the budget of "
          + "\(byteText(budget)) are in use")
    }
  }

  /// A block of `size` bytes (of `BufferPool.blockSize`), 64-byte aligned, with anything in it; nil where the system has
  /// none.
  static func take(_ size: Int) -> UnsafeMutableRawPointer? {
    lock.lock()
    defer { lock.unlock() }
    var block = pool.take(size) ?? aligned_alloc(64, size)
    if block == nil, pool.bytes > 0 {
      pool.shrink(to: 0)
      block = aligned_alloc(64, size)
    }
    if block != nil { liveBytes += size }
    return block
  }

  static func give(_ block: UnsafeMutableRawPointer, size: Int) {
    lock.withLock {
      liveBytes -= size
      pool.give(block, size: size)
    }
  }
}

/// `1.5 GB`: sizes as people read them (powers of 1000).
public func byteText(_ bytes: Int) -> String {
  let units = ["B", "kB", "MB", "GB", "TB"]
  var value = Double(bytes), unit = 0
  while abs(value) >= 1000, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  return unit == 0 ? "\(bytes) B" : String(format: "%.1f %@", value, units[unit])
}
