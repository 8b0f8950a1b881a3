import Foundation

/// Seeded random numbers, the same on every machine: SplitMix64 (Steele, Lea, Flood 2014) whose state starts as the
/// seed, 53-bit uniforms, and normals by Box and Muller computed in Double and rounded to Float.
public struct RandomGenerator: Sendable {
  private var state: UInt64
  private var spare: Double?

  public init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// In [0, 1).
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Mean 0, variance 1. Normals come in pairs; the second is kept for the next call.
  public mutating func normal() -> Double {
    if let value = spare {
      spare = nil
      return value
    }
    let radius = (-2 * log(1 - uniform())).squareRoot(), angle = 2 * Double.pi * uniform()
    spare = radius * sin(angle)
    return radius * cos(angle)
  }

  /// An integer in `0 ..< bound`, without bias.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0)
    let limit = UInt64(bound), unbiased = UInt64.max - UInt64.max % limit
    while true {
      let value = next()
      if value < unbiased { return Int(value % limit) }
    }
  }

  /// `0 ..< count` in random order (Fisher and Yates).
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, below(i + 1)) }
    return order
  }
}

extension Tensor {
  /// Independent normals of mean 0 and variance 1.
  public static func normal(_ shape: [Int], seed: Int) throws -> Tensor {
    let out = try Tensor(uninitialized: shape)
    var generator = RandomGenerator(seed: seed)
    for i in 0..<out.count { out.mutablePointer[i] = Float(generator.normal()) }
    return out
  }

  /// Independent uniforms in `range`.
  public static func uniform(_ shape: [Int], in range: Range<Float> = 0..<1, seed: Int) throws -> Tensor {
    let out = try Tensor(uninitialized: shape)
    var generator = RandomGenerator(seed: seed)
    let low = Double(range.lowerBound), width = Double(range.upperBound) - low
    for i in 0..<out.count { out.mutablePointer[i] = Float(low + width * generator.uniform()) }
    return out
  }
}
