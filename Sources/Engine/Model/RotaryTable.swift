import Foundation

/// Cosines and sines of rotary angles, `[positions, dimensions / 2]`, made as far as positions were asked for.
final class RotaryTable {
  /// Dimensions of a head that turn.
  let dimensions: Int
  private let frequencies: [Float]
  private let magnitude: Float
  /// The position of the first row.
  private let first: Int
  private(set) var count = 0
  private(set) var cosines: UnsafeMutablePointer<Float>
  private(set) var sines: UnsafeMutablePointer<Float>

  /// For frequencies that do not depend on a sequence's length, from position 0 on.
  convenience init(_ rotary: Rotary) { self.init(rotary, length: 0, first: 0) }

  /// For a sequence of `length` positions, from `first` on.
  init(_ rotary: Rotary, length: Int, first: Int) {
    dimensions = rotary.dimensions
    frequencies = rotary.frequencies(length: length)
    magnitude = Float(rotary.magnitude)
    self.first = first
    cosines = .allocate(capacity: 1)
    sines = .allocate(capacity: 1)
  }

  deinit {
    cosines.deallocate()
    sines.deallocate()
  }

  /// Makes the table cover `wanted` rows, and some more where it begins at 0 and will grow.
  func grow(to wanted: Int) {
    guard wanted > count else { return }
    let size = first == 0 ? max(wanted, 2 * count, 256) : wanted, half = frequencies.count
    let newCosines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    let newSines = UnsafeMutablePointer<Float>.allocate(capacity: size * half)
    for row in 0..<size {
      for i in 0..<half {
        let angle = Float(first + row) * frequencies[i]  // in float32, as transformers has it
        newCosines[row * half + i] = Float(cos(Double(angle))) * magnitude
        newSines[row * half + i] = Float(sin(Double(angle))) * magnitude
      }
    }
    cosines.deallocate()
    sines.deallocate()
    (cosines, sines, count) = (newCosines, newSines, size)
  }
}

/// Rows of a batch that one table turns.
struct RotaryRun {
  let rows: Range<Int>
  /// nil where positions are learned.
  let table: RotaryTable?
  /// Of each of `rows`, the row of the table.
  let positions: UnsafePointer<Int32>
}

/// The tables of a model's layers. Layers with the same rotary embedding share one.
final class RotaryTables {
  private let rotaries: [Rotary?]
  /// By layer; nil where there is none, or frequencies depend on the length.
  private let fixed: [RotaryTable?]
  /// Tables of rotary embeddings that depend on the length, of the forward pass under way.
  private var current: [Key: RotaryTable] = [:]
  /// 0, 1, 2, ...: rows of a table that begins with a sequence's first row.
  private var counting: [Int32] = []

  private struct Key: Hashable {
    let rotary: Rotary
    let span: Range<Int>
  }

  init(_ configuration: ModelConfiguration) {
    rotaries = configuration.layers.map(\.rotary)
    var known: [Rotary: RotaryTable] = [:]
    for case let rotary? in rotaries where !rotary.dependsOnLength {
      known[rotary] = known[rotary] ?? RotaryTable(rotary)
    }
    fixed = rotaries.map { $0.flatMap { known[$0] } }
  }

  /// Makes the tables cover a batch's positions.
  func prepare(_ sequences: [BatchSequence]) {
    current = [:]
    let furthest = sequences.map(\.span.upperBound).max() ?? 0
    for table in fixed { table?.grow(to: furthest) }
    let lengths = Set(rotaries).compactMap { $0 }.filter(\.dependsOnLength)
    guard !lengths.isEmpty else { return }
    let longest = sequences.map(\.span.count).max() ?? 0
    if counting.count < longest { counting = (0..<Int32(longest)).map { $0 } }
    for rotary in lengths {
      for sequence in sequences {
        let key = Key(rotary: rotary, span: sequence.span)
        guard current[key] == nil else { continue }
        let table = RotaryTable(rotary, length: sequence.span.upperBound, first: sequence.span.lowerBound)
        table.grow(to: sequence.span.count)
        current[key] = table
      }
    }
  }

  /// Calls `body` with all rows of the batch, run by run. `positions`: the absolute ones of its rows.
  func forEachRun(
    layer: Int, rows: Int, _ sequences: [BatchSequence], positions: UnsafePointer<Int32>, _ body: (RotaryRun) -> Void
  ) {
    guard let rotary = rotaries[layer], rotary.dependsOnLength else {
      return body(RotaryRun(rows: 0..<rows, table: fixed[layer], positions: positions))
    }
    counting.withUnsafeBufferPointer { counting in
      for sequence in sequences {
        body(
          RotaryRun(
            rows: sequence.row..<sequence.row + sequence.span.count,
            table: current[Key(rotary: rotary, span: sequence.span)], positions: counting.baseAddress!))
      }
    }
  }
}
