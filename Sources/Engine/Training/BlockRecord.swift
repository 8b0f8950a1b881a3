import CKernels

/// What one block's forward pass leaves for its gradients, `[rows, ...]` each. What is cheap to make again is not kept.
final class BlockRecord {
  enum Part: Int, CaseIterable {
    /// The stream that enters the block.
    case entry
    /// Queries, keys, values before QK-norm.
    case unnormed
    /// The same after QK-norm and rotary.
    case queryKeyValue
    /// Weighted values.
    case weighted
    /// The attention's output before its post-norm.
    case attentionBranch
    /// The stream between attention and MLP.
    case middle
    case gateUp
    /// The MLP's output before its post-norm.
    case mlpBranch

    func width(_ c: ModelConfiguration) -> Int {
      switch self {
      case .entry: c.dModel
      case .unnormed: c.queryKeyNorm ? (c.headCount + 2 * c.kvHeadCount) * c.dHead : 0
      case .queryKeyValue: (c.headCount + 2 * c.kvHeadCount) * c.dHead
      case .weighted: c.headCount * c.dHead
      case .attentionBranch, .mlpBranch: c.postNorms ? c.dModel : 0
      case .middle: c.isParallel ? 0 : c.dModel
      case .gateUp: (c.isGated ? 2 : 1) * c.dMLP
      }
    }
  }

  private let widths: [Int]
  private var memory: Tensor?
  private var starts: [Int] = []
  private var capacity = 0

  /// With `onlyEntry`, the rest is made again when gradients want it.
  init(_ configuration: ModelConfiguration, onlyEntry: Bool) {
    widths = Part.allCases.map { onlyEntry && $0 != .entry ? 0 : $0.width(configuration) }
  }

  func reserve(_ wanted: Int) throws {
    guard wanted > capacity else { return }
    let rows = (wanted + 255) / 256 * 256  // batches of about one size share the memory
    memory = nil
    var total = 0
    starts = widths.map { width in
      defer { total += (width * rows + 15) / 16 * 16 }
      return total
    }
    memory = try Tensor(uninitialized: [total])
    capacity = rows
  }

  /// nil where the part is not kept.
  subscript(_ part: Part) -> UnsafeMutablePointer<Float>? {
    widths[part.rawValue] == 0 ? nil : memory!.mutablePointer + starts[part.rawValue]
  }

  func save(_ part: Part, _ source: UnsafePointer<Float>, rows: Int) {
    guard let target = self[part] else { return }
    let width = widths[part.rawValue]
    parallelRanges(rows, minimum: 64) { range in
      (target + range.lowerBound * width).update(from: source + range.lowerBound * width, count: range.count * width)
    }
  }
}

/// What a forward pass leaves for gradients.
final class ForwardRecord {
  let blocks: [BlockRecord]
  /// Serves one block after the other, where blocks keep their entry only.
  let remade: BlockRecord?

  /// With `recomputing`, blocks are run again for their gradients: a third more work, a fraction of the memory.
  init(_ configuration: ModelConfiguration, recomputing: Bool) {
    blocks = configuration.layers.map { _ in BlockRecord(configuration, onlyEntry: recomputing) }
    remade = recomputing ? BlockRecord(configuration, onlyEntry: false) : nil
  }

  func reserve(_ rows: Int) throws {
    for block in blocks { try block.reserve(rows) }
    try remade?.reserve(rows)
  }

  /// Bytes for `rows` rows when nothing is made again.
  static func bytes(_ c: ModelConfiguration, rows: Int) -> Int {
    BlockRecord.Part.allCases.reduce(0) { $0 + $1.width(c) } * rows * c.layerCount * MemoryLayout<Float>.stride
  }
}
