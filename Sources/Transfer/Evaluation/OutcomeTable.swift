import Engine
import Foundation

/// What several treatments of the same prompts came to, compared prompt by prompt, and what may be said of it.
public struct OutcomeTable: Sendable {
  public enum Role: String, CaseIterable, Sendable {
    /// Nothing was done: what the others are compared with. Exactly one row.
    case control
    /// The vector of the model itself: what mapped ones are compared with. One row at most.
    case native
    case mapped
    /// One draw of a random control.
    case random
    case other
  }

  /// One treatment and its outcome on every prompt.
  public struct Row: Sendable {
    public let name: String
    public let role: Role
    public let outcomes: [Bool]
    /// Of a random row: how it was drawn. Draws of different kinds are never pooled.
    public let kind: String

    public init(_ name: String, _ role: Role, _ outcomes: [Bool], kind: String = "random") {
      (self.name, self.role, self.outcomes, self.kind) = (name, role, outcomes, kind)
    }

    public var rate: Rate { Rate(hits: outcomes.count { $0 }, of: outcomes.count) }
  }

  /// A row against the control, or a mapped one against the native one.
  public struct Comparison: Sendable {
    public let row: String, against: String
    /// `difference` is the row's rate less the other's.
    public let paired: PairedComparison
    /// Holm's p over all comparisons of its kind (Holm 1979).
    public fileprivate(set) var adjusted: Double
    /// Against the native row, where a margin was stated.
    public let equivalence: Equivalence?
  }

  public let rows: [Row]
  /// Every row but the control and the random ones, against the control; then mapped rows against the native one.
  public let comparisons: [Comparison]
  /// A row against the draws of one kind of random control.
  public struct DrawTest: Sendable {
    public let row: String, kind: String
    public let draws: Int
    /// Smallest and largest rate of the draws.
    public let low: Double, high: Double
    /// Share of draws, the row itself counted, that moved the control's rate as far in the row's direction.
    public let p: Double
  }
  public let drawTests: [DrawTest]
  /// One sentence for each thing that was tested.
  public let sentences: [String]

  /// `margin`: the largest difference of rates that counts as none. Throws `.argument` where the rows are not of the same
  /// prompts or the roles do not fit.
  public init(_ rows: [Row], margin: Double? = nil, alpha: Double = 0.05) throws {
    func having(_ role: Role) -> [Row] { rows.filter { $0.role == role } }
    guard having(.control).count == 1, having(.native).count <= 1 else {
      throw EngineError(
        .argument,
        "\(having(.control).count) rows are the control and \(having(.native).count) native: one control is needed, and one "
          + "native row at most")
    }
    let control = having(.control)[0], native = having(.native).first, draws = having(.random)
    guard Set(rows.map(\.name)).count == rows.count else {
      throw EngineError(.argument, "two rows have one name; number the draws of a random control")
    }
    for row in rows where row.outcomes.count != control.outcomes.count || row.outcomes.isEmpty {
      throw EngineError(
        .argument,
        "row \"\(row.name)\" has \(row.outcomes.count) outcomes and \"\(control.name)\" \(control.outcomes.count): all rows "
          + "need the same prompts, in the same order")
    }
    let treated = rows.filter { [.native, .mapped, .other].contains($0.role) }
    let first = try OutcomeTable.adjusted(
      treated.map { row in
        Comparison(
          row: row.name, against: control.name, paired: try PairedComparison(row.outcomes, control.outcomes),
          adjusted: 1, equivalence: nil)
      })
    var second: [Comparison] = []
    if let native {
      second = try OutcomeTable.adjusted(
        having(.mapped).map { row in
          Comparison(
            row: row.name, against: native.name, paired: try PairedComparison(row.outcomes, native.outcomes),
            adjusted: 1,
            equivalence: try margin.map {
              try Equivalence(row.outcomes, native.outcomes, margin: $0, paired: true, alpha: alpha)
            })
        })
    }
    self.rows = rows
    comparisons = first + second
    var kinds: [String] = []
    for draw in draws where !kinds.contains(draw.kind) { kinds.append(draw.kind) }
    let tests = treated.flatMap { row in
      kinds.map { kind in DrawTest(row, control, kind, draws.filter { $0.kind == kind }) }
    }
    drawTests = tests
    let effects = first.map { OutcomeTable.effect($0, alpha) }
    sentences =
      effects + second.map { OutcomeTable.sameness($0, margin, alpha) } + tests.map { OutcomeTable.draws($0, alpha) }
  }

  private static func adjusted(_ comparisons: [Comparison]) throws -> [Comparison] {
    var out = comparisons, running = 0.0
    let order = out.indices.sorted { out[$0].paired.p < out[$1].paired.p }
    for (place, index) in order.enumerated() {
      running = max(running, min(1, out[index].paired.p * Double(order.count - place)))
      out[index].adjusted = running
    }
    return out
  }

  // MARK: Sentences

  private static func effect(_ comparison: Comparison, _ alpha: Double) -> String {
    let paired = comparison.paired
    let verdict =
      comparison.adjusted < alpha
      ? "a difference from \(comparison.against)" : "no difference from \(comparison.against) is shown"
    return "\(comparison.row): \(percent(paired.b)) to \(percent(paired.a)) of \(paired.count) prompts, "
      + "\(points(paired)), \(pText(comparison.adjusted)): \(verdict)."
  }

  private static func sameness(_ comparison: Comparison, _ margin: Double?, _ alpha: Double) -> String {
    let paired = comparison.paired
    let start = "\(comparison.row) against \(comparison.against): \(points(paired)), \(pText(comparison.adjusted))"
    let differs = comparison.adjusted < alpha
    guard let margin, let test = comparison.equivalence else {
      return start
        + (differs ? ": they differ." : ": no difference is shown; whether they are the same needs a margin.")
    }
    let within = "within \(Int((100 * margin).rounded())) points"
    switch (differs, test.isEquivalent) {
    case (true, true): return start + ": they differ, but \(within) (\(pText(test.p)))."
    case (true, false): return start + ": they differ."
    case (false, true): return start + ": the same \(within) (\(pText(test.p)))."
    case (false, false): return start + ": neither a difference nor sameness \(within) is shown (\(pText(test.p)))."
    }
  }

  private static func draws(_ test: DrawTest, _ alpha: Double) -> String {
    let least = 1 / Double(test.draws + 1)
    let start =
      "\(test.row) against \(test.draws) \(test.kind) draw\(test.draws == 1 ? "" : "s") "
      + "(\(percent(test.low)) to \(percent(test.high)))"
    // Fewer draws allow no p so small.
    guard least <= alpha + 1e-12 else {
      let needed = Int((1 / alpha - 1e-9).rounded(.up)) - 1
      return start + ": too few to say that it does more than chance; \(needed) are needed."
    }
    let verdict: String
    if test.p > alpha + 1e-12 {
      verdict = "draws do as much, so no effect of its direction is shown"
    } else {
      verdict = test.p <= least + 1e-12 ? "it does more than any draw" : "it does more than nearly all draws"
    }
    return start + ": \(verdict) (\(pText(test.p)))."
  }

  private static func percent(_ rate: Double) -> String { "\(Int((100 * rate).rounded())) %" }

  private static func points(_ paired: PairedComparison) -> String {
    func signed(_ value: Double) -> String { String(format: "%+.0f", (100 * value).rounded() + 0.0) }
    return "\(signed(paired.difference)) points [\(signed(paired.low)), \(signed(paired.high))]"
  }

  private static func pText(_ p: Double) -> String { p < 1e-4 ? "p < 0.0001" : String(format: "p = %.2g", p) }
}

extension OutcomeTable.DrawTest {
  fileprivate init(
    _ row: OutcomeTable.Row, _ control: OutcomeTable.Row, _ kind: String, _ draws: [OutcomeTable.Row]
  ) {
    let base = control.rate.rate, effect = row.rate.rate - base, sign: Double = effect < 0 ? -1 : 1
    let rates = draws.map(\.rate.rate)
    let farther = rates.count { sign * ($0 - base) >= abs(effect) - 1e-12 }
    self.init(
      row: row.name, kind: kind, draws: draws.count, low: rates.min() ?? .nan, high: rates.max() ?? .nan,
      p: Double(farther + 1) / Double(draws.count + 1))
  }
}
