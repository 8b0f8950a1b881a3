/// Where a script's words, tables, progress and plots go. The host program implements it for a terminal; tests and
/// pipes use `PlainOutput`.
public protocol Output: AnyObject {
  /// Whether people watch: colour, progress lines and plots in characters make sense.
  var isTerminal: Bool { get }
  /// Columns of the terminal, or 100.
  var width: Int { get }
  var colour: Bool { get }

  /// What `print` writes: bytes as they are, no newline added.
  func write(_ bytes: [UInt8])
  /// A line for people beside the results (standard error), without newline.
  func note(_ text: String)

  /// A task of `total` steps (nil: unknown) has begun. Tasks nest.
  func progressBegin(_ label: String, total: Int?) -> Int
  func progressUpdate(_ task: Int, done: Int)
  /// The task has ended after `done` steps; `completed` is false when it failed or was interrupted.
  func progressEnd(_ task: Int, done: Int, completed: Bool)

  func show(_ table: TextTable)
  /// Draws `plot` in the terminal, or writes it to `file` (.svg or .png by extension). Throws when neither is possible.
  func draw(_ plot: Plot, file: String?) throws
}

extension Output {
  public func write(_ text: String) { write(Array(text.utf8)) }
}

/// A table ready to print: columns with headers, cells as text.
public struct TextTable: Sendable {
  public struct Column: Sendable {
    public let name: String
    /// Numbers are set to the right.
    public let isNumeric: Bool
    public init(name: String, isNumeric: Bool) {
      self.name = name
      self.isNumeric = isNumeric
    }
  }
  public var columns: [Column]
  public var rows: [[String]]
  /// Rows that `limit` left out.
  public var omitted: Int

  public init(columns: [Column], rows: [[String]], omitted: Int = 0) {
    self.columns = columns
    self.rows = rows
    self.omitted = omitted
  }

  /// The table as lines of at most `width` columns, header first; long cells end in `…`.
  public func lines(width: Int) -> [String] {
    guard !columns.isEmpty else { return ["(no columns)"] }
    var widths = columns.indices.map { column in
      max(columns[column].name.count, rows.lazy.map { $0[column].count }.max() ?? 0)
    }
    // Narrow the widest text columns until the line fits, but none below 8.
    while widths.reduce(0, +) + 2 * (widths.count - 1) > max(20, width),
      let widest = widths.indices.filter({ !columns[$0].isNumeric && widths[$0] > 8 }).max(by: { widths[$0] < widths[$1] })
    { widths[widest] -= 1 }
    func line(_ cells: [String]) -> String {
      let padded = cells.indices.map { column -> String in
        var cell = cells[column]
        if cell.count > widths[column] { cell = cell.prefix(widths[column] - 1) + "…" }
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return columns[column].isNumeric ? space + cell : cell + space
      }
      var text = padded.joined(separator: "  ")
      while text.last == " " { text.removeLast() }
      return text
    }
    var lines = [line(columns.map(\.name)), widths.map { String(repeating: "-", count: $0) }.joined(separator: "  ")]
    lines += rows.map(line)
    if omitted > 0 { lines.append("... \(omitted) more rows") }
    return lines
  }
}

/// What is to be drawn, without how.
public struct Plot: Sendable {
  public struct Series: Sendable {
    public var name: String
    /// As many as `y`; for bars the places 1, 2, ... (see `Plot.categories`).
    public var x: [Double]
    public var y: [Double]
    public init(name: String, x: [Double], y: [Double]) {
      self.name = name
      self.x = x
      self.y = y
    }
  }
  public enum Kind: Sendable {
    case line([Series])
    case bar([Series])
    /// Rows from top to bottom; all of one length.
    case heatmap([[Double]])
  }
  public var kind: Kind
  public var title: String
  public var xLabel: String
  public var yLabel: String
  /// Names of the bars or of the heatmap's columns; empty for numbers.
  public var categories: [String]
  /// Names of the heatmap's rows; empty for numbers.
  public var rowNames: [String]

  public init(
    kind: Kind, title: String = "", xLabel: String = "", yLabel: String = "", categories: [String] = [],
    rowNames: [String] = []
  ) {
    self.kind = kind
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.categories = categories
    self.rowNames = rowNames
  }
}
