import Engine

/// Control vectors as llama.cpp keeps them: a GGUF file of tensors `direction.N`, N from 1, each `[d]`; `direction.N`
/// is added to the output of block N (counted from 0), which is `resid_post` of layer N. Block 0 cannot have one.
public enum ControlVectorFile {
  private static let ownerKey = "acthost.model_name"
  private static let hashKey = "acthost.model_hash"
  private static let ancestorsKey = "acthost.model_ancestors"

  /// Reads a file of control vectors. Throws `.missing`, or `.file` where it holds none or they do not fit together.
  public static func read(_ path: String) throws -> Directions {
    let file = try GGUFFile(path: path)
    func fault(_ what: String) -> EngineError { EngineError(.file, "\(path) holds no control vectors: \(what)") }
    var byLayer: [Int: Tensor] = [:]
    for name in file.names where name.hasPrefix("direction.") {
      guard let layer = Int(name.dropFirst("direction.".count)), layer >= 1 else {
        throw fault("\(name) should be direction.N with N from 1")
      }
      let tensor = try file.finiteTensor(name)
      guard tensor.rank == 1 else { throw fault("\(name) has shape \(shapeText(tensor.shape)), not [d]") }
      guard byLayer.updateValue(tensor, forKey: layer) == nil else { throw fault("it has layer \(layer) twice") }
    }
    guard !byLayer.isEmpty else { throw fault("no tensor is named direction.N") }
    let widths = Set(byLayer.values.map(\.count))
    guard widths.count == 1 else { throw fault("their widths differ: \(widths.sorted())") }
    let layers = byLayer.keys.sorted()
    var origin = VectorOrigin(method: "control vector")
    let hint = try? file.string("controlvector.model_hint")
    if let hint, let name = try? file.string(ownerKey), let hash = try? file.string(hashKey) {
      let ancestors = (try? file.string(ancestorsKey)) ?? ""
      origin.model = ModelIdentity(
        name: name, hash: hash, ancestors: ancestors.split(separator: ",").prefix(64).map(String.init),
        architecture: hint)
    } else {
      origin.modelHint = hint?.printable
    }
    let vectors = try layers.compactMap { layer in
      try byLayer[layer].map {
        try SteeringVector(direction: $0, layer: layer, origin: origin)
      }
    }
    return Directions(site: .residPost, layers: layers, positions: [.all], vectors: vectors)
  }

  /// Writes vectors of the residual stream, at most one for each layer; `resid_pre` of layer L is `resid_post` of L -
  /// 1.
  /// Throws `.argument` for a vector of another site, without a layer, or before the output of block 1.
  public static func write(_ path: String, _ vectors: [SteeringVector]) throws {
    var byLayer: [Int: Tensor] = [:]
    for vector in vectors {
      guard let layer = vector.layer, let site = vector.site, site == .residPost || site == .residPre else {
        throw EngineError(
          .argument,
          "a .gguf control vector belongs to resid_post of a layer, not to \(vector.site?.rawValue ?? "no site")"
            + (vector.layer.map { " of layer \($0)" } ?? " without a layer") + "; save it as .safetensors")
      }
      let place = site == .residPre ? layer - 1 : layer
      guard place >= 1 else {
        throw EngineError(
          .layer,
          "a .gguf control vector cannot act at resid_post of layer \(place): they begin at layer 1; save it as "
            + ".safetensors")
      }
      guard byLayer.updateValue(vector.direction, forKey: place) == nil else {
        throw EngineError(.argument, "two control vectors for resid_post of layer \(place); give one position")
      }
    }
    guard !byLayer.isEmpty else { throw EngineError(.argument, "there are no control vectors to write") }
    let widths = Set(byLayer.values.map(\.count))
    guard widths.count == 1 else {
      throw EngineError(.shape, "control vectors of one file have one width, not \(widths.sorted())")
    }
    let layers = byLayer.keys.sorted()
    let origin = vectors[0].origin
    for vector in vectors where vector.origin.model != origin.model {
      throw EngineError(.argument, "control vectors of one file belong to one model")
    }
    // llama.cpp compares the hint with its architecture's name. Other keys are ours: it passes over them.
    let hint = origin.model?.architecture ?? origin.model?.name ?? origin.modelHint ?? "unknown"
    var own: [(key: String, value: String)] = []
    if let model = origin.model, model.architecture != nil {
      own = [(ownerKey, model.name), (hashKey, model.hash)]
      own.append((ancestorsKey, (model.ancestors ?? []).joined(separator: ",")))
    }
    var writer = Writer()
    writer.bytes += Array("GGUF".utf8)
    writer.integer(UInt32(3))
    writer.integer(UInt64(layers.count))
    writer.integer(UInt64(3 + own.count))
    writer.entry("general.architecture", "controlvector")
    writer.entry("controlvector.model_hint", hint)
    writer.string("controlvector.layer_count")
    writer.integer(UInt32(4))  // uint32
    writer.integer(UInt32(clamping: layers.count))
    for (key, value) in own { writer.entry(key, value) }
    var offset = 0
    for layer in layers {
      let count = byLayer[layer]?.count ?? 0
      writer.string("direction.\(layer)")
      writer.integer(UInt32(1))
      writer.integer(UInt64(count))
      writer.integer(UInt32(0))  // F32
      writer.integer(UInt64(offset))
      offset = Writer.padded(offset + 4 * count)
    }
    for layer in layers {
      writer.pad()
      for value in byLayer[layer]?.values ?? [] { writer.integer(value.bitPattern) }
    }
    writer.pad()
    try AtomicFile.write(path) { try $0.write(writer.bytes) }
  }

  private struct Writer {
    var bytes: [UInt8] = []

    static func padded(_ count: Int) -> Int { (count + 31) & ~31 }

    mutating func integer<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }

    mutating func string(_ text: String) {
      integer(UInt64(text.utf8.count))
      bytes += Array(text.utf8)
    }

    mutating func entry(_ key: String, _ value: String) {
      string(key)
      integer(UInt32(8))  // string
      string(value)
    }

    mutating func pad() { bytes += Array(repeating: 0, count: Writer.padded(bytes.count) - bytes.count) }
  }
}
