import Foundation

/// Cosines and sines of rotary angles, `[positions, dHead / 2]`, made as far as positions were asked for.
/// RoFormer (Su et al. 2021), with the halves of a head as pairs, as checkpoints have them.
final class RotaryTable {
  private let base: Double
  private let half: Int
  private(set) var count = 0
  private(set) var cosines: UnsafeMutablePointer<Float>
  private(set) var sines: UnsafeMutablePointer<Float>

  init(base: Double, dHead: Int) {
    self.base = base
    half = dHead / 2
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
    let size = max(wanted, 2 * count, 256)
    let newCosines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    let newSines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    // Angles as transformers computes them: float32 inverse frequencies times float32 positions.
    let inverse = (0..<half).map { Float(1 / pow(base, Double(2 * $0) / Double(2 * half))) }
    for position in 0..<size {
      for i in 0..<half {
        let angle = Float(position) * inverse[i]
        newCosines[position * half + i] = Float(cos(Double(angle)))
        newSines[position * half + i] = Float(sin(Double(angle)))
      }
    }
    cosines.deallocate()
    sines.deallocate()
    (cosines, sines, count) = (newCosines, newSines, size)
  }
}
