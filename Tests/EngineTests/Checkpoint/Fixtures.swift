import Foundation

@testable import Engine

/// Files beside the repository (`../shared/fixtures`) and in the model store; tests without them skip with a reason.
enum Files {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// A fixture's path, or nil with a printed reason.
  static func fixture(_ name: String) -> String? {
    let path = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/\(name)").path
    if FileManager.default.fileExists(atPath: path) { return path }
    print("skipped: \(path) is absent")
    return nil
  }

  /// A packaged model of the store, or nil with a printed reason.
  static func model(_ name: String) -> String? {
    let environment = ProcessInfo.processInfo.environment
    let home = environment["HOME"] ?? "/root"
    let store = environment["ACTHOST_HOME"] ?? (environment["XDG_DATA_HOME"] ?? home + "/.local/share") + "/acthost"
    let path = "\(store)/models/\(name).gguf"
    if FileManager.default.fileExists(atPath: path) { return path }
    print("skipped: \(path) is absent; `acthost pull \(name)` brings it")
    return nil
  }

  /// Runs `body` with a fresh folder and removes it.
  static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("acthost-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }
}

/// Seeded random numbers (SplitMix64), so that a failing case can be run again.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
