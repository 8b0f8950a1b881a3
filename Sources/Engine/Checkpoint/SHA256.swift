import CKernels
import Foundation

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
///
/// ```swift
/// var hash = SHA256()
/// hash.add(first); hash.add(second)
/// let hex = hash.finish()                              // 64 lower-case digits
/// let same = try SHA256.hex(ofFile: "model.gguf")
/// ```
public struct SHA256 {
  private var state = ck_sha256()

  public init() { ck_sha256_start(&state) }

  public mutating func add(_ bytes: UnsafeRawBufferPointer) { ck_sha256_add(&state, bytes.baseAddress, bytes.count) }

  public mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

  /// The digest of everything added, in hexadecimal. The value is used up.
  public mutating func finish() -> String {
    let digest = [UInt8](unsafeUninitializedCapacity: 32) { bytes, filled in
      if let base = bytes.baseAddress { ck_sha256_finish(&state, base) }
      filled = 32
    }
    let digits = Array("0123456789abcdef")
    return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  public static func hex(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.add(bytes)
    return hash.finish()
  }

  /// The digest of a file, read in pieces of 4 MiB (250 MB in 0.2 s with SHA instructions). `progress` gets the bytes
  /// done and the file's size after each piece and may throw to stop. Throws `.missing`, `.file`, `.interrupted`.
  public static func hex(
    ofFile path: String, progress: ((_ done: Int, _ total: Int) throws -> Void)? = nil
  ) throws -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      throw EngineError(errno == ENOENT ? .missing : .file, "cannot open \(path): \(reason)")
    }
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    var hash = SHA256(), done = 0
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 64)
    defer { piece.deallocate() }
    while true {
      try Interrupt.check()
      let count = read(descriptor, piece.baseAddress, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw EngineError(.file, "cannot read \(path): \(String(cString: strerror(errno)))") }
      if count == 0 { return hash.finish() }
      hash.add(UnsafeRawBufferPointer(rebasing: piece[..<count]))
      done += count
      try progress?(done, Int(status.st_size))
    }
  }
}
