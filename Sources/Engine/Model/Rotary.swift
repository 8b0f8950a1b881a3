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
    /// A divisor for each frequency, as GGUF files carry them, and a factor for all.
    case divisors([Float], factor: Double)
    /// The base grows with a sequence longer than `context` (NTK-aware scaling). Keys in a cache stay as they were
    /// turned when they were made.
    case dynamic(factor: Double, context: Int)
    case yarn(Yarn)
    case longrope(LongRope)
  }

  /// YaRN (Peng et al. 2023, section 3.2): frequencies that turn rarely within the original context are divided by
  /// `factor`, those that turn often are kept, those between blended.
  public struct Yarn: Sendable, Hashable {
    public var factor: Double
    public var originalContext: Int
    /// Turns within the original context from which a frequency is kept, and below which it is divided.
    public var fast: Double
    public var slow: Double
    /// Whether the bounds of the blended stretch are rounded outwards to whole pairs.
    public var truncates: Bool
    /// Cosines and sines are multiplied by it.
    public var magnitude: Double
  }

  /// LongRoPE (Ding et al. 2024): a divisor for each frequency, one set for sequences within the original context and
  /// one for longer ones. Keys in a cache stay as they were turned when they were made.
  public struct LongRope: Sendable, Hashable {
    public var short: [Float]
    public var long: [Float]
    public var originalContext: Int
    /// Cosines and sines are multiplied by it.
    public var magnitude: Double
    /// As the file states it: the ratio of contexts.
    public var factor: Double
  }

  public var base: Double
  /// Dimensions of a head that turn, from the first on: all of them, or a part (Pythia).
  public var dimensions: Int
  public var scaling = Scaling.none

  /// Whether frequencies depend on how long a sequence is.
  var dependsOnLength: Bool {
    switch scaling {
    case .dynamic, .longrope: true
    default: false
    }
  }

  /// Whether sequences of up to `length` positions turn as their beginnings alone do.
  func isFixed(upTo length: Int) -> Bool {
    switch scaling {
    case .dynamic(_, let context): length <= context
    case .longrope(let rule): length <= rule.originalContext
    default: true
    }
  }

  /// What cosines and sines are multiplied by.
  var magnitude: Double {
    switch scaling {
    case .yarn(let yarn): yarn.magnitude
    case .longrope(let rule): rule.magnitude
    default: 1
    }
  }

  /// Positions that the scaling is made for, where the file says `stated` of the context.
  func context(stated: Int) -> Int {
    let scaled: Double =
      switch scaling {
      case .none, .llama3, .divisors: 0
      case .linear(let factor): factor * Double(stated)
      case .dynamic(let factor, let context): factor * Double(context)
      case .yarn(let yarn): yarn.factor * Double(yarn.originalContext)
      case .longrope(let rule): rule.factor * Double(rule.originalContext)
      }
    return scaled.isFinite ? max(stated, Int(min(scaled, 0x1p28))) : stated
  }

  /// Of a sequence within the original context.
  var frequencies: [Float] { frequencies(length: 0) }

  /// Radians per position of each pair, `[dimensions / 2]`, in a sequence of `length` positions, in float32 as
  /// transformers computes them.
  func frequencies(length: Int) -> [Float] {
    var base = base
    if case .dynamic(let factor, let context) = scaling {
      let ratio = Double(max(length, context)) / Double(context)
      base *= pow(factor * ratio - (factor - 1), Double(dimensions) / Double(dimensions - 2))
    }
    return (0..<dimensions / 2).map { i in
      let plain = 1 / pow(base, Double(2 * i) / Double(dimensions))
      switch scaling {
      case .none, .dynamic: return Float(plain)
      case .linear(let factor): return Float(plain / factor)
      case .divisors(let divisors, let factor): return Float(plain / factor) / divisors[i]
      case .llama3(let factor, let low, let high, let originalContext):
        let wavelength = 2 * Double.pi / plain, context = Double(originalContext)
        if wavelength < context / high { return Float(plain) }
        if wavelength > context / low { return Float(plain / factor) }
        let share = (context / wavelength - low) / (high - low)
        return Float((1 - share) * plain / factor + share * plain)
      case .yarn(let yarn):
        let divided = yarn.ramp(pair: i, base: base, dimensions: dimensions)
        return Float(plain / yarn.factor * divided + plain * (1 - divided))
      case .longrope(let rule):
        return Float(plain) / (length > rule.originalContext ? rule.long : rule.short)[i]
      }
    }
  }
}

extension Rotary.Yarn {
  /// The magnitude that goes with a factor where none is stated (equation 22), scaled by `weight`.
  static func magnitude(factor: Double, weight: Double = 1) -> Double {
    factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
  }

  /// How far a pair's frequency is divided: 0 where it is kept, 1 where it is divided wholly.
  fileprivate func ramp(pair: Int, base: Double, dimensions: Int) -> Double {
    func place(_ turns: Double) -> Double {
      Double(dimensions) * log(Double(originalContext) / (turns * 2 * .pi)) / (2 * log(base))
    }
    var low = place(fast), high = place(slow)
    if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    (low, high) = (max(low, 0), min(high, Double(dimensions - 1)))
    if low == high { high += 0.001 }
    return min(1, max(0, (Double(pair) - low) / (high - low)))
  }
}

extension Rotary.LongRope {
  /// The magnitude that goes with a factor where none is stated.
  static func magnitude(factor: Double, originalContext: Int) -> Double {
    factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalContext))).squareRoot()
  }
}

extension Rotary {
  func validate(headSize: Int, source: String) throws {
    func check(_ ok: Bool, _ what: String) throws {
      if !ok { throw EngineError(.file, "\(source): \(what)") }
    }
    func isPositive(_ values: Double...) -> Bool { values.allSatisfy { $0.isFinite && $0 > 0 } }
    func fit(_ divisors: [Float], _ what: String) throws {
      try check(
        divisors.count == dimensions / 2 && divisors.allSatisfy { $0.isFinite && $0 > 0 },
        "\(divisors.count) \(what) do not fit \(dimensions / 2) pairs")
    }
    try check(base.isFinite && base >= 1, "the rotary base is \(base)")
    try check(
      dimensions >= 2 && dimensions % 2 == 0 && dimensions <= headSize,
      "rotary embeddings turn \(dimensions) dimensions in pairs, of a head of \(headSize)")
    switch scaling {
    case .none: break
    case .linear(let factor): try check(isPositive(factor), "the rotary scaling factor is \(factor)")
    case .llama3(let factor, let low, let high, let context):
      try check(
        isPositive(factor, low, high) && high > low && context > 0,
        "the llama3 rotary scaling has factor \(factor), low \(low), high \(high), original context \(context)")
    case .divisors(let divisors, let factor):
      try fit(divisors, "rotary divisors")
      try check(isPositive(factor), "the rotary scaling factor is \(factor)")
    case .dynamic(let factor, let context):
      try check(
        isPositive(factor) && factor >= 1 && context > 0 && dimensions > 2,
        "the dynamic rotary scaling has factor \(factor), context \(context), and \(dimensions) dimensions")
    case .yarn(let yarn):
      try check(
        isPositive(yarn.factor, yarn.fast, yarn.slow, yarn.magnitude) && yarn.originalContext > 0 && base > 1,
        "the yarn rotary scaling has factor \(yarn.factor), beta_fast \(yarn.fast), beta_slow \(yarn.slow), "
          + "attention factor \(yarn.magnitude), original context \(yarn.originalContext)")
    case .longrope(let rule):
      try fit(rule.short, "short_factor values")
      try fit(rule.long, "long_factor values")
      try check(
        isPositive(rule.magnitude, rule.factor) && rule.originalContext > 0,
        "the longrope rotary scaling has attention factor \(rule.magnitude), factor \(rule.factor), original context "
          + "\(rule.originalContext)")
    }
  }
}
