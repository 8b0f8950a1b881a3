import CShim
import Engine
import Foundation

/// Output to standard output and standard error, or kept for a test: no colour, no progress lines, plots as numbers.
public final class PlainOutput: Output {
  public let isTerminal = false
  public let width = 100
  public let colour = false
  /// What was written, when made with `keeping`.
  public private(set) var written: [UInt8] = []
  public private(set) var notes: [String] = []
  public private(set) var tasks: [(label: String, total: Int?, done: Int, completed: Bool?)] = []
  private let keeping: Bool

  /// `keeping` collects everything instead of printing it.
  public init(keeping: Bool = false) { self.keeping = keeping }

  /// Kept text, with damaged UTF-8 repaired.
  public var text: String { String(decoding: written, as: UTF8.self) }

  public func write(_ bytes: [UInt8]) {
    if keeping {
      written += bytes
    } else {
      bytes.withUnsafeBufferPointer { act_write($0.baseAddress, $0.count) }
    }
  }

  public func note(_ text: String) {
    if keeping {
      notes.append(text)
    } else {
      act_flush()
      writeToStandardError(printable(text) + "\n")
    }
  }

  public func progressBegin(_ label: String, total: Int?) -> Int {
    tasks.append((label, total, 0, nil))
    return tasks.count - 1
  }
  public func progressUpdate(_ task: Int, done: Int, detail: String) { tasks[task].done = done }
  public func progressEnd(_ task: Int, done: Int, completed: Bool) {
    tasks[task].done = done
    tasks[task].completed = completed
  }

  public func show(_ table: DataTable) {
    let shown = table.rows.prefix(table.limit ?? .max)
    let lines = [table.columns] + shown.map { $0.map(\.plain) }
    write(lines.map { $0.joined(separator: "\t") + "\n" }.joined())
    if shown.count < table.rows.count { write("... \(table.rows.count - shown.count) more rows\n") }
  }

  public func draw(_ plot: Plot, file: String?) throws {
    guard file == nil else {
      throw EngineError(.missing, "plots to files need the host program; this output only writes text")
    }
    write("plot: \(plot.title)\n")
  }
}

extension DataTable.Cell {
  /// The cell as it would stand alone.
  public var plain: String {
    switch self {
    case .empty: ""
    case .text(let text): text
    case .integer(let value): "\(value)"
    case .number(let value): numberText(value)
    case .boolean(let value): "\(value)"
    }
  }
}
