import Engine
import Foundation
import OrderedCollections

/// The folder of one run: `run.json` (what, versions, seeds, models, arguments), `rows.jsonl`, tensors and plots.
/// Every row reaches the disk before `row(_:)` returns, so a crash loses at most the row in progress.
public final class RunFolder {
  public let path: String

  /// Makes `runs/NAME/TIME` below the working folder, which no other run has. `facts` go into `run.json`.
  /// Throws `.file`, and `.argument` for a name that is no plain file name.
  public init(name: String, facts: OrderedDictionary<String, JSONValue>) throws {
    let base = try RunFolder.base(name)
    path = try RunFolder.makeUnused(base + "/" + RunFolder.timeStamp())
    try record(facts, name: name)
  }

  /// Opens `runs/NAME` itself, which is made where it is missing; see `record`.
  public init(shared name: String) throws {
    path = try RunFolder.base(name)
    try RunFolder.make(path)
  }

  private static func base(_ name: String) throws -> String {
    guard !name.isEmpty, name.utf8.count <= 100, !name.contains("/"), !name.hasPrefix("."),
      !name.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
    else {
      throw EngineError(.argument, "a run cannot be named '\(name)': use a plain word without / or a leading dot")
    }
    return "runs/\(name)"
  }

  private static func make(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw EngineError(.file, "the run folder \(path) cannot be made: \(error.localizedDescription)")
    }
  }

  /// What was run, with what: `run.json` the first time, a line of `resumed.jsonl` every time after it.
  func record(_ facts: OrderedDictionary<String, JSONValue>, name: String) throws {
    let time = JSONValue.string(ISO8601DateFormatter().string(from: Date()))
    let isFirst = access(path + "/run.json", F_OK) != 0
    var card: OrderedDictionary<String, JSONValue> =
      isFirst ? ["name": .string(name), "started": time] : ["time": time]
    card.merge(facts) { $1 }
    if isFirst {
      try write("run.json", JSONValue.object(card).text + "\n")
    } else {
      try append(.object(card), to: "resumed.jsonl")
    }
  }

  private static func timeStamp() -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = "yyyy-MM-dd'T'HH-mm-ss"
    return formatter.string(from: Date())
  }

  /// Makes `path`, or `path-2`, ... where it is taken; two processes never get the same.
  private static func makeUnused(_ path: String) throws -> String {
    try make(parentFolder(of: path))
    for number in 1...1000 {
      let candidate = number == 1 ? path : "\(path)-\(number)"
      if mkdir(candidate, 0o777) == 0 { return candidate }
      guard errno == EEXIST else {
        throw EngineError(.file, "the run folder \(candidate) cannot be made: \(String(cString: strerror(errno)))")
      }
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
      try RunFolder.make(parentFolder(of: target))
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
  public func row(_ row: JSONValue) throws { try append(row, to: "rows.jsonl") }

  private func append(_ value: JSONValue, to name: String) throws {
    let target = path + "/" + name
    func failure(_ what: String) -> EngineError {
      EngineError(.file, "cannot \(what) \(target): \(String(cString: strerror(errno)))")
    }
    let descriptor = open(target, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure("open") }
    defer { close(descriptor) }
    // A row that a crash cut short has no line end; it must not swallow this one.
    let bytes = Array(((RunFolder.endsInside(descriptor) ? "\n" : "") + value.text + "\n").utf8)
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("write") }
      rest = rest.dropFirst(count)
    }
    guard fsync(descriptor) == 0 else { throw failure("write") }
  }

  private static func endsInside(_ descriptor: Int32) -> Bool {
    let size = lseek(descriptor, 0, SEEK_END)
    var last: UInt8 = 0
    return size > 0 && pread(descriptor, &last, 1, size - 1) == 1 && last != 10
  }

  /// The lines of a file of JSON lines in order, and how many are damaged (cut short by a crash) and left out.
  public func lines(_ name: String) throws -> (values: [JSONValue], damaged: Int) {
    guard access(path + "/" + name, F_OK) == 0 else { return ([], 0) }
    let file = try MappedFile(path: path + "/" + name)
    let lines = file.bytes.split(separator: 10)
    let values = lines.compactMap {
      try? JSONValue(parsing: UnsafeRawBufferPointer(rebasing: $0), source: name)
    }
    return withExtendedLifetime(file) { (values, lines.count - values.count) }
  }
}
