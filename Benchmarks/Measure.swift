import CKernels
import Engine
import Foundation

/// Prints one JSON line per case: `case`, `value`, `unit`, `share`, the fraction of this machine's own peak, measured
/// in the same run, and `resident_mb`. Cases to run are named as arguments, whole or by a first part (`decode1/`); none
/// means all. See `scripts/bench`.
struct Bench {
  let wanted: [String]

  func isWanted(_ name: String) -> Bool {
    wanted.isEmpty || wanted.contains { $0 == name || ($0.hasSuffix("/") && name.hasPrefix($0)) }
  }

  func report(_ name: String, _ value: Double, _ unit: String, share: Double? = nil) {
    var line = "{\"case\": \"\(name)\", \"value\": \(String(format: "%.4g", value)), \"unit\": \"\(unit)\""
    if let share { line += ", \"share\": \(String(format: "%.3f", share))" }
    line += ", \"resident_mb\": \(residentMegabytes())}"
    print(line)
    fflush(nil)
  }

  private func residentMegabytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * 4096 / 1_000_000
  }
}

/// With one thread (ACTHOST_THREADS=1) what counts is the processor's time, which neighbours on the machine disturb less.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = now()
  try body()
  return now() - start
}

private func now() -> Double {
  var time = timespec()
  clock_gettime(threadCount == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// The best of several runs: what the machine does when nobody disturbs it.
func best(of count: Int, _ body: () throws -> Void) rethrows -> Double {
  var least = Double.infinity
  for _ in 0..<count { least = min(least, try seconds(body)) }
  return least
}

/// Operations per second of all threads together, of one of `ck_fma_peak` and its like; nil where the CPU cannot.
func arithmeticPeak(_ measure: @escaping @convention(c) (Double) -> Double) -> Double? {
  let rates = UnsafeMutablePointer<Double>.allocate(capacity: threadCount)
  defer { rates.deallocate() }
  nonisolated(unsafe) let target = rates
  parallel(threadCount) { target[$0] = measure(0.3) }
  let sum = (0..<threadCount).reduce(0) { $0 + rates[$1] }
  return sum > 0 ? sum : nil
}

/// Bytes per second that all threads read together from memory far larger than the caches.
func readPeak() -> Double {
  let bytes = 512 << 20
  let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2 << 20)
  defer { memory.deallocate() }
  madvise(memory, bytes, 14)
  memset(memory, 1, bytes)
  let floats = memory.bindMemory(to: Float.self, capacity: bytes / 4)
  let part = bytes / threadCount / 4096 * 4096
  let times = (0..<9).map { _ in
    seconds { parallel(threadCount) { _ = ck_read(floats + $0 * part / 4, part) } }
  }
  return Double(part * threadCount) / times.sorted()[times.count / 2]
}

/// The machine's limits, measured before the cases: medians, what it sustains.
struct Peaks {
  let fma = arithmeticPeak(ck_fma_peak)!
  let read = readPeak()
  let bf16 = arithmeticPeak(ck_bf16_peak)
  let int8 = arithmeticPeak(ck_int8_peak)

  /// Operations per second of a precision's products.
  func arithmetic(_ precision: WeightPrecision) -> Double {
    switch precision {
    case .f32: fma
    case .bf16: bf16 ?? fma
    case .native: int8 ?? fma
    }
  }
}
