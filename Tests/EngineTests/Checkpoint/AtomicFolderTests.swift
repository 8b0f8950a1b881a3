import Foundation
import Testing

@testable import Engine

/// Folders of files that belong together: replaced in one step, and refused where they do not.
@Suite struct AtomicFolderTests {
  private func put(_ folder: String, _ name: String, _ text: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  private func texts(_ folder: String) throws -> [String: String] {
    var texts: [String: String] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      texts[name] = try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }
    return texts
  }

  private func replace(_ path: String, failing: Bool = false) throws {
    struct Failure: Error {}
    try AtomicFolder.write(path, last: "card", removing: { $0.hasPrefix("part") }) {
      try put($0, "weights", "new")
      if failing { throw Failure() }
      try put($0, "card", "new")
    }
  }

  private func old(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for name in ["weights", "card", "part2", "notes"] { try put(path, name, "old") }
  }

  @Test func theOldFolderIsExchangedForTheNewOne() throws {
    try Files.withFolder { folder in
      let path = "\(folder)/a"
      try replace(path)
      #expect(try texts(path) == ["weights": "new", "card": "new"])
      try FileManager.default.removeItem(atPath: path)
      try old(path)
      #expect(throws: (any Error).self) { try replace(path, failing: true) }
      #expect(try texts(path) == ["weights": "old", "card": "old", "part2": "old", "notes": "old"])
      let before = try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int
      try replace(path + "/")
      #expect(try texts(path) == ["weights": "new", "card": "new", "notes": "old"])
      // Another folder stands there: every reader saw the old one whole until then.
      #expect(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int != before)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
    }
  }

  @Test func aLinkToAFolderStaysOne() throws {
    try Files.withFolder { folder in
      try old("\(folder)/real")
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "real")
      try replace("\(folder)/link")
      #expect(try texts("\(folder)/real")["weights"] == "new")
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/link") == "real")
    }
  }

  /// What cannot be linked keeps the folder in place; its files are replaced one by one.
  @Test func aFolderWithFoldersInsideIsReplacedFileByFile() throws {
    try Files.withFolder { folder in
      let path = "\(folder)/a"
      try old(path)
      try FileManager.default.createDirectory(atPath: "\(path)/runs", withIntermediateDirectories: false)
      try put("\(path)/runs", "row", "kept")
      try replace(path)
      #expect(try texts(path) == ["weights": "new", "card": "new", "notes": "old"])
      #expect(try texts("\(path)/runs") == ["row": "kept"])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
    }
  }

  // MARK: Mixtures

  /// Copies single files of one saved folder over another's, as a save that was cut off between two renames leaves them.
  private func mixtures(_ names: [String], _ save: (String, Int) throws -> Void, _ load: (String) throws -> Void) throws
  {
    for name in names {
      try Files.withFolder { folder in
        let (first, second) = ("\(folder)/1", "\(folder)/2")
        try save(first, 1)
        try save(second, 2)
        try load(first)
        try load(second)
        try FileManager.default.removeItem(atPath: "\(first)/\(name)")
        try FileManager.default.copyItem(atPath: "\(second)/\(name)", toPath: "\(first)/\(name)")
        let error = #expect(throws: EngineError.self, "\(name) of another") { try load(first) }
        #expect(error?.message.contains("saved with") == true, "\(error?.message ?? "")")
        try save(first, 1)
        try load(first)
      }
    }
  }

  @Test func filesOfTwoAdaptersAreRefused() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    try mixtures(["adapter_model.safetensors", "adapter_config.json"]) { folder, number in
      try Adapter(for: golden.model, rank: 4, alpha: Double(8 * number), seed: number).save(folder)
    } _: {
      _ = try Adapter(folder: $0, for: golden.model)
    }
  }

  @Test func filesOfTwoModelsAreRefused() throws {
    let items = try ["llama", "llama-linear"].map { try ConfigurationGoldens.named($0) }
    try mixtures(["model.safetensors", "config.json"]) { folder, number in
      try ConfigurationGoldens.withFolder(items[number - 1]) { try Model.load(path: $0).save(folder) }
    } _: {
      _ = try Model.load(path: $0)
    }
  }

  @Test func shardsOfTwoModelsAreRefused() throws {
    let items = try ["llama", "llama-linear"].map { try ConfigurationGoldens.named($0) }
    try mixtures(["model-00002-of-00004.safetensors", "config.json"]) { folder, number in
      let tensors = try ConfigurationGoldens.tensors(items[number - 1]).map {
        StreamedTensor(name: $0.name, tensor: $0.tensor)
      }
      let settings = try JSONValue(parsing: items[number - 1].configuration)
      let total = try tensors.reduce(0) { $0 + (try $1.extent(size: 4).bytes) }
      try HuggingFaceFolder.write(folder, configuration: settings, tensors: tensors, shardBytes: total / 3)
    } _: {
      _ = try Model.load(path: $0)
    }
  }

  /// Settings edited on purpose are a choice that the reader can state.
  @Test func anEditedConfigurationLoadsWhereItIsMeant() throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      try Model.load(path: folder).save("\(folder)/saved")
      let path = "\(folder)/saved/config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      try text.replacing("1e-05", with: "1e-06").write(toFile: path, atomically: true, encoding: .utf8)
      let error = #expect(throws: EngineError.self) { try Model.load(path: "\(folder)/saved") }
      #expect(error?.message.contains("ignore_settings = { \"settings_hash\" }") == true, "\(error?.message ?? "")")
      _ = try Model.load(path: "\(folder)/saved", ignoring: ["settings_hash"])
    }
  }
}
