/// Writing of safetensors files.
public enum Safetensors {
  /// Writes float32 tensors, in order, and `metadata`. The file appears whole or not at all (`AtomicFile`).
  /// Throws `.argument` for a name used twice, `.file` where it cannot be written.
  ///
  /// ```swift
  /// try Safetensors.write("vector.safetensors", tensors: [("direction", vector)], metadata: ["layer": "12"])
  /// ```
  public static func write(
    _ path: String, tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:]
  ) throws {
    var seen: Set<String> = ["__metadata__"], members: [String] = [], offset = 0
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(jsonQuoted($0.key)):\(jsonQuoted($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    for (name, tensor) in tensors {
      guard isPrintableName(name), seen.insert(name).inserted else {
        throw EngineError(
          .argument,
          "cannot write \(path): the name \(jsonQuoted(String(name.prefix(80)))) is used twice, reserved or empty")
      }
      let end = offset + tensor.count * MemoryLayout<Float>.size
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append("\(jsonQuoted(name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
    try AtomicFile.write(path) { file in
      try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
      try file.write(header)
      for (_, tensor) in tensors {
        try file.write(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * MemoryLayout<Float>.size))
      }
    }
  }
}
