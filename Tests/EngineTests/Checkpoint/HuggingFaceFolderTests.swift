import Foundation
import Testing

@testable import Engine

/// Model folders: one file or shards, and what is said of folders that cannot be read.
@Suite struct HuggingFaceFolderTests {
  /// Two shards of `[2, 2]` tensors, `config.json`, and an index with `map` or the right one.
  private func makeShards(_ folder: String, map: [String: JSONValue]? = nil) throws {
    for (number, name) in ["a", "b"].enumerated() {
      let tensor = try Tensor((0..<4).map { Float($0 + 10 * number) }, shape: [2, 2])
      try Safetensors.write("\(folder)/model-\(number + 1).safetensors", tensors: [(name, tensor)])
    }
    let files = map ?? ["a": "model-1.safetensors", "b": "model-2.safetensors"].mapValues { .string($0) }
    let members = files.map { "\(jsonQuoted($0.key)): \($0.value.text)" }.sorted().joined(separator: ", ")
    try write("{\"metadata\": {\"total_size\": 32}, \"weight_map\": {\(members)}}", folder, HuggingFaceFolder.indexName)
    try write("{\"model_type\": \"llama\"}", folder, "config.json")
  }

  private func write(_ text: String, _ folder: String, _ name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  /// The error of opening a folder that `make` fills.
  private func refusal(_ make: (String) throws -> Void) throws -> EngineError? {
    try Files.withFolder { folder in
      try make(folder)
      let error = #expect(throws: EngineError.self) { try HuggingFaceFolder(path: folder) }
      #expect(error?.message.contains(folder) == true)
      return error
    }
  }

  @Test func shardsReadAsOneModel() throws {
    try Files.withFolder { folder in
      try makeShards(folder)
      let model = try HuggingFaceFolder(path: folder)
      #expect(model.names == ["a", "b"] && model.shape(of: "b") == [2, 2])
      #expect(try model.tensor("b").values == [10, 11, 12, 13])
      #expect(model.storage(of: "a") == StoredForm(type: "F32", bytes: 16))
      var row: [Float] = [0, 0]
      try row.withUnsafeMutableBufferPointer { try model.read("a", rows: 1..<2, into: $0.baseAddress!) }
      #expect(row == [2, 3])
      let error = #expect(throws: EngineError.self) { try model.tensor("ab") }
      #expect(error?.message.contains("did you mean a, b") == true)
    }
  }

  @Test(arguments: [
    ("../model-1.safetensors", "same folder"), ("sub/model-1.safetensors", "same folder"),
    ("sub\\\\model-1.safetensors", "same folder"), ("/etc/passwd", "same folder"), ("..", "same folder"),
    ("", "same folder"), ("pytorch_model.bin", "same folder"), (".safetensors", "same folder"),
  ]) func shardNamesThatLeaveTheFolderAreRefused(name: String, message: String) throws {
    let error = try refusal { try makeShards($0, map: ["a": .string(name), "b": .string("model-2.safetensors")]) }
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test func anIndexThatLiesIsRefused() throws {
    let swapped = try refusal {
      try makeShards($0, map: ["a": .string("model-2.safetensors"), "b": .string("model-1.safetensors")])
    }
    let lie = "says that model-2.safetensors holds a, but it does not (nor do the shards hold 1 other tensors: b)"
    #expect(swapped?.message.contains(lie) == true)
    let absent = try refusal {
      try makeShards($0, map: ["a": .string("model-1.safetensors"), "c": .string("model-9.safetensors")])
    }
    #expect(absent?.kind == .missing)
    #expect(absent?.message.contains("1 of 2 weight files are missing (model-9.safetensors)") == true)
    let number = try refusal { try makeShards($0, map: ["a": .integer(3)]) }
    #expect(number?.message.contains("expected a file's name") == true)
    let many = Dictionary(uniqueKeysWithValues: (0..<5000).map { ("t\($0)", JSONValue.string("f\($0).safetensors")) })
    #expect(try refusal { try makeShards($0, map: many) }?.message.contains("at most 4096") == true)
    for text in ["", "[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\":"] {
      let error = try refusal {
        try makeShards($0)
        try write(text, $0, HuggingFaceFolder.indexName)
      }
      #expect(error?.message.contains(HuggingFaceFolder.indexName) == true)
    }
  }

  @Test func aTensorTheIndexDoesNotNameIsLeftOut() throws {
    try Files.withFolder { folder in
      try makeShards(folder, map: ["a": .string("model-1.safetensors")])
      #expect(try HuggingFaceFolder(path: folder).names == ["a"])
    }
  }

  @Test func foldersWithoutReadableWeightsSayWhatToDo() throws {
    let cases: [(files: [String], kind: EngineError.Kind, message: String)] = [
      (["config.json", "pytorch_model.bin"], .file, "save_pretrained"),
      (["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], .file, "save_pretrained"),
      (["config.json"], .missing, "has no model.safetensors"),
      (["model.safetensors"], .missing, "has no config.json"),
      (["config.json", "model-00001-of-00002.safetensors"], .missing, "only model-00001-of-00002.safetensors"),
      (["config.json", "model-q4.gguf"], .missing, "/model-q4.gguf"),
      (["adapter_config.json", "adapter_model.safetensors"], .missing, "is an adapter"),
      ([], .missing, "has no config.json"),
    ]
    for (files, kind, message) in cases {
      let error = try refusal { folder in for file in files { try write("{}", folder, file) } }
      #expect(error?.kind == kind && error?.message.contains(message) == true, "\(files): \(error?.message ?? "")")
    }
  }

  @Test func aShardThatIsCutShortIsNamed() throws {
    let error = try refusal { folder in
      try makeShards(folder)
      truncate("\(folder)/model-2.safetensors", 40)
    }
    #expect(error?.message.contains("model-2.safetensors") == true && error?.message.contains("cut short") == true)
  }
}

/// The Hugging Face cache, made up on disk as its libraries lay it out.
@Suite struct HuggingFaceCacheTests {
  private let commit = "0123456789abcdef0123456789abcdef01234567"

  /// `body` with a cache in a folder of its own and the folder of `org/name` in it.
  private func withCache(_ body: (HuggingFaceCache, _ repository: String) throws -> Void) throws {
    try Files.withFolder { folder in
      let cache = HuggingFaceCache(environment: ["HF_HUB_CACHE": folder])
      try body(cache, "\(folder)/models--org--name")
    }
  }

  private func make(_ path: String, _ text: String) throws {
    let folder = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  /// A snapshot whose files are links into `blobs`, as downloads leave it.
  private func link(_ repository: String, _ name: String, to blob: String) throws {
    let folder = "\(repository)/snapshots/\(commit)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder)/\(name)", withDestinationPath: "../../blobs/\(blob)")
  }

  @Test func theCacheFollowsTheEnvironment() {
    func path(_ environment: [String: String]) -> String {
      HuggingFaceCache(environment: environment.merging(["HOME": "/h"]) { $1 }).path
    }
    #expect(path([:]) == "/h/.cache/huggingface/hub")
    #expect(path(["XDG_CACHE_HOME": "/x"]) == "/x/huggingface/hub")
    #expect(path(["HF_HOME": "/f", "XDG_CACHE_HOME": "/x"]) == "/f/hub")
    #expect(path(["HF_HUB_CACHE": "/c", "HF_HOME": "/f"]) == "/c")
    #expect(path(["HF_HUB_CACHE": "", "HF_HOME": "~/f"]) == "/h/f/hub")
  }

  @Test func aModelIsFoundThroughItsMainReference() throws {
    try withCache { cache, repository in
      try make("\(repository)/refs/main", commit)
      try make("\(repository)/blobs/1", "{\"model_type\": \"llama\"}")
      try Safetensors.write("\(repository)/blobs/2", tensors: [("w", try Tensor([1, 2]))])
      try link(repository, "config.json", to: "1")
      try link(repository, "model.safetensors", to: "2")
      #expect(cache.models == ["org/name"])
      let folder = try #require(try cache.snapshot(of: "org/name"))
      #expect(folder == "\(repository)/snapshots/\(commit)")
      #expect(try HuggingFaceFolder(path: folder).tensor("w").values == [1, 2])
      #expect(try cache.snapshot(of: "org/other") == nil)
      for odd in ["", "/", "org/", "../name", "org/name/x", "org--name", "org/..", "/org"] {
        #expect(try cache.snapshot(of: odd) == nil)
      }
    }
  }

  @Test func unfinishedDownloadsSayTheCommand() throws {
    func refusal(_ prepare: (String) throws -> Void) throws -> String {
      var message = ""
      try withCache { cache, repository in
        try FileManager.default.createDirectory(atPath: repository, withIntermediateDirectories: true)
        try prepare(repository)
        let error = #expect(throws: EngineError.self) {
          if let folder = try cache.snapshot(of: "org/name") { _ = try HuggingFaceFolder(path: folder) }
        }
        message = error?.message ?? ""
        #expect(message.contains(repository) && message.contains("`hf download org/name`"), "\(message)")
        #expect(message.contains("huggingface-cli download org/name"))
      }
      return message
    }
    #expect(try refusal { _ in }.contains("refs/main"))
    #expect(try refusal { try make("\($0)/refs/main", commit) }.contains("no snapshot \(commit)"))
    let other = try refusal { try make("\($0)/snapshots/feed/config.json", "{}") }
    #expect(other.contains("/snapshots/feed"))
    let weights = try refusal {
      try make("\($0)/refs/main", commit)
      try make("\($0)/blobs/1", "{}")
      try link($0, "config.json", to: "1")
      try link($0, "model.safetensors", to: "2")  // the blob is still on its way
    }
    #expect(weights.contains("has no model.safetensors"))
    let shard = try refusal {
      try make("\($0)/refs/main", commit)
      try make("\($0)/blobs/1", "{}")
      try make("\($0)/blobs/3", "{\"weight_map\": {\"w\": \"model-1.safetensors\", \"v\": \"model-2.safetensors\"}}")
      try link($0, "config.json", to: "1")
      try link($0, "model.safetensors.index.json", to: "3")
      try Safetensors.write("\($0)/blobs/4", tensors: [("v", try Tensor([1]))])
      try link($0, "model-2.safetensors", to: "4")
    }
    #expect(shard.contains("1 of 2 weight files are missing (model-1.safetensors)"))
  }

  @Test(arguments: ["../../../..", "a/b", "", " ", "a b", "\u{1b}[31m", String(repeating: "a", count: 1000)])
  func aReferenceThatIsNoCommitIsRefused(text: String) throws {
    try withCache { cache, repository in
      try make("\(repository)/refs/main", text)
      #expect(throws: EngineError.self) { try cache.snapshot(of: "org/name") }
    }
  }

  @Test func aModelThatIsNowhereSaysWhereWasLookedAndHowToGetIt() throws {
    try Files.withFolder { folder in
      let store = ModelStore(environment: ["HOME": folder])
      let error = #expect(throws: EngineError.self) { try store.resolve("org/name") }
      let message = error?.message ?? ""
      #expect(message.contains("\(folder)/.cache/huggingface/hub"))
      #expect(message.contains("\(folder)/.local/share/acthost"))
      #expect(message.contains("`hf download org/name`") && message.contains("`huggingface-cli download org/name`"))
    }
  }
}
