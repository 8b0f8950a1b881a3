import Engine
import Foundation
import OrderedCollections

/// A grid of experiments in `runs/NAME` that goes on where it stopped.
///
/// Every row on disk carries the hash of the definition it follows from (see `Dependencies`) and the digests of files
/// that were read while it was made. Only rows of the same definition, with the same files, are taken from disk. Rows of
/// other definitions stay where they are and are found again when the definition comes back.
public final class Sweep {
  /// What a call of `run` has to give.
  public struct Outcome {
    /// In the grid's order, each the point's values and the results together.
    public var rows: [JSONValue]
    /// Ctrl-C came before the last one.
    public var isInterrupted: Bool
  }

  public let folder: RunFolder
  private let grid: Grid
  private let definition: String
  /// Counts the times the definition was begun `fresh`: only rows of the last time count.
  private let attempt: Int
  private let files: InputFiles
  private var results: [String: OrderedDictionary<String, JSONValue>] = [:]
  private var lock: FolderLock?

  /// What people should know before it starts: how many rows come from which folder, and why others do not.
  public private(set) var notes: [String] = []

  /// Opens or makes the folder and reads what is there. The first call writes `run.json`; every later one appends a
  /// line to `resumed.jsonl`. Throws `.file`, also while another process writes to the folder, and `.argument`.
  public init(
    name: String, grid: Grid, dependencies: Dependencies, facts: OrderedDictionary<String, JSONValue>, fresh: Bool,
    files: InputFiles = InputFiles()
  ) throws {
    self.grid = grid
    self.files = files
    let definition = dependencies.hash
    self.definition = definition
    folder = try RunFolder(shared: name)
    lock = try FolderLock(folder: folder.path)
    let earlier = try folder.lines("resumed.jsonl").values
    let freshBefore = earlier.filter { $0["definition"]?.string == definition && $0["fresh"]?.bool == true }.count
    attempt = 1 + freshBefore + (fresh ? 1 : 0)
    let (rows, damaged) = try folder.lines("rows.jsonl")
    try take(rows, dependencies)
    if damaged > 0 { notes.append("\(damaged) damaged line\(damaged == 1 ? "" : "s") of rows.jsonl left out") }
    if !dependencies.unknown.isEmpty {
      notes.append(
        "cannot be compared with the last time: \(dependencies.unknown.joined(separator: "; ")). "
          + "If one of them has changed, say fresh = true")
    }
    var call = facts
    call["definition"] = .string(definition)
    call["grid"] = .object(grid.axes.mapValues { .array($0) })
    if fresh { call["fresh"] = .bool(true) }
    try folder.record(call, name: name)
    try record(dependencies)
  }

  private func take(_ rows: [JSONValue], _ dependencies: Dependencies) throws {
    var others: [String] = []
    var changedFiles: OrderedSet<String> = [], changedRows = 0, replaced = 0
    for row in rows {
      guard let point = row["point"]?.object, let result = row["result"]?.object,
        let written = row["definition"]?.string
      else {
        others.append("")
        continue
      }
      guard written == definition else {
        others.append(written)
        continue
      }
      guard row["attempt"]?.int ?? 1 == attempt else {
        replaced += 1
        continue
      }
      let changed = try (row["files"]?.object ?? [:]).filter { try files.digest($0.key) != $0.value.string }
      if changed.isEmpty {
        results[Grid.key(point)] = result
      } else {
        changedRows += 1
        changedFiles.formUnion(changed.keys)
      }
    }
    let stored = (0..<grid.count).reduce(0) { $0 + (results[Grid.key(grid[$1])] == nil ? 0 : 1) }
    notes.append("\(stored) of \(grid.count) rows from disk (\(folder.path))")
    if changedRows > 0 {
      let names = changedFiles.prefix(3).joined(separator: ", ")
      notes.append("\(changedRows) made again because \(names) changed")
    }
    if replaced > 0 { notes.append("\(replaced) older ones are kept there and not used, because of fresh = true") }
    if let last = others.last {
      var text = "\(others.count) rows of other definitions are kept there and not used"
      let differences = try knownDefinition(last).map { dependencies.differences(from: $0) } ?? []
      if !differences.isEmpty {
        text += " (differs from the last: \(differences.prefix(5).joined(separator: ", "))"
        text += differences.count > 5 ? " and \(differences.count - 5) more)" : ")"
      }
      notes.append(text)
    }
  }

  /// Makes the rows that are missing. `body` gets a point and gives a table of results. `interruptions` counts Ctrl-C:
  /// a row during which it grows is thrown away, and what is done is handed back. `update` gets the rows done.
  public func run(
    interruptions: () -> Int, update: (Int) -> Void, _ body: (JSONValue) throws -> JSONValue
  ) throws -> Outcome {
    defer { lock = nil }
    try Interrupt.check()  // from before: no interruption of this sweep
    var outcome = Outcome(rows: [], isInterrupted: false)
    let started = InputFiles.startOfTime()
    var inputs: Set<String> = []
    for index in 0..<grid.count {
      let point = grid[index], key = Grid.key(point)
      if results[key] == nil, !outcome.isInterrupted {
        let before = interruptions()
        do {
          try Interrupt.check()
          let (value, read) = try FileReads.recording { try body(.object(point)) }
          if interruptions() == before, !Interrupt.isRequested {
            let result = try check(value)
            for path in read where !InputFiles.isNewer(path, than: started) { inputs.insert(path) }
            try write(point, result, read: read.filter(inputs.contains))
            results[key] = result
          } else {
            outcome.isInterrupted = true
          }
        } catch {
          guard interruptions() != before || Interrupt.isRequested else { throw error }
          outcome.isInterrupted = true
        }
      }
      guard let result = results[key] else { continue }
      outcome.rows.append(.object(point.merging(result) { $1 }))
      update(outcome.rows.count)
    }
    return outcome
  }

  private func check(_ value: JSONValue) throws -> OrderedDictionary<String, JSONValue> {
    guard let result = value.object else {
      throw EngineError(.argument, "run must return a table of named results, found \(value.kind)")
    }
    if let name = result.keys.first(where: { grid.axes[$0] != nil }) {
      throw EngineError(
        .argument, "run returns a result named '\(name)', which is an axis of the grid; give it another name")
    }
    return result
  }

  private func write(
    _ point: OrderedDictionary<String, JSONValue>, _ result: OrderedDictionary<String, JSONValue>, read: [String]
  ) throws {
    var row: OrderedDictionary<String, JSONValue> = ["definition": .string(definition)]
    if attempt > 1 { row["attempt"] = .integer(attempt) }
    row["point"] = .object(point)
    row["result"] = .object(result)
    if !read.isEmpty {
      row["files"] = .object(
        OrderedDictionary(uniqueKeysWithValues: try read.sorted().map { ($0, .string(try files.digest($0))) }))
    }
    try folder.row(.object(row))
  }

  // MARK: definitions

  /// `definitions/HASH.json`: what a definition consists of, so that a later one can say what is different.
  private func record(_ dependencies: Dependencies) throws {
    let name = "definitions/\(definition).json"
    let target = try folder.file(name)
    guard access(target, F_OK) != 0 else { return }
    let digests = dependencies.digests.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
    let card: OrderedDictionary<String, JSONValue> = [
      "digests": .object(OrderedDictionary(uniqueKeysWithValues: digests)),
      "not compared": .array(dependencies.unknown.map { .string($0) }),
    ]
    try folder.write(name, JSONValue.object(card).indentedText + "\n")
  }

  private func knownDefinition(_ hash: String) throws -> [String: String]? {
    guard !hash.isEmpty, hash.allSatisfy(\.isHexDigit) else { return nil }
    guard let card = try? JSONValue(path: try folder.file("definitions/\(hash).json")) else { return nil }
    return card["digests"]?.object.map { Dictionary(uniqueKeysWithValues: $0.map { ($0.key, $0.value.string ?? "") }) }
  }
}
