import Foundation
import Testing

@testable import Engine

/// Files that change while they are in use: an error that says so, never a mixture, never SIGBUS.
@Suite struct ChangingFileTests {
  private func write(_ bytes: [UInt8], over path: String) throws {
    let handle = try #require(FileHandle(forWritingAtPath: path))  // in place: the file stays the same one
    try handle.write(contentsOf: bytes)
    try handle.close()
  }

  private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

  @Test func aMappedFileThatIsCutReadsZerosAndSaysSo() throws {
    try Files.withFolder { folder in
      let path = "\(folder)/file", count = 1 << 20
      try Data([UInt8](repeating: 7, count: count)).write(to: URL(fileURLWithPath: path))
      let file = try MappedFile(path: path)
      try file.verify()
      #expect(truncate(path, 5000) == 0)
      // The pages beyond the second are gone; without the handler this read would end the program.
      #expect(file.bytes[4096] == 7 && file.bytes[count - 1] == 0 && file.bytes[count / 2] == 0)
      let error = #expect(throws: EngineError.self) { try file.verify() }
      #expect(error?.kind == .file && error?.message.contains("cut from 1048576 to 5000 bytes") == true)
      #expect(truncate(path, off_t(count)) == 0)  // as long as before, and yet another
      #expect(throws: EngineError.self) { try file.verify() }
    }
  }

  @Test func otherMappingsAreUntouchedByOneThatIsCut() throws {
    try Files.withFolder { folder in
      let paths = (0..<8).map { "\(folder)/\($0)" }
      for path in paths { try Data([UInt8](repeating: 7, count: 1 << 16)).write(to: URL(fileURLWithPath: path)) }
      var files = try paths.map { try MappedFile(path: $0) }
      files.remove(at: 2)  // its place is free again
      files.append(try MappedFile(path: paths[2]))
      #expect(truncate(paths[5], 0) == 0)
      let sums = files.map { file in file.bytes.reduce(0) { $0 + Int($1) } }
      #expect(sums.filter { $0 == 7 << 16 }.count == 7 && sums.filter { $0 == 0 }.count == 1)
      #expect(files.filter { (try? $0.verify()) != nil }.count == 7)
    }
  }

  static let damages: [String] = ["overwritten", "cut", "emptied", "grown"]

  /// Whatever is done in place to a loaded model's file, the next run is an error; moved aside or replaced by renaming, the
  /// model goes on as it was.
  @Test(arguments: damages) func aModelWhoseFileChangedDoesNotRun(damage: String) throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      let gguf = "\(folder)/model.gguf"
      try Data(TinyGGUF.gguf("llama", folder)).write(to: URL(fileURLWithPath: gguf))
      for (model, path) in [
        (try Model.load(path: gguf), gguf), (try Model.load(path: folder), "\(folder)/model.safetensors"),
      ] {
        let before = try ConfigurationGoldens.logits(model, item), contents = try bytes(path)
        usleep(20_000)  // times of change are kept to some milliseconds
        switch damage {
        case "overwritten": try write(contents.map { $0 ^ 1 }, over: path)
        case "cut": truncate(path, off_t(contents.count / 2))
        case "emptied": truncate(path, 0)
        default: truncate(path, off_t(contents.count + 10))
        }
        func check(_ what: String, _ body: () throws -> Void) {
          let error = #expect(throws: EngineError.self, "\(damage) \(what)") { try body() }
          #expect(error?.message.contains("changed since it was opened") == true, "\(error?.message ?? "")")
          #expect(error?.message.contains(path) == true)
        }
        let prompts = [Prompt(tokens: item.tokens)]
        check("run") { _ = try model.run(prompts, logits: .last) }
        check("generate") { _ = try model.generate(prompts, options: GenerationOptions()) }
        check("nll") { _ = try model.negativeLogLikelihood(prompts, scoredFrom: [0]) }
        check("gradients") { _ = try model.gradients(prompts, scoredFrom: [0], captures: []) }
        check("save") { try model.save("\(folder)/saved") }
        #expect(access("\(folder)/saved", F_OK) != 0)
        // The file as it was, under its name again: another time of change, so still no.
        truncate(path, 0)
        try write(contents, over: path)
        check("restored") { _ = try model.run(prompts, logits: .last) }
        #expect(try ConfigurationGoldens.logits(try Model.load(path: path == gguf ? gguf : folder), item) == before)
      }
    }
  }

  @Test func replacingByRenamingLeavesALoadedModelAsItWas() throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      let path = "\(folder)/model.safetensors", model = try Model.load(path: folder)
      let before = try ConfigurationGoldens.logits(model, item)
      let other = try ConfigurationGoldens.tensors(item).map { ($0.name, try $0.tensor * 2) }
      try Safetensors.write(path, tensors: other)  // renames
      #expect(try ConfigurationGoldens.logits(model, item) == before)
      #expect(try ConfigurationGoldens.logits(try Model.load(path: folder), item) != before)
      unlink(path)
      #expect(try ConfigurationGoldens.logits(model, item) == before)
    }
  }

  /// A model that is saved over the folder it was loaded from.
  @Test func aModelCanBeSavedOverItself() throws {
    let item = try ConfigurationGoldens.named("llama")
    try ConfigurationGoldens.withFolder(item) { folder in
      let model = try Model.load(path: folder), before = try ConfigurationGoldens.logits(model, item)
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/notes.txt"))
      try model.save(folder)
      #expect(try ConfigurationGoldens.logits(model, item) == before)
      #expect(try ConfigurationGoldens.logits(try Model.load(path: folder), item) == before)
      #expect(access("\(folder)/notes.txt", F_OK) == 0)
    }
  }

  @Test(arguments: ["npy", "npz", "safetensors"]) func tensorsOfACutFileAreRefused(kind: String) throws {
    try Files.withFolder { folder in
      let path = "\(folder)/t.\(kind)"
      try TensorFiles.save(path, [("t", try Tensor.normal([100_000], seed: 1))])
      #expect(try TensorFiles.load(path).count == 1)
      truncate(path, 40_000)
      #expect(throws: EngineError.self) { try TensorFiles.load(path) }
    }
  }
}
