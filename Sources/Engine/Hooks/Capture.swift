/// Rows of activations that a run hands to a capture, valid during the call only.
public struct ActivationRows {
  public let site: Site
  public let layer: Int?
  /// 0-based place of the sequence in the request.
  public let sequence: Int
  /// 1-based absolute positions, one per row.
  public let positions: [Int]
  /// For each row its place among all that the selector means in this sequence, from 0: the order of a list, of which
  /// prompt and generated tokens come at different times. A row that comes again stands for the one before: with
  /// `{ match = }`, tokens are read anew when a text that they belong to is complete.
  public let slots: [Int]
  /// `[rows, ...]` for sites of rows; `[heads, rows, columns]` for attention matrices.
  public let shape: [Int]
  public let pointer: UnsafePointer<Float>

  public init(
    site: Site, layer: Int?, sequence: Int, positions: [Int], slots: [Int]? = nil, shape: [Int],
    pointer: UnsafePointer<Float>
  ) {
    self.site = site
    self.layer = layer
    self.sequence = sequence
    self.positions = positions
    self.slots = slots ?? Array(positions.indices)
    self.shape = shape
    self.pointer = pointer
  }

  /// Shape of one row: `[d_model]`, `[heads, d_head]`.
  public var rowShape: [Int] { Array(shape.dropFirst()) }
  /// Values per row.
  public var width: Int { shape.dropFirst().reduce(1, *) }

  /// A copy that may be kept.
  public func tensor() throws -> Tensor { try Tensor(copying: pointer, shape: shape) }
}

/// Asks a run for activations: after all interventions, edits included, per batch layer by layer, sequence by sequence.
public struct CaptureRequest {
  public let site: Site
  /// Ignored for `embed` and `final_norm`.
  public let layers: [Int]
  public let positions: PositionSelector
  /// Heads to take, 0-based, in this order; nil for all and for sites without heads.
  public let heads: [Int]?
  public let sink: (ActivationRows) throws -> Void

  public init(
    site: Site, layers: [Int], positions: PositionSelector = .all, heads: [Int]? = nil,
    sink: @escaping (ActivationRows) throws -> Void
  ) {
    self.site = site
    self.layers = layers
    self.positions = positions
    self.heads = heads
    self.sink = sink
  }
}
