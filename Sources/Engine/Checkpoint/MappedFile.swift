import Foundation

/// A file mapped read-only into memory. Pages are read when touched, so opening a large file costs nothing.
///
/// The mapping assumes that nobody shortens the file while it is open. Replacing it by renaming, as the store does, is
/// safe.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  /// The whole file. Valid while this object lives.
  public let bytes: UnsafeRawBufferPointer

  /// Throws `.missing` where there is no such file and `.file` where it cannot be read or is not a regular file.
  public init(path: String) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      throw EngineError(errno == ENOENT ? .missing : .file, "cannot open \(path): \(reason)")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw EngineError(.file, "cannot read the size of \(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a regular file"
      throw EngineError(.file, "cannot open \(path): it is \(kind)")
    }
    let size = Int(status.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw EngineError(.file, "cannot map \(path) (\(byteText(size))): \(String(cString: strerror(errno)))")
    }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
  }

  /// Lets the system take the file's pages back; those that are read again come from its cache.
  func releasePages() {
    if let base = bytes.baseAddress { madvise(UnsafeMutableRawPointer(mutating: base), bytes.count, MADV_DONTNEED) }
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
