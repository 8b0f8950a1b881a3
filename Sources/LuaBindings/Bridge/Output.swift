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
  /// `detail`: a few words on how it goes.
  func progressUpdate(_ task: Int, done: Int, detail: String)
  /// The task has ended after `done` steps; `completed` is false when it failed or was interrupted.
  func progressEnd(_ task: Int, done: Int, completed: Bool)

  func show(_ table: DataTable)
  /// Draws `plot` in the terminal, or writes it to `file` (.svg or .png by extension). Throws when neither is possible.
  func draw(_ plot: Plot, file: String?) throws
}

extension Output {
  public func write(_ text: String) { write(Array(text.utf8)) }
  public func progressUpdate(_ task: Int, done: Int) { progressUpdate(task, done: done, detail: "") }
}

/// A table to show. The output decides on widths and digits.
public struct DataTable: Sendable {
  public enum Cell: Equatable, Sendable {
    case empty
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
  }
  public var columns: [String]
  /// Each as long as `columns`.
  public var rows: [[Cell]]
  /// Show at most so many rows, and say how many more there are.
  public var limit: Int?

  public init(columns: [String], rows: [[Cell]], limit: Int? = nil) {
    self.columns = columns
    self.rows = rows
    self.limit = limit
  }
}

/// What is to be drawn, whether as text or as a file.
public struct Plot: Sendable {
  /// A curve. `x` and `y` have the same length; NaN in `y` breaks the curve.
  public struct Series: Sendable {
    public var label: String
    public var x: [Double]
    public var y: [Double]
    public init(label: String, x: [Double], y: [Double]) {
      self.label = label
      self.x = x
      self.y = y
    }
  }

  public enum Content: Sendable {
    case line([Series])
    /// One bar for each label.
    case bar(labels: [String], values: [Double])
    /// `values[row][column]`, row 0 at the top; labels may be empty.
    case heatmap(values: [[Double]], rowLabels: [String], columnLabels: [String])
  }

  public var title: String
  public var xLabel: String
  public var yLabel: String
  public var content: Content

  public init(title: String = "", xLabel: String = "", yLabel: String = "", content: Content) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.content = content
  }
}
