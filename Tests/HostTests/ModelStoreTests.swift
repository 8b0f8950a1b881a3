import Engine
import Foundation
import Testing

@Suite struct ModelStoreTests {
  let folder: TemporaryFolder
  let store: ModelStore

  init() throws {
    folder = try TemporaryFolder()
    store = ModelStore(environment: ["HOME": folder.path, "XDG_DATA_HOME": folder.path + "/data"])
  }

  @Test func theStoreFollowsTheEnvironment() {
    #expect(store.home == folder.path + "/data/acthost")
    #expect(ModelStore(environment: ["HOME": "/h"]).home == "/h/.local/share/acthost")
    #expect(ModelStore(environment: ["HOME": "/h", "ACTHOST_HOME": "/a"]).models == "/a/models")
    #expect(ModelStore(environment: ["HOME": "/h", "ACTHOST_HOME": ""]).home == "/h/.local/share/acthost")
    #expect(ModelStore(environment: ["HOME": "/h"]).huggingFace.path == "/h/.cache/huggingface/hub")
    #expect(ModelStore(environment: ["HOME": "/h", "HF_HOME": "/f"]).huggingFace.path == "/f/hub")
    #expect(ModelStore(environment: ["HOME": "/h", "HF_HOME": "/f", "HF_HUB_CACHE": "/c"]).huggingFace.path == "/c")
  }

  @Test func namesResolveToStorePathAndCache() throws {
    _ = try folder.make(folder: "data/acthost/models")
    let mine = try folder.write("x", to: "data/acthost/models/mine.gguf")
    #expect(try store.resolve("mine") == mine)
    #expect(try store.resolve(mine) == mine)
    let cache = ".cache/huggingface/hub/models--org--name"
    let snapshot = try folder.make(folder: cache + "/snapshots/abc")
    _ = try folder.make(folder: cache + "/refs")
    try folder.write("abc\n", to: cache + "/refs/main")
    #expect(try store.resolve("org/name") == snapshot)
    #expect(store.knownNames.contains("org/name"))
    try folder.write("../../../..", to: cache + "/refs/main")
    #expect(throws: EngineError.self) { try store.resolve("org/name") }
  }

  @Test func anUnknownNameOffersTheNearest() throws {
    let error = try #require(throws: EngineError.self) { try store.resolve("smollm2-135m-instuct") }
    #expect(error.kind == .missing && error.message.contains("did you mean smollm2-135m-instruct"))
    try folder.write("x", to: "model.gguf")
    let path = try #require(throws: EngineError.self) { try store.resolve(folder.path + "/modle.gguf") }
    #expect(path.message.contains("did you mean model.gguf"))
    #expect(throws: EngineError.self) { try store.resolve("") }
  }

  @Test func aMissingPackagedModelSaysTheCommand() throws {
    let error = try #require(throws: EngineError.self) { try store.resolve("gemma-3-270m") }
    #expect(error.message.contains("acthost pull gemma-3-270m"))
  }
}
