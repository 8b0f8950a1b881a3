import CKernels

/// Reading of ZIP files as NumPy writes them: entries stored or deflated, no encryption, below 4 GB.
/// Source: PKWARE APPNOTE 6.3, sections 4.3 and 4.4.
struct ZipArchive {
  struct Entry {
    let name: String
    let isDeflated: Bool
    let checksum: UInt32
    let compressed: Range<Int>
    let size: Int
  }

  let file: MappedFile
  let entries: [Entry]

  init(path: String) throws {
    file = try MappedFile(path: path)
    let bytes = file.bytes
    func number<T: FixedWidthInteger>(_ place: Int, _ type: T.Type) throws -> Int {
      guard place >= 0, place <= bytes.count - MemoryLayout<T>.size else {
        throw EngineError(.file, "\(path) is a damaged or cut short ZIP file")
      }
      return Int(truncatingIfNeeded: T(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: T.self)))
    }
    // The end record stands last, before a comment of at most 65,535 bytes.
    var end = bytes.count - 22
    let first = max(0, end - 65535)
    while end >= first, try number(end, UInt32.self) != 0x0605_4b50 { end -= 1 }
    guard end >= first else { throw EngineError(.file, "\(path) is not a ZIP file, or it is cut short") }
    let count = try number(end + 10, UInt16.self)
    var place = try number(end + 16, UInt32.self), entries: [Entry] = []
    // What each part of the file belongs to: bytes that several entries share would unpack to many times the file.
    var parts = [(start: place, end: end, name: "the directory")]
    for _ in 0..<count {
      guard try number(place, UInt32.self) == 0x0201_4b50 else {
        throw EngineError(.file, "\(path) is a damaged ZIP file: its directory does not hold \(count) entries")
      }
      let flags = try number(place + 8, UInt16.self), method = try number(place + 10, UInt16.self)
      let compressed = try number(place + 20, UInt32.self), size = try number(place + 24, UInt32.self)
      let nameLength = try number(place + 28, UInt16.self), local = try number(place + 42, UInt32.self)
      let skip = try number(place + 30, UInt16.self) + number(place + 32, UInt16.self)
      guard place + 46 + nameLength <= bytes.count else { throw EngineError(.file, "\(path) is a cut short ZIP file") }
      let name = String(decoding: bytes[place + 46..<place + 46 + nameLength], as: UTF8.self)
      guard flags & 1 == 0, method == 0 || method == 8, max(compressed, size, local) < 0xffff_ffff else {
        throw EngineError(.file, "\(path): entry \(name) is encrypted, beyond 4 GB, or packed by method \(method)")
      }
      guard try number(local, UInt32.self) == 0x0403_4b50 else {
        throw EngineError(.file, "\(path) is a damaged ZIP file: entry \(name) is not where the directory says")
      }
      let start = try local + 30 + number(local + 26, UInt16.self) + number(local + 28, UInt16.self)
      // Deflate packs at most 1032 to 1, so a larger size is a lie.
      guard start <= bytes.count, compressed <= bytes.count - start,
        method == 0 ? size == compressed : size / 1032 <= compressed
      else { throw EngineError(.file, "\(path) is a damaged ZIP file: entry \(name) has impossible sizes") }
      parts.append((local, start + compressed, "entry \(name)"))
      entries.append(
        Entry(
          name: name, isDeflated: method == 8, checksum: UInt32(try number(place + 16, UInt32.self)),
          compressed: start..<start + compressed, size: size))
      place += 46 + nameLength + skip
    }
    parts.sort { ($0.start, $0.end) < ($1.start, $1.end) }
    for (first, second) in zip(parts, parts.dropFirst()) where second.start < first.end {
      throw EngineError(.file, "\(path) is a damaged ZIP file: \(first.name) and \(second.name) overlap")
    }
    self.entries = entries
  }

  /// Calls `body` with an entry's bytes, unpacked and checked.
  func withBytes<Result>(of entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    let stored = UnsafeRawBufferPointer(rebasing: file.bytes[entry.compressed])
    guard entry.isDeflated else {
      try check(stored, entry)
      return try body(stored)
    }
    try TensorMemory.reserve(entry.size, for: [entry.size])
    let unpacked = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, entry.size), alignment: 64)
    defer { unpacked.deallocate() }
    switch ck_inflate(stored.baseAddress, stored.count, unpacked.baseAddress, entry.size) {
    case 0: break
    case 1:
      throw EngineError(
        .file, "\(file.path): entry \(entry.name) is compressed and libz.so.1 was not found; use np.savez to write it")
    default: throw EngineError(.file, "\(file.path) is a damaged ZIP file: entry \(entry.name) does not unpack")
    }
    let bytes = UnsafeRawBufferPointer(rebasing: unpacked[..<entry.size])
    try check(bytes, entry)
    return try body(bytes)
  }

  private func check(_ bytes: UnsafeRawBufferPointer, _ entry: Entry) throws {
    var checksum = CRC32()
    checksum.add(bytes)
    guard checksum.value == entry.checksum else {
      throw EngineError(.file, "\(file.path) is a damaged ZIP file: entry \(entry.name) has another checksum")
    }
  }
}

/// The checksum of ZIP files (polynomial 0xEDB88320).
struct CRC32 {
  private var state: UInt32 = 0xffff_ffff

  var value: UInt32 { ~state }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var state = self.state
    CRC32.table.withUnsafeBufferPointer { table in
      for byte in bytes { state = table[Int((state ^ UInt32(byte)) & 255)] ^ state >> 8 }
    }
    self.state = state
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xedb8_8320 ^ crc >> 1 : crc >> 1 }
  }
}
