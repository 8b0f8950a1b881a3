import Foundation

/// A training that was cut off: parameters, the optimiser's moments and the step, in one safetensors file.
enum TrainingCheckpoint {
  static func path(in folder: String) -> String { folder + "/training.safetensors" }

  static func makeFolder(_ folder: String) throws {
    do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
      throw EngineError(.file, "cannot create \(folder): \(error.localizedDescription)")
    }
  }

  static func write(_ folder: String, step: Int, recipe: String, _ parameters: [Parameter], _ optimizer: Adam) throws {
    try makeFolder(folder)
    var tensors: [(name: String, tensor: Tensor)] = []
    for (i, parameter) in parameters.enumerated() {
      tensors.append((parameter.name, parameter.value))
      tensors.append((parameter.name + "#m", optimizer.moments[i].first))
      tensors.append((parameter.name + "#v", optimizer.moments[i].second))
    }
    try Safetensors.write(
      path(in: folder), tensors: tensors, metadata: ["step": String(step), "recipe": recipe], isInterruptible: false)
  }

  /// Puts a checkpoint of the same recipe into parameters and optimiser and returns its step; nil where there is none.
  /// Throws `.argument` for one of another recipe, which this training would overwrite.
  static func read(
    _ folder: String, recipe: String, _ parameters: [Parameter], _ optimizer: Adam
  ) throws -> Int? {
    guard access(path(in: folder), F_OK) == 0 else { return nil }
    let file = try SafetensorsFile(path: path(in: folder))
    guard let known = file.metadata["recipe"], let step = file.metadata["step"].flatMap({ Int($0) }), step >= 0 else {
      throw EngineError(.file, "\(file.path) is no checkpoint of a training; delete it, or use another folder")
    }
    guard known == recipe else {
      throw EngineError(
        .argument,
        "\(file.path) is the checkpoint, at step \(step), of a training with another model, examples or "
          + "settings: repeat that call to go on with it, use another folder, or delete the file")
    }
    for parameter in parameters {
      for name in [parameter.name, parameter.name + "#m", parameter.name + "#v"]
      where file.shape(of: name) != parameter.value.shape {
        throw EngineError(
          .file, "\(file.path): \(name) is missing or has another shape; delete the file to start again")
      }
    }
    for (i, parameter) in parameters.enumerated() {
      try file.read(parameter.name, into: parameter.value.mutablePointer)
      try file.read(parameter.name + "#m", into: optimizer.moments[i].first.mutablePointer)
      try file.read(parameter.name + "#v", into: optimizer.moments[i].second.mutablePointer)
    }
    optimizer.resume(steps: step)
    return step
  }
}
