import Engine
import Foundation

extension TransferMap {
  private static let parametersFile = "map.safetensors"
  private static let cardFile = "map.json"

  /// Writes `folder/map.safetensors` (parameters) and `folder/map.json` (models with their hashes, layers, options,
  /// report) in one step, making the folder where it is missing. Throws `.file`.
  public func save(_ folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let card = Array(try encoder.encode(card))
    try AtomicFolder.write(folder, last: TransferMap.cardFile) { staging in
      try Safetensors.write(
        "\(staging)/\(TransferMap.parametersFile)", tensors: mapper.tensors,
        metadata: [
          "format": "acthost map 1", "method": self.card.options.method.rawValue, "settings_hash": SHA256.hex(of: card),
        ])
      try AtomicFile.write("\(staging)/\(TransferMap.cardFile)") { try $0.write(card) }
    }
  }

  /// Reads what `save` writes. Throws `.missing` where there is no map, `.file` where it is damaged.
  public init(folder: String) throws {
    let file = try SafetensorsFile(path: "\(folder)/\(TransferMap.parametersFile)")
    let cardPath = "\(folder)/\(TransferMap.cardFile)", card = try TransferMap.readCard(cardPath)
    if let written = file.metadata["settings_hash"], try written != SHA256.hex(ofFile: cardPath) {
      throw EngineError(
        .file,
        "\(cardPath) is not the card that \(TransferMap.parametersFile) beside it was saved with: a save was cut off, files of "
          + "two maps stand in one folder, or it was edited; save the map again")
    }
    let mapper: any Mapper
    switch card.options.method {
    case .affine, .ridge, .identity, .meanShift, .procrustes, .lowRank, .shuffled:
      mapper = try AffineMap(weight: file.finiteTensor("weight"), bias: file.finiteTensor("bias"))
    case .autoencoder:
      mapper = try AutoencoderMap(
        encoderWeight: file.finiteTensor("encoder.weight"), encoderBias: file.finiteTensor("encoder.bias"),
        decoderWeight: file.finiteTensor("decoder.weight"), decoderBias: file.finiteTensor("decoder.bias"))
    }
    try self.init(mapper: mapper, card: card)
  }

  private static func readCard(_ path: String) throws -> MapCard {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw EngineError(.missing, "there is no map at \(path)")
    }
    let limit = 16 << 20
    guard let data = try? handle.read(upToCount: limit + 1), data.count <= limit else {
      throw EngineError(.file, "\(path) is no map's card: it is larger than \(byteText(limit))")
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let card: MapCard
    do {
      card = try decoder.decode(MapCard.self, from: data)
    } catch let error as DecodingError {
      throw EngineError(.file, "\(path) is damaged: \(TransferMap.text(error))")
    } catch {
      throw EngineError(.file, "\(path) is damaged: it is not a map's card")
    }
    guard Site(rawValue: card.site) != nil else {
      throw EngineError(.file, "\(path) names an unknown site, \(card.site)")
    }
    for (side, name) in [(card.source, "source"), (card.target, "target")]
    where side.width < 1 || !side.maskedDimensions.allSatisfy({ (0..<side.width).contains($0) }) {
      throw EngineError(
        .file, "\(path) is damaged: the \(name)'s masked dimensions lie outside its width, \(side.width)")
    }
    return card
  }

  private static func text(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "it lacks \(key.stringValue)"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type"
    case .dataCorrupted(let context): context.codingPath.isEmpty ? "it is not JSON" : context.debugDescription
    @unknown default: "it is not a map's card"
    }
  }

  /// Throws `.argument` unless these are the models the map was fitted to, by hash.
  public func requireModels(source: ModelIdentity?, target: ModelIdentity?) throws {
    for (given, side, name) in [(source, card.source, "source"), (target, card.target, "target")] {
      guard let given, given.hash != side.model.hash else { continue }
      throw EngineError(
        .argument,
        "map: its \(name) is \(side.model.name) with hash \(side.model.hash.prefix(12)), not \(given.name) "
          + "with hash \(given.hash.prefix(12)); fit a map for this model")
    }
  }
}
