import Engine
import Foundation

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
    result["PATH"] = "\(bin):\(result["PATH"] ?? "/usr/bin:/bin")"
    return result
  }

  /// How the next downloads go: "nopip", "offline", "hang", or "" for well.
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
