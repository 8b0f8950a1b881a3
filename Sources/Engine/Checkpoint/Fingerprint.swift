import Foundation

/// Quick identification of models by their content, for run records.
public enum Fingerprint {
  /// 64 hexadecimal digits that tell one weights file from another in milliseconds: SHA-256 over the size (64-bit,
  /// little-endian), the first MiB (header and metadata) and 64 samples of 4 KiB, evenly spaced over the rest. A file
  /// of at most 2 MiB is hashed whole. Retrained or requantised weights differ; an edit of some tensors of a large file
  /// may go unseen: `SHA256.hex(ofFile:)` sees everything. Throws `.missing` or `.file`.
  public static func ofFile(_ path: String) throws -> String {
    let file = try MappedFile(path: path), bytes = file.bytes
    var hash = SHA256()
    withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { hash.add($0) }
    if bytes.count <= 2 << 20 {
      hash.add(bytes)
    } else {
      let header = 1 << 20, sample = 4096, samples = 64
      hash.add(UnsafeRawBufferPointer(rebasing: bytes[..<header]))
      let room = bytes.count - header - sample
      for index in 0..<samples {  // the last one ends with the file
        let start = header + room / (samples - 1) * index + room % (samples - 1) * index / (samples - 1)
        hash.add(UnsafeRawBufferPointer(rebasing: bytes[start..<start + sample]))
      }
    }
    return withExtendedLifetime(file) { hash.finish() }
  }

  /// The fingerprint of a model: of its file or of all its parts, or of a folder's `config.json` and safetensors files by name.
  public static func ofModel(_ path: String) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      guard let parts = SplitGGUF.siblings(of: path), parts.count > 1 else { return try ofFile(path) }
      return SHA256.hex(of: Array(try parts.map(ofFile).joined(separator: "\n").utf8))
    }
    let entries = try FileManager.default.contentsOfDirectory(atPath: path)
    let names = entries.filter { $0 == "config.json" || $0.hasSuffix(".safetensors") }.sorted()
    let prints = try names.map { try ofFile("\(path)/\($0)") }
    return SHA256.hex(of: Array(prints.joined(separator: "\n").utf8))
  }
}
