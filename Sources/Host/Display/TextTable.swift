import Foundation
import LuaBindings

/// A table for reading: aligned columns, numbers of a column to the same decimals.
struct TextTable {
  private typealias Cell = DataTable.Cell
  private let table: DataTable

  init(_ table: DataTable) { self.table = table }

  private var columns: [String] { table.columns }

  /// The table as lines that end in a line break.
  func text(terminal: Terminal) -> String {
    let shown = table.rows.prefix(max(0, table.limit ?? .max))
    var texts: [[String]] = [], isRight: [Bool] = []
    for column in columns.indices {
      let cells = shown.map { cell($0, column) }
      let numbers = cells.contains { $0.isNumber } && cells.allSatisfy { $0.isNumber || $0 == .empty }
      isRight.append(numbers)
      texts.append(TextTable.format(cells))
    }
    var widths = columns.indices.map { column in
      texts[column].reduce(displayWidth(oneLine(columns[column]))) { max($0, displayWidth($1)) }
    }
    if terminal.isTerminal { narrow(&widths, isRight: isRight, to: terminal.width) }
    func line(_ cells: [String]) -> String {
      cells.indices.map { padded(truncated(cells[$0], to: widths[$0]), to: widths[$0], right: isRight[$0]) }
        .joined(separator: "  ")
    }
    func trimmed(_ text: String) -> String { String(text.reversed().drop { $0 == " " }.reversed()) }
    let rule = terminal.hasUnicode ? "─" : "-"
    var lines = [
      terminal.styled(trimmed(line(columns.map(oneLine))), .bold),
      terminal.styled(widths.map { String(repeating: rule, count: $0) }.joined(separator: "  "), .dim),
    ]
    for row in shown.indices { lines.append(trimmed(line(columns.indices.map { texts[$0][row] }))) }
    if shown.count < table.rows.count {
      lines.append(
        terminal.styled("\(terminal.hasUnicode ? "…" : "...") \(table.rows.count - shown.count) more rows", .dim))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func cell(_ row: [Cell], _ column: Int) -> Cell { column < row.count ? row[column] : .empty }

  /// Takes columns from the widest text columns until the table fits.
  private func narrow(_ widths: inout [Int], isRight: [Bool], to width: Int) {
    var excess = widths.reduce(0, +) + 2 * max(0, widths.count - 1) - width
    while excess > 0 {
      guard let widest = widths.indices.filter({ !isRight[$0] && widths[$0] > 12 }).max(by: { widths[$0] < widths[$1] })
      else { return }
      let second = widths.indices.filter { $0 != widest && !isRight[$0] }.map { widths[$0] }.max() ?? 0
      let step = max(1, min(excess, widths[widest] - max(12, second)))
      widths[widest] -= step
      excess -= step
    }
  }

  /// The cells of one column. Numbers share their decimals: about four significant digits of the largest; a column that
  /// spans too many orders of magnitude for that is written number by number.
  static func format(_ cells: [DataTable.Cell]) -> [String] {
    let values = cells.compactMap { cell -> Double? in
      if case .number(let value) = cell, value.isFinite { return value }
      return nil
    }
    let decimals = commonDecimals(values)
    return cells.map { cell in
      switch cell {
      case .number(let value): return decimals.map { fixed(value, $0) } ?? shortNumber(value)
      default: return oneLine(cell.plain)
      }
    }
  }

  private static func commonDecimals(_ values: [Double]) -> Int? {
    let sizes = values.map(abs).filter { $0 > 0 }
    guard let largest = sizes.max(), let smallest = sizes.min() else { return 0 }
    if largest >= 1e9 || largest < 1e-4 || smallest < largest * 1e-6 { return nil }
    let decimals =
      max(0, min(6, 3 - Int(floor(log10(largest))))) + (largest >= 1 && largest < 10 && smallest < 0.01 ? 1 : 0)
    let texts = values.map { fixed($0, decimals) }
    let zeros = texts.map { text in text.contains(".") ? text.reversed().prefix { $0 == "0" }.count : 0 }.min() ?? 0
    return max(0, decimals - zeros)
  }

  private static func fixed(_ value: Double, _ decimals: Int) -> String {
    value.isFinite ? String(format: "%.\(decimals)f", value) : shortNumber(value)
  }
}

extension DataTable.Cell {
  fileprivate var isNumber: Bool {
    switch self {
    case .integer, .number: true
    default: false
    }
  }
}

/// A number to four significant digits: `0.3333`, `1.5e-07`, `nan`, `inf`.
func shortNumber(_ value: Double) -> String {
  if value.isNaN { return "nan" }
  if value.isInfinite { return value < 0 ? "-inf" : "inf" }
  return String(format: "%.4g", value)
}
