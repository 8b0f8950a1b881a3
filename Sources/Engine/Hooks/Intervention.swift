/// How far an added vector reaches: as it is, as a unit vector, or as a fraction of each row's norm.
public enum AdditionScale: String, CaseIterable, Sendable { case raw, unit, relative }

/// What a hook function is told about the rows it gets.
public struct HookContext {
  public let site: Site
  public let layer: Int?
  /// 0-based place of the sequence in the request.
  public let sequence: Int
  /// 1-based absolute positions of the rows.
  public let positions: [Int]
  /// Whether the rows are of generated tokens.
  public let generated: Bool
}

/// Rows that replace a sequence's own: `values [positions.count, width]` at 1-based `positions`.
public struct ReplacementRows {
  public var positions: [Int]
  public var values: Tensor

  public init(positions: [Int], values: Tensor) {
    self.positions = positions
    self.values = values
  }
}

/// An edit of activations at some sites, layers and positions.
public struct Intervention {
  public enum Effect {
    /// x + coefficient v, v `[width]`.
    case add(Tensor, coefficient: Float, scale: AdditionScale)
    /// x - (x . v^) v^, v `[width]`.
    case ablate(Tensor)
    /// x = mean, `[width]` or a scalar. In attention matrices a scalar, for every position a row can see.
    case mean(Tensor)
    /// The selected rows of every sequence become `[rows, width]`; those of an attention matrix `[heads, rows,
    /// columns]`.
    case patch(Tensor)
    /// The same with values for each sequence of the run.
    case patchEach([Tensor])
    /// Attention scores of the selected rows' positions towards these positions become -inf: no information flows.
    case knockout(to: PositionSelector)
    /// Rows made per sequence before the run starts.
    case replace((_ sequence: Int, _ prompt: Prompt) throws -> ReplacementRows)
    /// Called once per sequence and forward with the selected rows; nil leaves them.
    case function((HookContext, Tensor) throws -> Tensor?)
  }

  /// `add`, `ablate`, ...: as scripts call it.
  public let kind: String
  public let places: [Place]
  /// An edit acts once for each entry of a list, in its order.
  public let positions: PositionSelector
  /// One for all places, or one for each.
  public let effects: [Effect]
  /// Heads it is limited to, 0-based, in their order; key-value heads at k and v. Rows are then `[heads, dHead]`.
  public let heads: [Int]?
  /// Whether firing zero times is an error and not a warning.
  public let isStrict: Bool

  public struct Place: Hashable, Sendable {
    public let site: Site
    public let layer: Int?

    public init(site: Site, layer: Int?) {
      self.site = site
      self.layer = layer
    }
  }

  public init(
    kind: String, places: [Place], positions: PositionSelector = .all, effect: Effect, isStrict: Bool = false
  ) {
    self.init(kind: kind, places: places, positions: positions, effects: [effect], isStrict: isStrict)
  }

  /// An edit of its own at each place, under one registration.
  public init(
    kind: String, places: [Place], positions: PositionSelector = .all, heads: [Int]? = nil, effects: [Effect],
    isStrict: Bool = false
  ) {
    precondition(effects.count == 1 || effects.count == places.count)
    self.kind = kind
    self.places = places
    self.positions = positions
    self.effects = effects
    self.heads = heads
    self.isStrict = isStrict
  }

  /// What happens at the place of index `index`.
  func effect(at index: Int) -> Effect { effects.count == 1 ? effects[0] : effects[index] }
}

/// What an intervention did in the last run.
public struct InterventionReport: Sendable {
  public let id: Int
  public let kind: String
  /// The site, or nil where it acts at several.
  public let site: Site?
  public let layers: [Int]
  public let positions: PositionSelector
  /// Visits that had at least one selected row.
  public var fired = 0
  public var rows = 0
  /// Sequences without the selected position.
  public var skipped = 0
  var changeSum = 0.0

  /// Mean over edited rows of |change| / |x|.
  public var change: Double { rows > 0 ? changeSum / Double(rows) : 0 }
}
