import Engine
import Foundation

/// A packaged model's own file that is on this machine already: in a folder that the user names, or in the Hugging Face
/// cache. Its size finds it, its SHA-256 proves it.
struct LocalCopy {
  let store: ModelStore
  /// The user's folder, if there is one.
  let folder: String?
  let say: (String) -> Void

  /// A file that is this model, checked.
  struct Found {
    let path: String

    /// Makes the file appear at `target`: as a second name of it where the file system allows, else as a copy that is
    /// finished at `scratch` first.
    func place(at target: String, by scratch: String) throws {
      unlink(scratch)
      let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
      if link(real, scratch) != 0 {
        do {
          try FileManager.default.copyItem(atPath: real, toPath: scratch)
        } catch {
          unlink(scratch)
          throw EngineError(.file, "\(path) cannot be copied to \(scratch): \(error.localizedDescription)")
        }
      }
      guard rename(scratch, target) == 0 else {
        throw EngineError(.file, "\(scratch) cannot be renamed to \(target): \(String(cString: strerror(errno)))")
      }
    }
  }

  /// The model's file, nil where there is none. A folder that the user named and that lacks it is an error.
  func find(_ model: PackagedModel) throws -> Found? {
    if let folder {
      guard let files = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
        throw EngineError(.missing, "the folder \(folder) cannot be read")
      }
      let sized = files.sorted().map { "\(folder)/\($0)" }.filter { fileSize($0) == model.bytes }
      for path in sized where try isModel(path, model) { return Found(path: path) }
      throw EngineError(
        .missing,
        "\(folder) holds no file of \(model.name): none of its \(files.count) entries has \(model.bytes) bytes and SHA-256 "
          + model.sha256)
    }
    // The cache names a large file by its SHA-256.
    for name in store.huggingFace.models {
      let blob = store.huggingFace.blob(model.sha256, of: name)
      if fileSize(blob) == model.bytes, try isModel(blob, model) { return Found(path: blob) }
    }
    return nil
  }

  private func isModel(_ path: String, _ model: PackagedModel) throws -> Bool {
    say("checking \(path)")
    return try SHA256.hex(ofFile: path) == model.sha256
  }
}
