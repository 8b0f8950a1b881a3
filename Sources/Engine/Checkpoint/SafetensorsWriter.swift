import CKernels

/// Writing of safetensors files.
public enum Safetensors {
  /// Writes float32 tensors, in order, and `metadata`. The file appears whole or not at all (`AtomicFile`). Ctrl-C while
  /// it is written ends it, where it `isInterruptible`; Ctrl-C before does not: what it left may be saved. Throws `.argument` for a name used twice, `.file`
  /// where it cannot be written, `.interrupted`.
  ///
  /// ```swift
  /// try Safetensors.write("vector.safetensors", tensors: [("direction", vector)], metadata: ["layer": "12"])
  /// ```
  public static func write(
    _ path: String, tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:],
    isInterruptible: Bool = true
  ) throws {
    try write(
      path, streaming: tensors.map { StreamedTensor(name: $0.name, tensor: $0.tensor) }, metadata: metadata,
      isInterruptible: isInterruptible)
  }

  /// Writes tensors that are made while they are written, each value rounded to `type`: `.f32`, `.f16` or `.bf16`.
  ///
  /// Throws also what a tensor's `fill` throws, `.numeric` for a value too large for `type`, `.interrupted`.
  public static func write(
    _ path: String, streaming tensors: [StreamedTensor], as type: ScalarType = .f32, metadata: [String: String] = [:],
    isInterruptible: Bool = true
  ) throws {
    guard [.f32, .f16, .bf16].contains(type) else {
      throw EngineError(.argument, "cannot write \(path) as \(type.rawValue): weights are written as F32, F16 or BF16")
    }
    let header = try header(of: tensors, type: type, metadata: metadata, path: path)
    let presses = isInterruptible ? Interrupt.count : nil
    try AtomicFile.write(path) { file in
      try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
      try file.write(header)
      for tensor in tensors {
        try write(tensor, as: type, to: file, path: path, presses: presses)
      }
    }
  }

  private static func header(
    of tensors: [StreamedTensor], type: ScalarType, metadata: [String: String], path: String
  ) throws -> [UInt8] {
    var seen: Set<String> = ["__metadata__"], members: [String] = [], offset = 0
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(jsonQuoted($0.key)):\(jsonQuoted($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    for tensor in tensors {
      guard isPrintableName(tensor.name), seen.insert(tensor.name).inserted else {
        let name = jsonQuoted(String(tensor.name.prefix(80)))
        throw EngineError(.argument, "cannot write \(path): the name \(name) is used twice, reserved or empty")
      }
      let end = offset + (try tensor.extent(size: type.size).bytes)
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(jsonQuoted(tensor.name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
    return header
  }

  /// Values of one stretch of rows: 4 MB of float32, or one row where that is more.
  private static let stretch = 1 << 20

  private static func write(
    _ tensor: StreamedTensor, as type: ScalarType, to file: borrowing AtomicFile, path: String, presses: Int?
  ) throws {
    let (width, rows, bytes) = try tensor.extent(size: type.size)
    guard bytes > 0 else { return }
    let step = max(1, min(rows, stretch / width))
    let values = try Tensor(uninitialized: [step * width])
    let halves = try Tensor(uninitialized: [type == .f32 ? 0 : (step * width + 1) / 2])
    for start in stride(from: 0, to: rows, by: step) {
      if let presses, Interrupt.count != presses { throw EngineError(.interrupted, "interrupted") }
      let part = start..<min(rows, start + step), count = part.count * width
      try tensor.fill(part, values.mutablePointer)
      guard type != .f32 else {
        try file.write(UnsafeRawBufferPointer(start: values.pointer, count: count * 4))
        continue
      }
      let beyond = halves.mutablePointer.withMemoryRebound(to: UInt16.self, capacity: count) {
        type == .f16 ? ck_encode_f16(values.pointer, count, $0) : ck_encode_bf16(values.pointer, count, $0)
      }
      guard beyond == 0 else {
        throw EngineError(
          .numeric, "cannot write \(path): \(tensor.name) has values too large for \(type.rawValue); write F32")
      }
      try file.write(UnsafeRawBufferPointer(start: halves.pointer, count: count * 2))
    }
    withExtendedLifetime((values, halves)) {}
  }
}
