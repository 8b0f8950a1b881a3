import Engine

extension SteeringVector {
  /// Writes a safetensors file: `direction`, and the means and stream where known; all else as metadata.
  public func save(_ path: String) throws {
    var tensors = [(name: "direction", tensor: direction)]
    var metadata = ["format": "acthost steering vector 1", "method": origin.method]
    metadata["site"] = site?.rawValue
    metadata["layer"] = layer.map(String.init)
    metadata["position"] = position?.fileText
    metadata["model_name"] = origin.model?.name
    metadata["model_hash"] = origin.model?.hash
    metadata["model_ancestors"] = origin.model?.ancestors?.joined(separator: ",")
    metadata["model_architecture"] = origin.model?.architecture
    metadata["model_hint"] = origin.modelHint
    metadata["template"] = origin.template
    metadata["n_positive"] = origin.positiveCount.map(String.init)
    metadata["n_negative"] = origin.negativeCount.map(String.init)
    metadata["seed"] = origin.seed.map(String.init)
    metadata["masked_dimensions"] = origin.maskedDimensions.map(String.init).joined(separator: ",")
    if let means {
      tensors += [("mean_positive", means.positive), ("mean_negative", means.negative)]
      metadata["scale"] = "\(means.scale)"
    }
    if let stream {
      tensors.append(("stream_mean", stream.mean))
      metadata["stream_norm"] = "\(stream.norm)"
    }
    try Safetensors.write(path, tensors: tensors, metadata: metadata)
  }

  /// Reads what `save` writes. Throws `.file` for a file that is no such vector, naming what is wrong.
  public init(path: String) throws {
    let file = try SafetensorsFile(path: path), metadata = file.metadata
    func fault(_ what: String) -> EngineError { EngineError(.file, "\(path) is no steering vector: \(what)") }
    guard file.names.contains("direction"), metadata["format"]?.hasPrefix("acthost steering vector") == true else {
      throw fault("it holds \(file.names.prefix(4).joined(separator: ", ")) and no direction with its metadata")
    }
    guard metadata["format"] == "acthost steering vector 1" else {
      throw fault("its format is \(metadata["format"] ?? ""), and this version reads format 1")
    }
    func number<T: LosslessStringConvertible>(_ key: String) throws -> T? {
      guard let text = metadata[key] else { return nil }
      guard let value = T(text) else { throw fault("its \(key) is \"\(text.prefix(40))\"") }
      return value
    }
    let site = metadata["site"].flatMap(Site.init(rawValue:))
    guard site?.rawValue == metadata["site"] else { throw fault("its site is unknown") }
    let direction = try file.finiteTensor("direction"), width = direction.count
    guard direction.rank == 1, width > 0 else { throw fault("its direction has shape \(shapeText(direction.shape))") }
    func row(_ name: String) throws -> Tensor? {
      guard file.names.contains(name) else { return nil }
      let tensor = try file.finiteTensor(name)
      guard tensor.shape == [width] else { throw fault("\(name) has shape \(shapeText(tensor.shape)), not [\(width)]") }
      return tensor
    }
    let maskText = metadata["masked_dimensions"] ?? ""
    let masked = maskText.split(separator: ",").compactMap { Int($0) }
    guard masked.allSatisfy({ (0..<width).contains($0) }), masked.count == maskText.split(separator: ",").count else {
      throw fault("its masked_dimensions are not dimensions of a stream of \(width)")
    }
    var origin = VectorOrigin(method: metadata["method"] ?? "unknown", maskedDimensions: masked)
    if let name = metadata["model_name"], let hash = metadata["model_hash"] {
      origin.model = ModelIdentity(
        name: name, hash: hash,
        ancestors: metadata["model_ancestors"].map { $0.split(separator: ",").prefix(64).map(String.init) },
        architecture: metadata["model_architecture"])
    }
    origin.modelHint = metadata["model_hint"]?.printable
    origin.template = metadata["template"]?.printable
    origin.positiveCount = try number("n_positive")
    origin.negativeCount = try number("n_negative")
    origin.seed = try number("seed")
    var means: ActivationMeans?
    if let positive = try row("mean_positive"), let negative = try row("mean_negative") {
      means = ActivationMeans(positive: positive, negative: negative, scale: try number("scale") ?? 1)
    }
    var stream: StreamStatistics?
    if let mean = try row("stream_mean"), let norm: Double = try number("stream_norm") {
      stream = StreamStatistics(mean: mean, norm: norm)
    }
    var position: PositionSelector?
    if let text = metadata["position"] {
      position = PositionSelector(fileText: text)
      if position == nil { throw fault("its position is \"\(text.prefix(40))\"") }
    }
    let layer: Int? = try number("layer")
    try self.init(
      direction: direction, site: site, layer: layer, position: position, means: means, stream: stream, origin: origin)
  }
}
