import Foundation

/// Tensors in files, by the file's extension: `.safetensors`, `.npy`, `.npz`, and `.gguf` for reading only.
public enum TensorFiles {
  /// All tensors of a file as float32, in the file's order. The one array of an `.npy` file is named after the file.
  /// Throws `.missing`, `.file`, `.memory`, or `.argument` for another extension.
  public static func load(_ path: String) throws -> [(name: String, tensor: Tensor)] {
    switch kind(path) {
    case "safetensors": return try all(of: SafetensorsFile(path: path))
    case "gguf": return try all(of: GGUFFile(path: path))
    case "npz": return try NumpyFiles.load(npz: path)
    case "npy":
      let name = stem(of: path)
      return [(name, try NumpyFiles.load(npy: path))]
    case let other: throw unknown(other, path, "read", ["safetensors", "gguf", "npy", "npz"])
    }
  }

  /// Writes tensors as float32; the file appears whole or not at all. An `.npy` file takes exactly one; only
  /// `.safetensors` files keep `metadata`. Throws `.argument`, `.file`.
  public static func save(
    _ path: String, _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:]
  ) throws {
    let kind = kind(path)
    guard kind == "safetensors" || metadata.isEmpty else {
      throw EngineError(.argument, "cannot write \(path): only .safetensors files keep metadata")
    }
    switch kind {
    case "safetensors": try Safetensors.write(path, tensors: tensors, metadata: metadata)
    case "npz": try NumpyFiles.save(npz: path, tensors)
    case "npy":
      guard tensors.count == 1, let tensor = tensors.first?.tensor else {
        throw EngineError(
          .argument, "\(path) would hold \(tensors.count) tensors; .npy files hold one, .npz files many")
      }
      try NumpyFiles.save(npy: path, tensor)
    default: throw unknown(kind, path, "write", ["safetensors", "npy", "npz"])
    }
  }

  /// What a reader of a GGUF file's tensors must know: llama.cpp's converter puts the rows of queries and keys of some
  /// families in another order, pair by pair for its rotary embedding. nil where all rows stand as in checkpoints.
  public static func noteOnRows(_ path: String) -> String? {
    guard kind(path) == "gguf", let file = try? GGUFFile(path: path),
      let architecture = try? file.string("general.architecture"),
      let family = try? Family.named(architecture: architecture, source: path), family.ggufInterleavesRotary
    else { return nil }
    let permuted = file.names.filter { $0.hasSuffix("attn_q.weight") || $0.hasSuffix("attn_k.weight") }
    guard let first = permuted.first else { return nil }
    return "rows of \(permuted.count) query and key weights, such as \(first), stand in llama.cpp's order for "
      + "architecture \(architecture): row 2 i + j of a head of size d is row i + j d / 2 of the checkpoint; m:weight(name) "
      + "gives the checkpoint's order"
  }

  private static func kind(_ path: String) -> String { fileExtension(of: path).lowercased() }

  private static func all(of source: some WeightSource) throws -> [(name: String, tensor: Tensor)] {
    let tensors = try source.names.map { ($0, try source.tensor($0)) }
    try source.verify()
    return tensors
  }

  private static func unknown(_ kind: String, _ path: String, _ verb: String, _ known: [String]) -> EngineError {
    let names = known.map { "." + $0 }.joined(separator: ", ")
    return EngineError(
      .argument, "cannot \(verb) \(path): tensors are kept in \(names) files\(suggestion(for: kind, in: known))")
  }
}
