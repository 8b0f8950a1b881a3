import Foundation

/// Bytes held by all live tensors, and the budget above which a new one is refused.
public enum TensorMemory {
  private static let lock = NSLock()
  nonisolated(unsafe) private static var liveBytes = 0
  nonisolated(unsafe) private static var budgetBytes = Int(clamping: ProcessInfo.processInfo.physicalMemory / 4 * 3)

  public static var live: Int { lock.withLock { liveBytes } }

  /// Most bytes that tensors may hold together; three quarters of the machine's memory at first.
  public static var budget: Int {
    get { lock.withLock { budgetBytes } }
    set { lock.withLock { budgetBytes = newValue } }
  }

  static func add(_ bytes: Int) { lock.withLock { liveBytes += bytes } }

  static func reserve(_ bytes: Int, for shape: [Int]) throws {
    let (live, budget) = lock.withLock { (liveBytes, budgetBytes) }
    guard live + bytes <= budget else {
      throw EngineError(
        .memory,
        "a tensor of shape \(shapeText(shape)) needs \(byteText(bytes)); \(byteText(live)) of the budget of "
          + "\(byteText(budget)) are in use")
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
