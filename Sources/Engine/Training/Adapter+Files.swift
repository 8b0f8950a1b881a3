import Foundation
import OrderedCollections

/// Adapters on disk in the format of Hugging Face PEFT: a folder with `adapter_config.json` and
/// `adapter_model.safetensors`.
extension Adapter {
  private static let settingsName = "adapter_config.json"
  private static let weightsName = "adapter_model.safetensors"
  private static let prefix = "base_model.model."

  /// Writes the folder in one step, so that a crash or a full disk leaves what was there. Throws `.file`.
  public func save(_ folder: String) throws {
    var tensors: [(name: String, tensor: Tensor)] = []
    for update in updates {
      let up = try update.module.order.map { try reordered(update.up.value, $0, back: true) } ?? update.up.value
      tensors.append((Adapter.prefix + update.down.name, update.down.value))
      tensors.append((Adapter.prefix + update.up.name, up))
    }
    // PEFT scales by alpha / rank; modules with a rank or scale of their own (from a file with patterns or use_rslora)
    // are named one by one.
    var ranks: OrderedDictionary<String, JSONValue> = [:], alphas: OrderedDictionary<String, JSONValue> = [:]
    for update in updates {
      if update.rank != rank { ranks[update.module.name] = .integer(update.rank) }
      if update.rank != rank || update.scale != Float(alpha / Double(rank)) {
        alphas[update.module.name] = .number(Double(update.scale) * Double(update.rank))
      }
    }
    let settings: OrderedDictionary<String, JSONValue> = [
      "alpha_pattern": .object(alphas), "base_model_name_or_path": .string(baseName), "bias": .string("none"),
      "fan_in_fan_out": .bool(updates.contains { $0.module.name.contains(".c_") }),  // GPT-2's matrices are transposed
      "inference_mode": .bool(true), "init_lora_weights": .bool(true),
      "layers_to_transform": layers.map { .array($0.map { .integer($0) }) } ?? .null,
      "lora_alpha": Int(exactly: alpha).map { .integer($0) } ?? .number(alpha), "lora_dropout": .number(dropout),
      "modules_to_save": .null,
      "peft_type": .string("LORA"), "r": .integer(rank), "rank_pattern": .object(ranks),
      "target_modules": .array(targets.map { .string($0) }),
      "task_type": .string("CAUSAL_LM"), "use_dora": .bool(false), "use_rslora": .bool(false),
    ]
    let contents = JSONValue.object(settings).fileContents
    try AtomicFolder.write(folder, last: Adapter.settingsName) { staging in
      try AtomicFile.write("\(staging)/\(Adapter.settingsName)") { try $0.write(contents) }
      try Safetensors.write(
        "\(staging)/\(Adapter.weightsName)", tensors: tensors,
        metadata: [
          "format": "pt", "base_model_hash": baseHash, "base_model_name": baseName,
          HuggingFaceFolder.settingsHashKey: SHA256.hex(of: contents),
        ])
    }
  }

  /// Whether a folder holds an adapter's two files.
  public static func isComplete(_ folder: String) -> Bool {
    [settingsName, weightsName].allSatisfy { access("\(folder)/\($0)", F_OK) == 0 }
  }

  /// Reads a folder of PEFT's or ours for a model. Throws `.missing` where a file is absent, `.file` for a damaged one
  /// or a kind of adapter that is not low-rank updates of linear maps, `.argument` for one of another model.
  public convenience init(folder: String, for model: Model) throws {
    for name in [Adapter.settingsName, Adapter.weightsName] where access("\(folder)/\(name)", F_OK) != 0 {
      throw EngineError(.missing, "\(folder) is no adapter folder: it has no \(name)")
    }
    let settings = try ConfigurationFile(path: "\(folder)/\(Adapter.settingsName)")
    let path = settings.source
    func refuse(_ what: String) -> EngineError { EngineError(.file, "\(path): \(what)") }
    let type = try settings.string("peft_type")
    guard type == "LORA" else { throw refuse("peft_type is \(type); LORA is supported") }
    for key in ["use_dora", "lora_bias", "use_qalora", "use_bdlora"] where try settings.bool(ifPresent: key) == true {
      throw refuse("\(key) is set, which is not supported")
    }
    if let bias = try settings.string(ifPresent: "bias"), bias != "none" {
      throw refuse("bias is \(bias): biases that are trained along are not supported")
    }
    if let start = settings.value["init_lora_weights"]?.string,
      ["pissa", "olora", "corda", "loftq"].contains(where: start.lowercased().hasPrefix)
    {
      throw refuse(
        "init_lora_weights is \(start): such an adapter belongs to base weights that PEFT changed when it was made; convert "
          + "it with PEFT's path_initial_model_for_weight_conversion")
    }
    let file = try SafetensorsFile(path: "\(folder)/\(Adapter.weightsName)")
    if let written = file.metadata[HuggingFaceFolder.settingsHashKey], try written != SHA256.hex(ofFile: path) {
      throw refuse(
        "it is not the file that \(Adapter.weightsName) beside it was saved with: a save was cut off, files of two adapters "
          + "stand in one folder, or it was edited; save the adapter again")
    }
    let rank = try settings.int("r"), alpha = try settings.double("lora_alpha")
    guard (1...4096).contains(rank), alpha.isFinite else { throw refuse("r is \(rank) and lora_alpha \(alpha)") }
    let isScaledByRoot = try settings.bool(ifPresent: "use_rslora") ?? false
    // In the file's order: the first that fits counts. Other regular expressions than plain names are not tried.
    var patterns: [(name: String, alpha: Double)] = []
    for (name, value) in try settings.object(ifPresent: "alpha_pattern")?.value.object ?? [:] {
      guard let alpha = value.double, alpha.isFinite,
        name.allSatisfy({ $0.isLetter || $0.isNumber || "._-".contains($0) })
      else {
        throw refuse(
          "alpha_pattern has \(jsonQuoted(name)); names of modules or their last parts with a number are supported")
      }
      patterns.append((name, alpha))
    }
    let modules = try LinearModule.all(model.decoder.weights.source)
    let stem = model.decoder.weights.source.family.tensors.prefix
    var updates: [LowRankUpdate] = [], used: Set<String> = []
    for module in modules {
      // A checkpoint of the bare decoder lacks the prefix that PEFT's names have.
      let names = [module.name, stem + module.name].map { Adapter.prefix + $0 }
      guard let name = names.first(where: { file.shape(of: $0 + ".lora_A.weight") != nil }) else { continue }
      let downName = name + ".lora_A.weight", upName = name + ".lora_B.weight"
      let shape = file.shape(of: downName) ?? [], own = shape.first ?? 0
      guard (1...4096).contains(own), shape == [own, module.inputs], file.shape(of: upName) == [module.outputs, own]
      else {
        throw EngineError(
          .argument,
          "\(folder): \(module.name) has updates \(shapeText(shape)) and \(shapeText(file.shape(of: upName) ?? [])); for "
            + "\(model.name) they must be [r, \(module.inputs)] and [\(module.outputs), r]: it is an adapter of another model"
        )
      }
      used.formUnion([downName, upName])
      var up = try file.finiteTensor(upName)
      if let order = module.order { up = try reordered(up, order, back: false) }
      let ownAlpha = patterns.first { module.name == $0.name || module.name.hasSuffix("." + $0.name) }?.alpha ?? alpha
      let divisor = isScaledByRoot ? Double(own).squareRoot() : Double(own)
      updates.append(
        try LowRankUpdate(
          module, rank: own, scale: Float(ownAlpha / divisor), down: try file.finiteTensor(downName), up: up))
    }
    if let other = file.names.first(where: { !used.contains($0) }) {
      throw EngineError(
        .argument,
        "\(folder): tensor \(other) belongs to no linear map of \(model.name)'s blocks: the adapter is of another "
          + "model, or of another kind")
    }
    guard !updates.isEmpty else { throw refuse("the adapter has no updates") }
    self.init(
      rank: rank, alpha: alpha, dropout: 0,
      targets: updates.map(\.module.target).reduce(into: []) { if !$0.contains($1) { $0.append($1) } },
      layers: Set(updates.map(\.module.layer)).count == model.configuration.layerCount
        ? nil : Set(updates.map(\.module.layer)).sorted(),
      baseName: file.metadata["base_model_name"] ?? "", baseHash: file.metadata["base_model_hash"] ?? "",
      updates: updates)
    try model.check(self)
  }
}

/// Rows of a matrix `[rows, width]` taken from the module's order into the matrix's, or `back`.
private func reordered(_ tensor: Tensor, _ order: [Int], back: Bool) throws -> Tensor {
  let width = tensor.shape[1], result = try Tensor(uninitialized: tensor.shape)
  for (row, stored) in order.enumerated() {
    let (to, from) = back ? (stored, row) : (row, stored)
    (result.mutablePointer + to * width).update(from: tensor.pointer + from * width, count: width)
  }
  return result
}
