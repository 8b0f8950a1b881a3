import Foundation

/// An opened model file or folder: settings, weights by role, and what the tokenizer needs.
struct ModelSource: Sendable {
  let path: String
  let family: Family
  let configuration: ModelConfiguration
  let weights: any WeightSource
  let gguf: GGUFFile?

  /// Opens a `.gguf` file or a Hugging Face folder. Throws `.missing` for a wrong path and `.file` for a bad one.
  init(path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.missing, "no model at \(path): there is no such file or folder")
    }
    self.path = path
    if isFolder.boolValue {
      let folder = try HuggingFaceFolder(path: path)
      gguf = nil
      weights = folder
      let type = try folder.configuration.string("model_type")
      family = try Family.named(modelType: type, source: folder.configuration.source)
      configuration = try family.configuration(ModelKeys(file: folder.configuration, architecture: nil))
        .validated(source: folder.configuration.source)
    } else {
      let file = try GGUFFile(path: path)
      gguf = file
      weights = file
      let architecture = try file.string("general.architecture")
      family = try Family.named(architecture: architecture, source: path)
      var configuration = try family.configuration(ModelKeys(file: file, architecture: architecture))
      if configuration.vocabularySize == 0 {
        configuration.vocabularySize = file.shape(of: "token_embd.weight")?.first ?? 0
      }
      configuration.tiedEmbedding = file.shape(of: "output.weight") == nil
      self.configuration = try configuration.validated(source: path)
    }
  }

  /// End-of-sequence ids that a folder's settings name; a GGUF's tokenizer knows its own.
  func endTokens() throws -> [Int] {
    guard let folder = weights as? HuggingFaceFolder else { return [] }
    var ids: [Int] = []
    for keys in [folder.configuration, folder.generation].compactMap({ $0 }) {
      if let list = try? keys.ints(ifPresent: "eos_token_id") { ids += list } else
      if let id = try keys.int(ifPresent: "eos_token_id") { ids.append(id) }
    }
    return ids.reduce(into: []) { if !$0.contains($1), (0..<configuration.vocabularySize).contains($1) { $0.append($1) } }
  }

  /// The name of a weight in this container.
  func name(_ role: WeightRole, layer: Int? = nil) throws -> String {
    let names = gguf == nil ? family.tensors.checkpoint : family.tensors.gguf
    guard let pattern = names[role] else {
      throw EngineError(.file, "\(path): family \(configuration.family) has no weight for \(role.rawValue)")
    }
    return layer.map { pattern.replacing("%", with: String($0)) } ?? pattern
  }

  /// Checks a weight's presence and shape and returns its name.
  func checked(_ role: WeightRole, layer: Int? = nil, shape: [Int]) throws -> String {
    let name = try name(role, layer: layer)
    guard let found = weights.shape(of: name) else {
      throw EngineError(.file, "\(path) has no tensor \(name)\(suggestion(for: name, in: weights.names))")
    }
    guard found == shape else {
      throw EngineError(.file, "\(path): tensor \(name) has shape \(shapeText(found)), expected \(shapeText(shape))")
    }
    return name
  }

  /// A norm's weight `[width]`, with the container's offset undone.
  func norm(_ role: WeightRole, layer: Int? = nil, width: Int) throws -> [Float] {
    let name = try checked(role, layer: layer, shape: [width])
    var values = [Float](repeating: 0, count: width)
    try values.withUnsafeMutableBufferPointer { try weights.read(name, rows: 0..<1, into: $0.baseAddress!) }
    let offset = gguf == nil ? family.checkpointNormOffset : 0
    return offset == 0 ? values : values.map { $0 + offset }
  }

  /// Several weights packed as one matrix, one below the other, so that one product serves them all.
  func packed(_ parts: [MatrixPart], layer: Int?, inputs: Int) throws -> PackedMatrix {
    var places: [(name: String, start: Int, rows: Int, interleaved: Int?)] = []
    var total = 0
    for part in parts {
      let name = try checked(part.role, layer: layer, shape: [part.rows, inputs])
      places.append((name, total, part.rows, part.interleavedHeadSize))
      total += part.rows
    }
    let weights = self.weights, fixed = places
    return try PackedMatrix(outputs: total, inputs: inputs) { range, target in
      for place in fixed {
        let low = max(range.lowerBound, place.start), high = min(range.upperBound, place.start + place.rows)
        guard low < high else { continue }
        let start = target + (low - range.lowerBound) * inputs
        guard let size = place.interleaved else {
          try weights.read(place.name, rows: low - place.start..<high - place.start, into: start)
          continue
        }
        for row in low..<high {  // checkpoint row (head, half, pair) stands at (head, pair, half)
          let local = row - place.start
          let head = local / size, half = local % size / (size / 2), pair = local % (size / 2)
          let stored = head * size + 2 * pair + half
          try weights.read(place.name, rows: stored..<stored + 1, into: start + (row - low) * inputs)
        }
      }
    }
  }
}

/// One weight of a packed matrix.
struct MatrixPart {
  let role: WeightRole
  let rows: Int
  /// Set where the file stores each head's rows as interleaved rotary pairs.
  var interleavedHeadSize: Int? = nil
}
