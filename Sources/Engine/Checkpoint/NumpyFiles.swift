/// `.npy` and `.npz` files: arrays exchanged with NumPy.
enum NumpyFiles {
  /// The one array of a `.npy` file.
  static func load(npy path: String) throws -> Tensor {
    let file = try MappedFile(path: path)
    let tensor = try withExtendedLifetime(file) { try NumpyArray.read(file.bytes, source: path) }
    try file.verify()
    return tensor
  }

  /// The arrays of an `.npz` file (`np.savez` or `np.savez_compressed`), in the archive's order.
  static func load(npz path: String) throws -> [(name: String, tensor: Tensor)] {
    let archive = try ZipArchive(path: path)
    // A name that stands twice would hide one of its arrays.
    var seen: Set<String> = []
    let arrays = try archive.entries.filter { $0.name.hasSuffix(".npy") }.map { entry in
      guard seen.insert(entry.name).inserted else {
        throw EngineError(.file, "\(path) is a damaged .npz file: \(entry.name) stands in it twice")
      }
      let tensor = try archive.withBytes(of: entry) { try NumpyArray.read($0, source: "\(path): \(entry.name)") }
      return (name: String(entry.name.dropLast(4)), tensor: tensor)
    }
    try archive.file.verify()
    return arrays
  }

  static func save(npy path: String, _ tensor: Tensor) throws {
    try AtomicFile.write(path) { file in
      try file.write(NumpyArray.header(tensor))
      try file.write(tensor.bytes)
    }
  }

  /// Writes stored entries. Throws `.argument` for a name used twice and beyond 4 GB.
  static func save(npz path: String, _ tensors: [(name: String, tensor: Tensor)]) throws {
    let total = tensors.reduce(0) { $0 + $1.tensor.count * 4 + 2 * $1.name.utf8.count + 1024 }
    guard total < 0xffff_ffff, tensors.count < 0xffff else {
      throw EngineError(.argument, "cannot write \(path): .npz files end at 4 GB; write .safetensors instead")
    }
    var seen: Set<String> = [], directory: [UInt8] = [], offset = 0
    try AtomicFile.write(path) { file in
      for (name, tensor) in tensors {
        let entry = Array("\(name).npy".utf8), header = NumpyArray.header(tensor)
        let size = header.count + tensor.bytes.count
        guard seen.insert(name).inserted, entry.count < 0xffff else {
          throw EngineError(.argument, "cannot write \(path): the name \(name.prefix(80)) is used twice or too long")
        }
        var checksum = CRC32()
        header.withUnsafeBytes { checksum.add($0) }
        checksum.add(tensor.bytes)
        // Version needed, flags (UTF-8 name), method, time, date (1980-01-01), checksum, sizes, length of name, extra.
        let common =
          bytes(20, 2) + bytes(0x800, 2) + bytes(0, 2) + bytes(0, 2) + bytes(0x21, 2) + bytes(Int(checksum.value), 4)
          + bytes(size, 4) + bytes(size, 4) + bytes(entry.count, 2) + bytes(0, 2)
        let local = bytes(0x0403_4b50, 4) + common + entry
        directory +=
          bytes(0x0201_4b50, 4) + bytes(20, 2) + common + bytes(0, 2) + bytes(0, 2) + bytes(0, 2) + bytes(0, 4)
        directory += bytes(offset, 4) + entry
        try file.write(local + header)
        try file.write(tensor.bytes)
        offset += local.count + size
      }
      let end =
        bytes(0x0605_4b50, 4) + bytes(0, 2) + bytes(0, 2) + bytes(tensors.count, 2) + bytes(tensors.count, 2)
        + bytes(directory.count, 4) + bytes(offset, 4) + bytes(0, 2)
      try file.write(directory + end)
    }
  }

  /// `value` in `width` little-endian bytes.
  private static func bytes(_ value: Int, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}

extension Tensor {
  /// The values as they stand in memory; valid while the tensor lives.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: pointer, count: count * MemoryLayout<Float>.size)
  }
}
