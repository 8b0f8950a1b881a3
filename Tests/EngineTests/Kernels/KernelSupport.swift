import CKernels
import Foundation

@testable import Engine

/// Every set of instructions that the kernels know; a CPU that lacks one runs the next below.
let cpuLevels: [ck_cpu_level] = [
  CK_CPU_PORTABLE, CK_CPU_AVX2, CK_CPU_AVX_VNNI, CK_CPU_AVX512, CK_CPU_NATIVE,
]

/// Runs `body` with the instructions of one level. Only kernels called on this thread see it.
func withCPU<R>(_ level: ck_cpu_level, _ body: () throws -> R) rethrows -> R {
  ck_cpu_limit(level)
  defer { ck_cpu_limit(CK_CPU_NATIVE) }
  return try body()
}

/// Memory that ends where the process may not read or write, so that a step too far is a crash.
final class GuardedMemory<Element> {
  let base: UnsafeMutablePointer<Element>
  let count: Int
  private let mapping: UnsafeMutableRawPointer
  private let mapped: Int

  /// `count` elements that end at the guard, or, with `aligned`, at the last cache line before it.
  init(_ count: Int, of value: Element, aligned: Bool = false) {
    let page = Int(getpagesize()), bytes = max(1, count) * MemoryLayout<Element>.stride
    let wanted = aligned ? (bytes + 63) & ~63 : bytes
    mapped = (wanted + page - 1) / page * page + page
    mapping = mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    mprotect(mapping + mapped - page, page, PROT_NONE)
    base = (mapping + mapped - page - wanted).bindMemory(to: Element.self, capacity: count)
    base.initialize(repeating: value, count: count)
    self.count = count
  }

  deinit { munmap(mapping, mapped) }

  var values: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}

extension GuardedMemory where Element == Float {
  convenience init(_ values: [Float]) {
    self.init(values.count, of: 0)
    for (i, value) in values.enumerated() { base[i] = value }
  }
}

func normals(_ count: Int, _ random: inout RandomGenerator) -> [Float] {
  (0..<count).map { _ in Float(random.normal()) }
}

/// Same numbers bit for bit, NaN among them.
func sameBits(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Bool {
  a.map(\.bitPattern) == b.map(\.bitPattern)
}

/// Where a block's half-precision scales are.
func scalePlaces(_ type: GGMLType) -> [Int] {
  switch type {
  case .q6_k: [208, 209]
  case .q4_1, .q5_1, .q4_k, .q5_k: [0, 1, 2, 3]
  default: [0, 1]
  }
}

/// Random blocks of a format whose half-precision scales are ordinary numbers, of either sign.
func randomBlocks(_ type: GGMLType, rows: Int, inputs: Int, _ random: inout RandomGenerator) -> [UInt8] {
  let (values, bytes) = type.block, count = rows * inputs / values
  var data = (0..<count * bytes).map { _ in UInt8(random.below(256)) }
  for block in 0..<count {
    for place in scalePlaces(type) where place % 2 == 1 {  // 2^-7 to 2^-6
      data[block * bytes + place] = 0x20 + UInt8(random.below(4)) + (random.below(2) == 0 ? 0x80 : 0)
    }
  }
  return data
}
