import Foundation

/// Buffers of one forward pass, `[rows, ...]` each; they grow to the largest batch met and are reused.
final class ActivationBuffers {
  private(set) var rows = 0
  /// The residual stream `[rows, dModel]`.
  private(set) var stream: UnsafeMutablePointer<Float>
  /// Normed stream, the input of a sublayer.
  private(set) var normed: UnsafeMutablePointer<Float>
  /// A sublayer's output before it is added.
  private(set) var branch: UnsafeMutablePointer<Float>
  /// `[rows, (heads + 2 kvHeads) * dHead]`.
  private(set) var queryKeyValue: UnsafeMutablePointer<Float>
  /// `[rows, heads * dHead]`.
  private(set) var weighted: UnsafeMutablePointer<Float>
  /// `[rows, 2 dMLP]`: gate and up; `[rows, dMLP]` where the MLP has no gate.
  private(set) var gateUp: UnsafeMutablePointer<Float>
  /// `[rows, dMLP]`.
  private(set) var gated: UnsafeMutablePointer<Float>
  /// Absolute position of each row.
  private(set) var positions: UnsafeMutablePointer<Int32>

  private let configuration: ModelConfiguration
  private var memory: UnsafeMutablePointer<Float>

  init(_ configuration: ModelConfiguration) {
    self.configuration = configuration
    memory = .allocate(capacity: 1)
    (stream, normed, branch, queryKeyValue, weighted, gateUp, gated) =
      (memory, memory, memory, memory, memory, memory, memory)
    positions = .allocate(capacity: 1)
  }

  deinit {
    memory.deallocate()
    positions.deallocate()
  }

  private static func sizes(_ c: ModelConfiguration) -> [Int] {
    [
      c.dModel, c.dModel, c.dModel, (c.headCount + 2 * c.kvHeadCount) * c.dHead, c.headCount * c.dHead,
      (c.isGated ? 2 : 1) * c.dMLP,
      c.dMLP,
    ]
  }

  /// Bytes per row of a batch.
  static func bytesPerRow(_ configuration: ModelConfiguration) -> Int {
    sizes(configuration).reduce(0, +) * MemoryLayout<Float>.stride
  }

  /// Makes room for `wanted` rows. Throws `.memory` where the buffers alone would break the budget.
  func reserve(_ wanted: Int) throws {
    guard wanted > rows else { return }
    let bytes = wanted * ActivationBuffers.bytesPerRow(configuration)
    guard bytes <= TensorMemory.budget else {
      throw EngineError(
        .memory,
        "a batch of \(wanted) tokens needs \(byteText(bytes)) of buffers; the budget is \(byteText(TensorMemory.budget))"
      )
    }
    // Each buffer starts on its own cache line.
    let sizes = ActivationBuffers.sizes(configuration).map { ($0 * wanted + 31) / 16 * 16 }
    memory.deallocate()
    positions.deallocate()
    memory = UnsafeMutableRawPointer.allocate(byteCount: sizes.reduce(0, +) * 4, alignment: 64)
      .bindMemory(to: Float.self, capacity: sizes.reduce(0, +))
    positions = .allocate(capacity: wanted)
    var next = memory
    func take(_ i: Int) -> UnsafeMutablePointer<Float> {
      defer { next += sizes[i] }
      return next
    }
    (stream, normed, branch, queryKeyValue) = (take(0), take(1), take(2), take(3))
    (weighted, gateUp, gated) = (take(4), take(5), take(6))
    rows = wanted
  }
}
