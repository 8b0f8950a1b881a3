/// Reads little-endian values one after the other from a mapped file; each read is checked against the end.
struct ByteReader {
  let file: MappedFile
  private(set) var offset: Int

  init(_ file: MappedFile, at offset: Int = 0) {
    self.file = file
    self.offset = min(max(0, offset), file.bytes.count)
  }

  var remaining: Int { file.bytes.count - offset }

  /// `what` names the thing in the error: "the tensor count".
  mutating func read<T: FixedWidthInteger>(_ type: T.Type, _ what: @autoclosure () -> String) throws -> T {
    try require(MemoryLayout<T>.size, what())
    defer { offset += MemoryLayout<T>.size }
    return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A 64-bit length or count, refused unless so many items of at least `itemSize` bytes can still follow.
  mutating func readCount(itemSize: Int, _ what: @autoclosure () -> String) throws -> Int {
    let count = try read(UInt64.self, what())
    guard count <= UInt64(remaining / itemSize) else {
      throw EngineError(
        .file, "\(file.path) is damaged or cut short: \(what()) is \(count), but only \(remaining) bytes follow")
    }
    return Int(count)
  }

  /// The next `count` bytes, passed over.
  mutating func skip(_ count: Int, _ what: @autoclosure () -> String) throws -> Range<Int> {
    try require(count, what())
    defer { offset += count }
    return offset..<offset + count
  }

  /// A string as GGUF writes it: a 64-bit length, then bytes.
  mutating func readBytes(limit: Int = .max, _ what: @autoclosure () -> String) throws -> Range<Int> {
    let count = try readCount(itemSize: 1, "the length of \(what())")
    guard count <= limit else {
      throw EngineError(.file, "\(file.path) is damaged: \(what()) is \(count) bytes long (at most \(limit))")
    }
    return try skip(count, what())
  }

  /// A key or a tensor's name: a string of 1 to 1024 bytes that can be printed.
  mutating func readName(_ what: @autoclosure () -> String) throws -> String {
    let bytes = try readBytes(limit: 1024, what())
    guard let name = String(validating: file.bytes[bytes], as: UTF8.self), isPrintableName(name) else {
      throw EngineError(.file, "\(file.path) is damaged: \(what()) is empty, not UTF-8, or has control characters")
    }
    return name
  }

  private func require(_ count: Int, _ what: @autoclosure () -> String) throws {
    guard count >= 0, count <= remaining else {
      throw EngineError(
        .file,
        "\(file.path) is damaged or cut short: \(what()) needs \(count) bytes at offset \(offset), the file ends "
          + "after \(remaining)")
    }
  }
}

/// Whether a tensor's name can stand in a message and in a file: not empty, at most 1024 bytes, no control characters.
func isPrintableName(_ name: String) -> Bool {
  (1...1024).contains(name.utf8.count) && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
}
