import Foundation
import OrderedCollections

/// Adapters on disk in the format of Hugging Face PEFT: a folder with `adapter_config.json` and
/// `adapter_model.safetensors`.
extension Adapter {
  private static let settingsName = "adapter_config.json"
  private static let weightsName = "adapter_model.safetensors"
  static let prefix = "base_model.model."

  /// Writes the folder in one step, so that a crash or a full disk leaves what was there. Throws `.file`.
  public func save(_ folder: String) throws {
    if let original {
      return try write(original.tensors, settings: original.settings, to: folder)
    }
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
    try write(tensors, settings: .object(settings), to: folder)
  }

  private func write(_ tensors: [(name: String, tensor: Tensor)], settings: JSONValue, to folder: String) throws {
    let contents = settings.fileContents
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

  /// Reads a folder of PEFT's or ours for a model. Throws `.missing` where a file is absent, `.file` for a damaged one or
  /// a setting that is not supported (`LoraSettings`), `.argument` for one of another model.
  public convenience init(folder: String, for model: Model) throws {
    for name in [Adapter.settingsName, Adapter.weightsName] where access("\(folder)/\(name)", F_OK) != 0 {
      let isPickled = name == Adapter.weightsName && access("\(folder)/adapter_model.bin", F_OK) == 0
      throw EngineError(
        .missing,
        isPickled
          ? "\(folder) has its weights as adapter_model.bin: pickles, which can run code and are not read; load the "
            + "adapter in PEFT and save it again with save_pretrained"
          : "\(folder) is no adapter folder: it has no \(name)")
    }
    let settings = try LoraSettings(path: "\(folder)/\(Adapter.settingsName)")
    let weights = try SafetensorsFile(path: "\(folder)/\(Adapter.weightsName)")
    let path = "\(folder)/\(Adapter.settingsName)"
    if let written = weights.metadata[HuggingFaceFolder.settingsHashKey], try written != SHA256.hex(ofFile: path) {
      throw EngineError(
        .file,
        "\(path): it is not the file that \(Adapter.weightsName) beside it was saved with: a save was cut off, files of two "
          + "adapters stand in one folder, or it was edited; save the adapter again")
    }
    var reader = AdapterReader(settings: settings, weights: weights, folder: folder, model: model)
    try reader.read()
    let modules = reader.modules, layers = Set(modules.map(\.layer))
    self.init(
      rank: settings.rank, alpha: settings.alpha, dropout: 0,
      targets: (modules.map(\.target) + reader.ends).reduce(into: []) { if !$0.contains($1) { $0.append($1) } },
      layers: layers.isEmpty || layers.count == model.configuration.layerCount ? nil : layers.sorted(),
      baseName: weights.metadata["base_model_name"] ?? "", baseHash: weights.metadata["base_model_hash"] ?? "",
      updates: reader.updates, overlay: reader.overlay,
      original: reader.isPlain ? nil : AdapterFile(settings: settings.file.value, tensors: reader.kept))
    try model.check(self)
  }
}

/// An adapter's file as it was read.
struct AdapterFile: Sendable {
  let settings: JSONValue
  let tensors: [(name: String, tensor: Tensor)]
}

/// Rows of a matrix `[rows, width]` taken from the module's order into the matrix's, or `back`.
func reordered(_ tensor: Tensor, _ order: [Int], back: Bool) throws -> Tensor {
  let width = tensor.shape[1], result = try Tensor(uninitialized: tensor.shape)
  for (row, stored) in order.enumerated() {
    let (to, from) = back ? (stored, row) : (row, stored)
    (result.mutablePointer + to * width).update(from: tensor.pointer + from * width, count: width)
  }
  return result
}
