import Engine
import Foundation
import OrderedCollections

/// The folder of one run: `run.json` (what, versions, seeds, models, arguments), `rows.jsonl`, tensors and plots.
/// Every row reaches the disk before `row(_:)` returns, so a crash loses at most the row in progress.
public final class RunFolder {
  public let path: String
  private let rowsPath: String

  /// Makes `runs/NAME/TIME` below the working folder, or `runs/NAME` itself when `isResumable`. `facts` go into
  /// `run.json`. Throws `.file`, and `.argument` for a name that is no plain file name.
  public init(name: String, isResumable: Bool = false, facts: OrderedDictionary<String, JSONValue>) throws {
    guard !name.isEmpty, name.utf8.count <= 100, !name.contains("/"), !name.hasPrefix(".") else {
      throw EngineError(.argument, "a run cannot be named '\(name)': use a plain word without / or a leading dot")
    }
    let base = "runs/\(name)"
    path = isResumable ? base : try RunFolder.unused(base + "/" + RunFolder.timeStamp())
    rowsPath = path + "/rows.jsonl"
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw EngineError(.file, "the run folder \(path) cannot be made: \(error.localizedDescription)")
    }
    var card: OrderedDictionary<String, JSONValue> = [
      "name": .string(name), "started": .string(ISO8601DateFormatter().string(from: Date())),
    ]
    card.merge(facts) { $1 }
    try write("run.json", JSONValue.object(card).text + "\n")
  }

  private static func timeStamp() -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = "yyyy-MM-dd'T'HH-mm-ss"
    return formatter.string(from: Date())
  }

  private static func unused(_ path: String) throws -> String {
    for number in 1...1000 {
      let candidate = number == 1 ? path : "\(path)-\(number)"
      if !FileManager.default.fileExists(atPath: candidate) { return candidate }
    }
    throw EngineError(.file, "no free run folder like \(path)")
  }

  /// Where a file of the run goes. Throws for names that lead out of the folder.
  public func file(_ name: String) throws -> String {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !name.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != ".." && $0 != "." }) else {
      throw EngineError(.argument, "'\(name)' is no file name within a run folder")
    }
    let target = path + "/" + name
    if parts.count > 1 {
      let folder = (target as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    return target
  }

  /// Writes a text file of the run atomically.
  public func write(_ name: String, _ text: String) throws {
    try AtomicFile.write(try file(name)) { file in
      let bytes = Array(text.utf8)
      try bytes.withUnsafeBytes { try file.write($0) }
    }
  }

  /// Appends one row and flushes it to the disk.
  public func row(_ row: JSONValue) throws {
    let descriptor = open(rowsPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure("open") }
    defer { close(descriptor) }
    // A row that a crash cut short has no line end; it must not swallow this one.
    let line = (endsInside(descriptor) ? "\n" : "") + row.text + "\n"
    let bytes = Array(line.utf8)
    guard bytes.withUnsafeBytes({ Foundation.write(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
      throw failure("write")
    }
    guard fsync(descriptor) == 0 else { throw failure("write") }
  }

  private func endsInside(_ descriptor: Int32) -> Bool {
    let reader = open(rowsPath, O_RDONLY | O_CLOEXEC)
    guard reader >= 0 else { return false }
    defer { close(reader) }
    guard lseek(reader, -1, SEEK_END) >= 0 else { return false }
    var last: UInt8 = 0
    return read(reader, &last, 1) == 1 && last != 10
  }

  private func failure(_ what: String) -> EngineError {
    EngineError(.file, "cannot \(what) \(rowsPath): \(String(cString: strerror(errno)))")
  }

  /// Rows written before, in order; a damaged last line is left out.
  public func rows() throws -> [JSONValue] {
    guard let data = FileManager.default.contents(atPath: rowsPath) else { return [] }
    return data.split(separator: 10).compactMap {
      try? JSONValue(parsing: String(decoding: $0, as: UTF8.self), source: rowsPath)
    }
  }

  /// Puts the rows of an earlier definition aside.
  public func setRowsAside() throws {
    let old = path + "/rows.before.jsonl"
    unlink(old)
    guard rename(rowsPath, old) == 0 || errno == ENOENT else { throw failure("rename") }
  }
}
