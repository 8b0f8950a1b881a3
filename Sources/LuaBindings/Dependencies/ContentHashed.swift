import Engine
import Foundation
import OrderedCollections
import Transfer

/// An object whose content can be told from another's: rows of a sweep that reach it depend on that.
protocol ContentHashed {
  /// Adds everything that results can follow from. Returns, in words, what could not be added.
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String]
}

extension TensorObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    hash.add(tensor)
    return []
  }
}

extension SteeringVector {
  func addContent(to hash: inout SHA256) {
    hash.add(direction)
    hash.add(
      text: "\(site.map(\.rawValue) ?? "") \(layer.map(String.init) ?? "") \(position.map { "\($0)" } ?? "") "
        + "\(origin.model?.hash ?? "") \(origin.maskedDimensions)")
    if let means {
      hash.add(means.positive)
      hash.add(means.negative)
      hash.add(text: "\(means.scale)")
    }
    if let stream {
      hash.add(stream.mean)
      hash.add(text: "\(stream.norm)")
    }
  }
}

extension VectorObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    vector.addContent(to: &hash)
    return []
  }
}

extension DirectionsObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    for layer in directions.layers {
      for position in directions.positions {
        try directions.at(layer, position: position).addContent(to: &hash)
      }
    }
    return []
  }
}

extension MapObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    for (name, tensor) in map.mapper.tensors {
      hash.add(text: name)
      hash.add(tensor)
    }
    for side in [map.card.source, map.card.target] {
      hash.add(text: "\(side.model.hash) \(side.layer) \(side.maskedDimensions) \(side.streamNorm)")
    }
    hash.add(text: "\(map.card.site) \(map.card.chat) \(map.card.options.alignment)")
    return []
  }
}

extension AdapterObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    hash.add(text: adapter.hash)
    return []
  }
}

extension ModelObject: ContentHashed {
  /// Weights with attached adapters, precision, template, the files themselves in full, and registered interventions.
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    hash.add(text: "\(model.hash) \(model.precision.rawValue) \(model.stopTokens)")
    hash.add(text: model.template?.source ?? "")
    for file in ModelObject.files(of: model.path) { hash.add(text: try files.digest(file)) }
    return model.interventions.addContent(to: &hash)
  }

  /// The file, or what of a folder is read.
  private static func files(of path: String) -> [String] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return [path] }
    let endings: Set<String> = ["json", "safetensors", "txt", "model", "jinja"]
    return names.filter { endings.contains(fileExtension(of: $0)) }.sorted().map { "\(path)/\($0)" }
  }
}

extension ActivationsObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    for (place, tensor) in try contents() {
      hash.add(text: place)
      hash.add(tensor)
    }
    return []
  }
}

extension ReferenceObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    for (prompt, logits) in zip(reference.prompts, reference.logits) {
      hash.add(text: "\(prompt.tokens)")
      hash.add(logits)
    }
    return []
  }
}

extension TokenizerObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    guard let path else { return ["a tokenizer"] }
    for file in try TokenizerObject.files(of: path) { hash.add(text: try files.digest(file)) }
    return []
  }

  /// The file itself, or the files of a folder; those beside a tokenizer.json are read with it.
  private static func files(of path: String) throws -> [String] {
    let isAlone = fileExtension(of: path) == "gguf"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    if isAlone || (names.isEmpty && lastName(of: path) != "tokenizer.json") { return [path] }
    let folder = names.isEmpty ? parentFolder(of: path) : path
    let all = try FileManager.default.contentsOfDirectory(atPath: folder)
    return all.filter { $0.contains("token") || $0 == "vocab.json" || $0 == "merges.txt" || $0 == "config.json" }
      .sorted().map { "\(folder)/\($0)" }
  }
}

extension LayersObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] {
    hash.add(text: "\(count)")
    return []
  }
}

// Results do not follow from these: where rows go, handles of what the model's own list holds, progress.
extension RunObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] { [] }
}
extension InterventionObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] { [] }
}
extension ScopeObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] { [] }
}
extension ProgressObject: ContentHashed {
  func addContent(to hash: inout SHA256, files: InputFiles) throws -> [String] { [] }
}
