import Foundation

/// Rotary position embedding of one layer. RoFormer (Su et al. 2021), with the halves of a head as pairs, as
/// checkpoints have them.
public struct Rotary: Sendable, Hashable {
  /// How frequencies are stretched for contexts longer than those of the first training.
  public enum Scaling: Sendable, Hashable {
    case none
    /// All frequencies divided by a factor (position interpolation, Chen et al. 2023).
    case linear(Double)
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, those between blended.
    case llama3(factor: Double, low: Double, high: Double, originalContext: Int)
    /// A divisor for each frequency, as GGUF files carry them.
    case divisors([Float])
  }

  public var base: Double
  /// Dimensions of a head that turn, from the first on: all of them, or a part (Pythia).
  public var dimensions: Int
  public var scaling = Scaling.none

  /// Radians per position of each pair, `[dimensions / 2]`, in float32 as transformers computes them.
  var frequencies: [Float] {
    (0..<dimensions / 2).map { i in
      let plain = 1 / pow(base, Double(2 * i) / Double(dimensions))
      switch scaling {
      case .none: return Float(plain)
      case .linear(let factor): return Float(plain / factor)
      case .divisors(let divisors): return Float(plain) / divisors[i]
      case .llama3(let factor, let low, let high, let originalContext):
        let wavelength = 2 * Double.pi / plain, context = Double(originalContext)
        if wavelength < context / high { return Float(plain) }
        if wavelength > context / low { return Float(plain / factor) }
        let share = (context / wavelength - low) / (high - low)
        return Float((1 - share) * plain / factor + share * plain)
      }
    }
  }

  func validate(headSize: Int, source: String) throws {
    func check(_ ok: Bool, _ what: String) throws {
      if !ok { throw EngineError(.file, "\(source): \(what)") }
    }
    try check(base.isFinite && base >= 1, "the rotary base is \(base)")
    try check(
      dimensions >= 2 && dimensions % 2 == 0 && dimensions <= headSize,
      "rotary embeddings turn \(dimensions) dimensions in pairs, of a head of \(headSize)")
    switch scaling {
    case .none: break
    case .linear(let factor): try check(factor.isFinite && factor > 0, "the rotary scaling factor is \(factor)")
    case .llama3(let factor, let low, let high, let context):
      try check(
        [factor, low, high].allSatisfy { $0.isFinite && $0 > 0 } && high > low && context > 0,
        "the llama3 rotary scaling has factor \(factor), low \(low), high \(high), original context \(context)")
    case .divisors(let divisors):
      try check(
        divisors.count == dimensions / 2 && divisors.allSatisfy { $0.isFinite && $0 > 0 },
        "\(divisors.count) rotary divisors do not fit \(dimensions / 2) pairs")
    }
  }
}

/// Cosines and sines of rotary angles, `[positions, dimensions / 2]`, made as far as positions were asked for.
final class RotaryTable {
  /// Dimensions of a head that turn.
  let dimensions: Int
  private let frequencies: [Float]
  private(set) var count = 0
  private(set) var cosines: UnsafeMutablePointer<Float>
  private(set) var sines: UnsafeMutablePointer<Float>

  init(_ rotary: Rotary) {
    dimensions = rotary.dimensions
    frequencies = rotary.frequencies
    cosines = .allocate(capacity: 1)
    sines = .allocate(capacity: 1)
  }

  deinit {
    cosines.deallocate()
    sines.deallocate()
  }

  /// Makes the table cover positions `0 ..< wanted`.
  func grow(to wanted: Int) {
    guard wanted > count else { return }
    let size = max(wanted, 2 * count, 256), half = frequencies.count
    let newCosines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    let newSines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    for position in 0..<size {
      for i in 0..<half {
        let angle = Float(position) * frequencies[i]  // in float32, as transformers has it
        newCosines[position * half + i] = Float(cos(Double(angle)))
        newSines[position * half + i] = Float(sin(Double(angle)))
      }
    }
    cosines.deallocate()
    sines.deallocate()
    (cosines, sines, count) = (newCosines, newSines, size)
  }
}
