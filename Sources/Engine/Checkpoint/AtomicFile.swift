import Foundation

/// A file being written beside its final place. Readers see the old file or the whole new one, never a part.
public struct AtomicFile: ~Copyable {
  private let descriptor: Int32
  private let path: String

  /// Creates `path` through `body`: what it writes is flushed to the disk and renamed into place when it returns. When
  /// it throws, or the disk is full, the old file stays and the partial one is removed. Throws `.file`.
  public static func write(_ path: String, _ body: (borrowing AtomicFile) throws -> Void) throws {
    let temporary = "\(path).\(UInt32.random(in: 0 ... .max)).partial"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw AtomicFile.failure("create", path) }
    var isOpen = true
    do {
      try body(AtomicFile(descriptor: descriptor, path: path))
      guard fsync(descriptor) == 0 else { throw AtomicFile.failure("write", path) }
      isOpen = false
      guard close(descriptor) == 0 else { throw AtomicFile.failure("write", path) }
      guard rename(temporary, path) == 0 else { throw AtomicFile.failure("replace", path) }
    } catch {
      if isOpen { close(descriptor) }
      unlink(temporary)
      throw error
    }
    AtomicFile.flush(folder: parentFolder(of: path))
  }

  /// Brings renames inside a folder to the disk, where the file system can do that.
  static func flush(folder: String) {
    let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Foundation.write(
        descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, min(rest.count, 1 << 30))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw AtomicFile.failure("write", path) }
      rest = rest.dropFirst(count)
    }
  }

  public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

  /// What went wrong, by `errno`.
  static func failure(_ what: String, _ path: String) -> EngineError {
    EngineError(.file, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
  }
}
